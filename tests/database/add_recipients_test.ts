import assert from "node:assert/strict";
import { z } from "zod";
import {
  asRole,
  campaignRow,
  claim,
  createCampaign,
  createMember,
  databaseTest,
  groupJid,
  recordSendCallback,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

const answer = z.strictObject({
  added: z.number(),
  duplicates: z.number(),
  skipped: z.number(),
  refused: z.number(),
  problems: z.array(z.strictObject({ index: z.number(), recipient: z.string().nullable(), reason: z.string() })),
});

async function add(sql: Pick<Sql, "unsafe">, campaignId: string, recipients: unknown): Promise<z.infer<typeof answer>> {
  const [row] = await sql.unsafe("select public.add_recipients($1, $2::text::jsonb) as answer", [
    campaignId,
    JSON.stringify(recipients),
  ]);
  return answer.parse(row?.answer);
}

const none = { added: 0, duplicates: 0, skipped: 0, refused: 0, problems: [] };

databaseTest("add_recipients adds texts and objects with what belongs to them", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
  const [one, two, three] = [groupJid(), groupJid(), groupJid()];
  assert.deepEqual(
    await add(sql, campaign.id, [
      one,
      { recipient: ` ${two}\r\n`, variables: { name: "Asha" }, member_count: 12 },
      { recipient: three, variables: null, member_count: null },
    ]),
    { ...none, added: 3 },
  );
  const rows = await sql`
    select recipient, variables, member_count, status from public.notification_campaign_recipients
    where campaign_id = ${campaign.id}
  `;
  assert.deepEqual(
    new Set(rows.map((row) => JSON.stringify(row))),
    new Set([
      { recipient: one, variables: {}, member_count: null, status: "pending" },
      { recipient: two, variables: { name: "Asha" }, member_count: 12, status: "pending" },
      { recipient: three, variables: {}, member_count: null, status: "pending" },
    ].map((row) => JSON.stringify(row))),
  );
});

databaseTest(
  "add_recipients counts duplicates and other spellings, in the list and in the campaign",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, {
      channel: "whatsapp",
      status: "draft",
      recipients: [{ recipient: "+4915112345670" }],
    });
    const list = [
      "+4915112345670", // there
      "0049 151 12345670", // the same person
      "+4915112345671",
      "+4915112345671", // twice
      "4915112345671@s.whatsapp.net", // the same person
      { recipient: "+4915112345671", variables: { name: "too late" } },
    ];
    assert.deepEqual(await add(sql, campaign.id, list), { ...none, added: 1, duplicates: 3, skipped: 2 });
    assert.deepEqual(await add(sql, campaign.id, list), { ...none, duplicates: 6 });
    const rows = await sql`
    select recipient, status, skip_reason, variables from public.notification_campaign_recipients
    where campaign_id = ${campaign.id} order by recipient collate "C"
  `;
    assert.deepEqual([...rows], [
      { recipient: "+4915112345670", status: "pending", skip_reason: null, variables: {} },
      { recipient: "+4915112345671", status: "pending", skip_reason: null, variables: {} },
      { recipient: "0049 151 12345670", status: "skipped", skip_reason: "duplicate_recipient", variables: {} },
      {
        recipient: "4915112345671@s.whatsapp.net",
        status: "skipped",
        skip_reason: "duplicate_recipient",
        variables: {},
      },
    ]);
  },
);

databaseTest("add_recipients says of each bad element what is wrong, and adds the others", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "sms", status: "draft", recipients: 0 });
  const bad: readonly (readonly [unknown, string | null, RegExp])[] = [
    ["", "", /^recipient is blank$/],
    [{ recipient: " \t" }, "", /^recipient is blank$/],
    [{}, null, /^recipient is blank$/],
    [{ recipient: null }, null, /^recipient is blank$/],
    [null, null, /not null$/],
    [7, null, /not number$/],
    [true, null, /not boolean$/],
    [["+4915112345670"], null, /not array$/],
    [{ recipient: ["x"] }, '["x"]', /^recipient must be a text, not array$/],
    [{ recipient: true }, "true", /^recipient must be a text, not boolean$/],
    [{ recipient: "9".repeat(501) }, "9".repeat(100), /longer than 500/],
    ["9".repeat(501), "9".repeat(100), /longer than 500/],
    [{ recipient: "+4915112345670", variables: [] }, "+4915112345670", /^variables must be an object, not array$/],
    [{ recipient: "+4915112345670", variables: "x" }, "+4915112345670", /^variables must be an object, not string$/],
    [{ recipient: "+4915112345670", member_count: -1 }, "+4915112345670", /^member_count must be .*, not -1$/],
    [{ recipient: "+4915112345670", member_count: 1.5 }, "+4915112345670", /^member_count must be .*, not 1.5$/],
    [{ recipient: "+4915112345670", member_count: 1e12 }, "+4915112345670", /^member_count must be/],
    [{ recipient: "+4915112345670", member_count: "many" }, "+4915112345670", /^member_count must be .*, not many$/],
    [{ recipient: "+4915112345670", name: "Asha" }, "+4915112345670", /unknown field "name": .* variables$/],
  ];
  const found = await add(sql, campaign.id, ["+4915112345671", ...bad.map(([element]) => element), "+4915112345672"]);
  assert.deepEqual([found.added, found.refused], [2, bad.length]);
  assert.equal(found.problems.length, bad.length);
  for (const [place, [element, recipient, reason]] of bad.entries()) {
    const problem = found.problems[place];
    assert.deepEqual([problem?.index, problem?.recipient], [place + 1, recipient], JSON.stringify(element));
    assert.match(problem?.reason ?? "", reason);
  }
  assert.equal((await stats(sql, campaign.id)).total_count, 2);
});

databaseTest("add_recipients names a hundred problems and counts the rest", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
  const { refused, problems, added } = await add(sql, campaign.id, [
    ...Array.from({ length: 250 }, () => ""),
    groupJid(),
  ]);
  assert.deepEqual([refused, problems.length, problems.at(-1)?.index, added], [250, 100, 99, 1]);
});

databaseTest(
  "add_recipients refuses what is no list, and a list that is too long, before it adds any",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
    for (const wrong of [{}, "x", 1, null]) {
      await assert.rejects(() => add(sql, campaign.id, wrong), {
        code: "22023",
        message: /^p_recipients must be an array of recipients, not (object|string|number|null)$/,
      });
    }
    await assert.rejects(
      async () => await sql`select public.add_recipients(${campaign.id}, null)`,
      { code: "22023", message: "p_recipients must be an array of recipients, not null" },
    );
    const list = Array.from({ length: 10_001 }, (_, number) => `+4915110${number}`);
    await assert.rejects(() => add(sql, campaign.id, list), {
      code: "22023",
      message: "p_recipients has 10001 elements: add at most 10000 at a time",
    });
    assert.deepEqual(await add(sql, campaign.id, []), none);
    assert.equal((await stats(sql, campaign.id)).total_count, 0);
  },
);

databaseTest("add_recipients takes ten thousand at once", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
  const list = Array.from({ length: 10_000 }, (_, number) => `+4915${1_000_000_000 + number}`);
  assert.deepEqual(await add(sql, campaign.id, list), { ...none, added: 10_000 });
  assert.deepEqual(await add(sql, campaign.id, list.toReversed()), { ...none, duplicates: 10_000 });
  assert.equal((await stats(sql, campaign.id)).pending_count, 10_000);
});

databaseTest(
  "add_recipients goes to every campaign but a cancelled one, and opens a completed one again",
  async ({ sql }) => {
    for (const status of ["draft", "scheduled", "processing", "paused", "failed"] as const) {
      const campaign = await createCampaign(sql, { status: "draft", scheduledAt: new Date() });
      await sql`update public.notification_campaigns set status = ${status} where id = ${campaign.id}`;
      assert.equal((await add(sql, campaign.id, [groupJid()])).added, 1, status);
      assert.equal((await campaignRow(sql, campaign.id)).status, status);
    }
    const completed = await createCampaign(sql);
    const claims = (await claim(sql)).filter(({ campaign_id }) => campaign_id === completed.id);
    for (const claimed of claims) await recordSendCallback(sql, sentCallback(claimed, "M1"));
    assert.equal((await campaignRow(sql, completed.id)).status, "completed");
    assert.equal((await add(sql, completed.id, [completed.only.recipient])).duplicates, 1);
    assert.equal((await campaignRow(sql, completed.id)).status, "completed");
    assert.equal((await add(sql, completed.id, [groupJid()])).added, 1);
    assert.equal((await campaignRow(sql, completed.id)).status, "processing");

    const cancelled = await createCampaign(sql);
    await sql`select public.cancel_campaign(${cancelled.id})`;
    await assert.rejects(() => add(sql, cancelled.id, [groupJid()]), {
      code: "PT409",
      message: /^a campaign that is cancelled cannot be given recipients: it must be draft, /,
    });
    await assert.rejects(() => add(sql, crypto.randomUUID(), []), { code: "PT404", message: /^there is no campaign / });
  },
);

databaseTest("add_recipients adds for operators and owners what a direct insert would add", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
  for (const [role, recipient] of [["operator", "+4915112345671"], ["owner", "+4915112345672"]] as const) {
    const member = await createMember(sql, campaign.organizationId, role);
    const { added } = await asRole(sql, "authenticated", member, (tx) => add(tx, campaign.id, [recipient]));
    assert.equal(added, 1, role);
  }
  const operator = await createMember(sql, campaign.organizationId, "operator");
  await asRole(sql, "authenticated", operator, async (tx) => {
    await tx`insert into public.notification_campaign_recipients (campaign_id, recipient) values (${campaign.id}, '+4915112345673')`;
  });
  const kinds = await sql`
    select distinct address is not null as has_address, member_count, status, attempt_count
    from public.notification_campaign_recipients where campaign_id = ${campaign.id}
  `;
  assert.deepEqual([...kinds], [{ has_address: true, member_count: 1, status: "pending", attempt_count: 0 }]);
});
