import fc from "fast-check";
import assert from "node:assert/strict";
import { normalizePhoneNumber } from "../../supabase/functions/process-notification-campaigns/normalize_phone_number.ts";
import {
  addRecipients,
  asRole,
  claim,
  claimOne,
  createCampaign,
  createContactCampaign,
  createMember,
  createOrganization,
  databaseTest,
  endLeases,
  failedCallback,
  makeDue,
  optedOut,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  type Sql,
  stats,
  statusOf,
} from "../harness/mod.ts";
import { propertySeed } from "../properties/settings.ts";

const NUMBER = "+919876543210";

/** One number, as people, sheets, chats and WhatsApp write it. */
const spellings = [
  NUMBER,
  "919876543210",
  "00919876543210",
  " +91 98765-43210 ",
  "+91 (98765) 43210",
  "+91.98765.43210",
  "+91\u00a098765\u00a043210",
  "919876543210@s.whatsapp.net",
  "919876543210:12@s.whatsapp.net",
  "919876543210@c.us",
] as const;

async function addressesOf(sql: Sql, texts: readonly string[]): Promise<(string | null)[]> {
  const rows = await sql<{ address: string | null }[]>`
    select private.address_of(u.recipient) as address
    from unnest(${[...texts]}::text[]) with ordinality as u (recipient, place)
    order by u.place
  `;
  return rows.map(({ address }) => address);
}

/** What became of the rows of a campaign, in the order of their spellings. */
async function fates(sql: Sql, campaignId: string): Promise<string[]> {
  const rows = await sql<{ fate: string }[]>`
    select coalesce(r.skip_reason, r.status::text) as fate
    from public.notification_campaign_recipients r
    where r.campaign_id = ${campaignId}
    order by r.recipient
  `;
  return rows.map(({ fate }) => fate);
}

// ---- spellings ----

databaseTest("a number has one address however it is written", async ({ sql }) => {
  assert.deepEqual(await addressesOf(sql, spellings), spellings.map(() => NUMBER));
});

databaseTest("what is no number keeps its spelling as its address", async ({ sql }) => {
  const others = [
    "US.13491208655302741918",
    "120363000000000001@g.us",
    "Ana",
    "0151 23456789",
    "1@lid",
    "+",
    "++4915123456789",
  ];
  assert.deepEqual(await addressesOf(sql, others), others);
});

databaseTest("numbers that differ in one digit, or in their country, are two addresses", async ({ sql }) => {
  const found = await addressesOf(sql, [
    "+919876543210",
    "+919876543211",
    "+19876543210",
    "9876543210",
    "+9198765432100",
  ]);
  assert.equal(new Set(found).size, found.length);
});

/** Everything that the processor would dial as one number must be one address, or a person has two. */
const written = [
  ...spellings,
  "\u202a+91 98765 43210\u202c",
  "\u200e+919876543210",
  "＋919876543210",
  "+٩١٩٨٧٦٥٤٣٢١٠",
  "+91 (0) 98765 43210",
  "+91–98765–43210",
  "+91/98765/43210",
  "+91[98765]43210",
] as const;
databaseTest("the address of a number is what the processor dials, however it is written", async ({ sql }) => {
  assert.deepEqual(written.map(normalizePhoneNumber), written.map(() => NUMBER));
  assert.deepEqual(await addressesOf(sql, written), written.map(() => NUMBER));
});

databaseTest(
  "the address of any number is what the processor dials, however its digits are grouped",
  async ({ sql }) => {
    const seed = propertySeed();
    const numbers = ["4915123456789", "14155550123", "919876543210", "447911123456", "5215512345678", "390612345678"];
    const spelled = fc.record({
      number: fc.constantFrom(...numbers),
      prefix: fc.constantFrom("", "+", "00", " +", "+ "),
      groups: fc.subarray([3, 5, 7, 8, 10]),
      between: fc.constantFrom("", " ", "-", ".", " - ", "\u00a0", "–", "/"),
      after: fc.constantFrom("", " "),
    }).map(({ number, prefix, groups, between, after }) => {
      const places = [0, ...groups, number.length];
      const parts = places.slice(1).map((end, index) => number.slice(places[index], end));
      return prefix + parts.join(between) + after;
    });
    const texts = [...new Set(fc.sample(spelled, { seed, numRuns: 400 }))];
    assert.deepEqual(
      (await addressesOf(sql, texts)).map((address, index) => [texts[index], address]),
      texts.map((text) => [text, normalizePhoneNumber(text)]),
      `FAST_CHECK_SEED=${seed}`,
    );
  },
);

databaseTest("the address of an address is itself", async ({ sql }) => {
  const seed = propertySeed();
  const texts = fc.sample(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 30 }).map((text) => text.replaceAll("\0", "").toWellFormed()),
      fc.stringMatching(/^[+\d ()@:.\-a-z]{0,30}$/),
    ),
    { seed, numRuns: 500 },
  );
  const once = (await addressesOf(sql, texts)).map((address) => address ?? "");
  assert.deepEqual(await addressesOf(sql, once), once, `FAST_CHECK_SEED=${seed}`);
});

// ---- one message for each person ----

databaseTest("spellings of one number in one insert become one message", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: spellings });
  const [first, ...others] = campaign.recipients;
  assert.ok(first);
  assert.equal((await recipientRow(sql, first.id)).status, "pending");
  for (const { id } of others) {
    const row = await recipientRow(sql, id);
    assert.deepEqual([row.status, row.skip_reason], ["skipped", "duplicate_recipient"]);
  }
  assert.deepEqual((await claim(sql)).map(({ recipient_id }) => recipient_id), [first.id]);
  const { total_count, skipped_count, processing_count } = await stats(sql, campaign.id);
  assert.deepEqual({ total_count, skipped_count, processing_count }, {
    total_count: spellings.length,
    skipped_count: spellings.length - 1,
    processing_count: 1,
  });
});

databaseTest("another spelling that is added while, or after, the first is sent is skipped", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  const [second] = await addRecipients(sql, campaign.id, [{ recipient: "919876543210" }]);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
  const [third] = await addRecipients(sql, campaign.id, [{ recipient: "00919876543210" }]);
  for (const added of [second, third]) {
    assert.equal((await recipientRow(sql, added?.id ?? "")).skip_reason, "duplicate_recipient");
  }
  assert.deepEqual(await claim(sql), []);
  assert.equal((await stats(sql, campaign.id)).progress, 100);
});

databaseTest("one number is written to once by each of two campaigns, and once by each channel", async ({ sql }) => {
  const one = await createContactCampaign(sql, { recipients: [NUMBER] });
  const { organizationId, sessionId } = one;
  await createContactCampaign(sql, { organizationId, sessionId, recipients: [NUMBER] });
  await createContactCampaign(sql, { organizationId, channel: "sms", recipients: [NUMBER] });
  assert.equal((await claim(sql)).length, 3);
});

databaseTest("the same spelling twice is refused, in one insert as in two", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
  await assert.rejects(() => addRecipients(sql, campaign.id, [{ recipient: NUMBER }]), { code: "23505" });
  const other = await createContactCampaign(sql, { recipients: 0 });
  await assert.rejects(() => addRecipients(sql, other.id, [{ recipient: NUMBER }, { recipient: NUMBER }]), {
    code: "23505",
  });
});

databaseTest(
  "an import that ignores duplicates is repeated without changing anything, with the target that supabase-js names",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: 0 });
    const rows = [NUMBER, "00919876543210", "+14155550123", NUMBER].map((recipient) => ({
      campaign_id: campaign.id,
      recipient,
    }));
    for (let times = 0; times < 3; times++) {
      await sql`
        insert into public.notification_campaign_recipients ${sql(rows)} on conflict (campaign_id, recipient) do nothing
      `;
      assert.deepEqual(
        (await fates(sql, campaign.id)).toSorted(),
        ["duplicate_recipient", "pending", "pending"],
        `import ${times + 1}`,
      );
    }
    await sql`insert into public.notification_campaign_recipients ${sql(rows)} on conflict do nothing`;
    assert.equal((await stats(sql, campaign.id)).total_count, 3);
    assert.equal((await claim(sql)).length, 2);
  },
);

databaseTest(
  "an operator imports spellings of one number through the API, and nobody is written to twice",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { status: "draft", recipients: 0 });
    const operator = await createMember(sql, campaign.organizationId, "operator");
    await asRole(sql, "authenticated", operator, async (own) => {
      for (const recipient of spellings) {
        await own`
        insert into public.notification_campaign_recipients (campaign_id, recipient)
        values (${campaign.id}, ${recipient})
        on conflict (campaign_id, recipient) do nothing
      `;
      }
    });
    const { pending_count, skipped_count } = await stats(sql, campaign.id);
    assert.deepEqual({ pending_count, skipped_count }, { pending_count: 1, skipped_count: spellings.length - 1 });
    await assert.rejects(
      () =>
        asRole(sql, "authenticated", operator, (own) =>
          own`
          insert into public.notification_campaign_recipients (campaign_id, recipient, status)
          values (${campaign.id}, '+14155550199', 'skipped')
        `),
      { code: /^(42501|23514)$/ },
      "to store a recipient as skipped is nobody's to say",
    );
  },
);

databaseTest("another spelling through send_queue is skipped like any other", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
  await sql`insert into public.send_queue (campaign_id, phone, status) values (${campaign.id}, '919876543210', 'ready')`;
  assert.deepEqual((await fates(sql, campaign.id)).toSorted(), ["duplicate_recipient", "pending"]);
});

databaseTest("a group is no number: two groups are two recipients, and have no address", async ({ sql }) => {
  const campaign = await createCampaign(sql, {
    recipients: [{ recipient: "919876543210-1500000000@g.us" }, { recipient: NUMBER }, {
      recipient: "919876543210",
    }],
  });
  assert.equal((await claim(sql)).length, 3);
  const rows = await sql`
    select from public.notification_campaign_recipients where campaign_id = ${campaign.id} and address is not null
  `;
  assert.equal(rows.length, 0);
});

databaseTest("a number that is corrected has the address of the new number", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: ["+919876543211"] });
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient) values (${campaign.organizationId}, 'whatsapp', ${NUMBER})
  `;
  await sql`update public.notification_campaign_recipients set recipient = ${NUMBER} where id = ${campaign.only.id}`;
  assert.deepEqual(await claim(sql), []);
  assert.equal((await recipientRow(sql, campaign.only.id)).skip_reason, "opted_out");
});

databaseTest("a spelling that was skipped is not sent when a person sets it to pending", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER, "919876543210"] });
  await sql`update public.notification_campaign_recipients set status = 'pending' where status = 'skipped'`.catch(
    () => {},
  );
  assert.ok((await claim(sql)).length <= 1, "one message for one person");
  assert.equal((await stats(sql, campaign.id)).total_count, 2);
});

databaseTest(
  "a late report of a message whose row was skipped sinks nothing when the number was added again since",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: [NUMBER, "+14155550123"] });
    const claims = await claim(sql);
    const first = claims.find(({ recipient }) => recipient === NUMBER);
    const other = claims.find(({ recipient }) => recipient !== NUMBER);
    assert.ok(first && other);
    // nobody knows what became of it; then its contact opts out, and is skipped
    await endLeases(sql);
    await recoverStale(sql);
    await sql`
    insert into public.opt_outs (organization_id, channel, recipient) values (${campaign.organizationId}, 'whatsapp', ${NUMBER})
  `;
    await makeDue(sql);
    await claim(sql);
    assert.equal((await recipientRow(sql, first.recipient_id)).skip_reason, "opted_out");
    await sql`delete from public.opt_outs`;
    await addRecipients(sql, campaign.id, [{ recipient: "919876543210" }], null);
    await claim(sql);
    const answer = await recordReceipts(sql, [
      statusOf("delivered", "M1", { clientMessageId: first.client_message_id }),
      statusOf("delivered", "M2", { clientMessageId: other.client_message_id }),
    ]);
    assert.equal(answer.recorded, 2);
    assert.equal((await recipientRow(sql, other.recipient_id)).delivered_count, 1);
  },
);

// ---- opt-outs ----

databaseTest("an opt-out holds for every spelling of the number, whatever its own spelling is", async ({ sql }) => {
  for (const [index, spelling] of spellings.entries()) {
    const organizationId = await createOrganization(sql);
    await sql`
      insert into public.opt_outs (organization_id, channel, recipient) values (${organizationId}, 'whatsapp', ${spelling})
    `;
    for (const other of [1, 4]) {
      const recipient = spellings[(index + other) % spellings.length] ?? spelling;
      const campaign = await createContactCampaign(sql, { organizationId, recipients: [recipient] });
      assert.deepEqual(await claim(sql), [], `${recipient}, opted out as ${spelling}`);
      assert.equal((await recipientRow(sql, campaign.only.id)).skip_reason, "opted_out");
    }
  }
});

databaseTest("an opt-out of a group holds for that group", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    values (${campaign.organizationId}, 'whatsapp_group', ${campaign.only.recipient})
  `;
  assert.equal((await claim(sql)).length, 1);
});

databaseTest("an opt-out that is corrected holds for the new number alone", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER, "+14155550123"] });
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient) values (${campaign.organizationId}, 'whatsapp', ${NUMBER})
  `;
  await sql`update public.opt_outs set recipient = '1 (415) 555-0123'`;
  assert.deepEqual(await optedOut(sql, campaign.organizationId), ["+14155550123"]);
  assert.deepEqual((await claim(sql)).map(({ recipient }) => recipient), [NUMBER]);
});

// ---- what comes back ----

databaseTest("a callback of the VPS finds a contact whichever way its number is written", async ({ sql }) => {
  for (const [index, recipient] of spellings.entries()) {
    const campaign = await createContactCampaign(sql, { recipients: [recipient] });
    const { client_message_id: _unknown, ...claimed } = await claimOne(sql);
    const answer = await recordSendCallback(sql, {
      ...failedCallback({ ...claimed, client_message_id: "" }),
      event: "message_sent",
      groupJid: "919876543210@s.whatsapp.net",
      messageId: `M${index}`,
      clientMessageId: undefined,
    });
    assert.equal(answer.recorded, 1, recipient);
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent", recipient);
  }
});
