import assert from "node:assert/strict";
import {
  assertAuditIsClean,
  claim,
  createCampaign,
  databaseTest,
  foldCounters,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

interface Discrepancy {
  readonly counter: string;
  readonly stored: number;
  readonly actual: number;
}

async function audit(sql: Sql, campaignId: string | null = null): Promise<Discrepancy[]> {
  return [
    ...await sql<Discrepancy[]>`
    select counter, stored, actual from public.audit_campaign_counters(${campaignId}) order by counter, recipient_id nulls first
  `,
  ];
}

async function repair(sql: Sql, campaignId: string | null = null): Promise<Discrepancy[]> {
  return [
    ...await sql<Discrepancy[]>`
    select counter, stored, actual from public.repair_campaign_counters(${campaignId}) order by counter, recipient_id nulls first
  `,
  ];
}

/** A campaign to three groups of 10, sent, two of them read by four people each; its counters folded. */
async function countedCampaign(sql: Sql): Promise<string> {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const claims = await claim(sql);
  const ids = claims.map((claimed) => `M-${claimed.client_message_id}`);
  await recordSendCallback(sql, claims.map((claimed, number) => sentCallback(claimed, ids[number] ?? "")));
  await recordReceipts(
    sql,
    ids.slice(0, 2).flatMap((id) => [1, 2, 3, 4].map((number) => receipt("message_read", id, person(number)))),
  );
  await foldCounters(sql);
  return campaign.id;
}

databaseTest("an audit of counters that are right finds nothing", async ({ sql }) => {
  const id = await countedCampaign(sql);
  assert.deepEqual(await audit(sql), []);
  assert.deepEqual(await audit(sql, id), []);
  assert.deepEqual(await repair(sql), []);
});

const tampering: [string, string, Discrepancy[]][] = [
  ["an inflated counter", "update private.campaign_counters set delivered_count = delivered_count + 100", [
    { counter: "delivered_count", stored: 108, actual: 8 },
  ]],
  ["a negative counter", "update private.campaign_counters set read_count = -5", [
    { counter: "read_count", stored: -5, actual: 8 },
  ]],
  [
    "rows counted in the wrong status",
    "update private.campaign_counters set sent_count = sent_count - 1, failed_count = 1",
    [
      { counter: "failed_count", stored: 1, actual: 0 },
      { counter: "sent_count", stored: 2, actual: 3 },
    ],
  ],
  ["a doubled delta", `insert into private.campaign_counter_deltas select * from private.campaign_counters`, [
    { counter: "audience_count", stored: 60, actual: 30 },
    { counter: "delivered_count", stored: 16, actual: 8 },
    { counter: "reached_count", stored: 4, actual: 2 },
    { counter: "read_count", stored: 16, actual: 8 },
    { counter: "sent_count", stored: 6, actual: 3 },
    { counter: "total_count", stored: 6, actual: 3 },
  ]],
  ["lost counters", "delete from private.campaign_counters", [
    { counter: "audience_count", stored: 0, actual: 30 },
    { counter: "delivered_count", stored: 0, actual: 8 },
    { counter: "reached_count", stored: 0, actual: 2 },
    { counter: "read_count", stored: 0, actual: 8 },
    { counter: "sent_count", stored: 0, actual: 3 },
    { counter: "total_count", stored: 0, actual: 3 },
  ]],
  [
    "a row's count set by hand",
    "update public.notification_campaign_recipients set delivered_count = 9 where delivered_count = 0",
    [{ counter: "delivered_count", stored: 9, actual: 0 }],
  ],
];
for (const [what, statement, expected] of tampering) {
  databaseTest(`an audit finds ${what} and a repair mends it`, async ({ sql }) => {
    const id = await countedCampaign(sql);
    const right = await stats(sql, id);
    await sql.unsafe(statement);
    assert.deepEqual(await audit(sql, id), expected);
    assert.deepEqual(await audit(sql), expected, "found again, not noted twice");
    const open = await sql`select from public.counter_discrepancies where repaired_at is null`;
    assert.equal(open.length, expected.length);
    assert.deepEqual(await repair(sql, id), expected);
    assert.deepEqual(await stats(sql, id), right);
    assert.deepEqual(await audit(sql), []);
    assert.deepEqual(await repair(sql), []);
    const kept = await sql`select from public.counter_discrepancies where repaired_at is not null`;
    assert.equal(kept.length, expected.length, "what was found stays on record");
  });
}

databaseTest("a repair with triggers switched off before mends rows and counters both", async ({ sql }) => {
  const id = await countedCampaign(sql);
  await sql.begin(async (tx) => {
    await tx`set local session_replication_role = 'replica'`;
    await tx`delete from public.message_receipts where reader = ${person(1)}`;
    await tx`update public.notification_campaign_recipients set status = 'failed' where read_count = 0`;
  });
  assert.ok((await audit(sql)).length > 0);
  await repair(sql);
  const { delivered_count, read_count, sent_count, failed_count } = await stats(sql, id);
  assert.deepEqual({ delivered_count, read_count, sent_count, failed_count }, {
    delivered_count: 6,
    read_count: 6,
    sent_count: 2,
    failed_count: 1,
  });
});

databaseTest("a repair of one campaign leaves the others as they are", async ({ sql }) => {
  const one = await countedCampaign(sql);
  const two = await countedCampaign(sql);
  await sql`update private.campaign_counters set sent_count = 50`;
  await repair(sql, one);
  assert.deepEqual([(await stats(sql, one)).sent_count, (await stats(sql, two)).sent_count], [3, 50]);
  assert.equal((await audit(sql)).length, 1);
  await repair(sql);
});

databaseTest("an audit under traffic raises no false alarm", async ({ sql, pool }) => {
  const campaign = await createCampaign(sql, { recipients: 50, memberCount: 1000 });
  const claims = await claim(sql);
  const work = pool(6);
  let writing = true;
  const writer = async (part: number) => {
    for (const [number, claimed] of claims.entries()) {
      await recordSendCallback(work, sentCallback(claimed, `M${number}`));
      const readers = Array.from({ length: 10 }, (_, reader) => person(part * 100 + reader));
      await recordReceipts(work, readers.map((reader) => receipt("message_read", `M${number}`, reader)));
    }
  };
  const auditor = async () => {
    while (writing) assert.deepEqual(await audit(work, campaign.id), []);
  };
  const folder = async () => {
    while (writing) await foldCounters(work);
  };
  const background = [auditor(), auditor(), folder()];
  await Promise.all([writer(1), writer(2), writer(3)]).finally(() => writing = false);
  await Promise.all(background);
  assert.equal((await stats(sql, campaign.id)).read_count, 50 * 30);
});

databaseTest(
  "a repair under traffic mends what was wrong and disturbs nothing that is counted meanwhile",
  async ({ sql, pool }) => {
    const campaign = await createCampaign(sql, { recipients: 50, memberCount: 1000 });
    const claims = await claim(sql);
    await foldCounters(sql);
    const work = pool(6);
    let writing = true;
    const writer = async (part: number) => {
      for (const [number, claimed] of claims.entries()) {
        await recordSendCallback(work, sentCallback(claimed, `M${number}`));
        await recordReceipts(work, [
          receipt("message_read", `M${number}`, person(part)),
          receipt("message_delivered", `M${number}`, person(99)),
        ]);
      }
    };
    const vandal = async () => {
      while (writing) {
        await work`
        insert into private.campaign_counter_deltas (
          campaign_id, organization_id, total_count, pending_count, processing_count, unconfirmed_count, sent_count, failed_count,
          skipped_count, audience_count, reached_count, delivered_count, read_count, cost
        )
        values (${campaign.id}, ${campaign.organizationId}, 0, 0, 0, 0, 3, -2, 0, 0, 0, 7, 1, 0)
      `;
        await repair(work, campaign.id);
      }
    };
    const folder = async () => {
      while (writing) await foldCounters(work);
    };
    const background = [vandal(), folder()];
    await Promise.all([writer(1), writer(2), writer(3)]).finally(() => writing = false);
    await Promise.all(background);
    await repair(sql);
    await assertAuditIsClean({ sql });
    const { sent_count, delivered_count, read_count } = await stats(sql, campaign.id);
    assert.deepEqual({ sent_count, delivered_count, read_count }, {
      sent_count: 50,
      delivered_count: 200,
      read_count: 150,
    });
  },
);
