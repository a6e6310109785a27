import assert from "node:assert/strict";
import {
  type Campaign,
  claimOne,
  createCampaign,
  createContactCampaign,
  databaseTest,
  journal,
  person,
  receipt,
  recipientRow,
  recordInboundMessages,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  replayWebhookEvents,
  sendOne,
  sentCallback,
  type Sql,
  stats,
  statusOf,
  sweepWebhookEvents,
  written,
} from "../harness/mod.ts";

/** Lets receipts that are parked look as if they had waited so many days. */
async function ageParked(sql: Sql, days: number): Promise<void> {
  await sql`update private.message_ids set parked_at = parked_at - make_interval(days => ${days}) where recipient_id is null`;
}

/** Lets the journal look as if it was so many days older. */
async function ageJournal(sql: Sql, days: number): Promise<void> {
  await sql`
    update private.webhook_events
    set received_at = received_at - make_interval(days => ${days}), last_seen_at = last_seen_at - make_interval(days => ${days})
  `;
}

async function withoutSecrets(sql: Sql, value: unknown): Promise<unknown> {
  const [row] = await sql<{ value: unknown }[]>`
    select private.without_secrets(${JSON.stringify(value)}::text::jsonb) as value
  `;
  return row?.value;
}

// ---- secrets ----

databaseTest("a payload is kept without its secrets, however deep and of whatever type", async ({ sql }) => {
  const secret = "S3CR3T";
  const payload = {
    apikey: secret,
    apiKey: secret,
    api_key: secret,
    "api-key": secret,
    "x-api-key": secret,
    token: secret,
    access_token: secret,
    tokens: [secret, { value: secret }],
    secret: { value: secret, list: [secret] },
    password: 53_037,
    Authorization: `Bearer ${secret}`,
    "X-Hub-Signature-256": secret,
    cookie: [secret],
    deep: [{ er: [{ still: { clientSecret: secret } }] }],
    instance: { hash: { apikey: secret } },
  };
  const kept = JSON.stringify(await withoutSecrets(sql, payload));
  assert.ok(!kept.includes(secret) && !kept.includes("53037"), kept);
  // what was there can be seen, what it was cannot
  for (const name of Object.keys(payload)) assert.ok(kept.includes(`"${name}"`), name);
});

databaseTest("what is no secret is kept as it is", async ({ sql }) => {
  const payload = {
    event: "message_sent",
    messageId: "M1",
    clientMessageId: crypto.randomUUID(),
    timestamp: 1_790_000_000,
    list: [1, "two", null, { three: [3.5, false] }],
    empty: {},
    none: [],
    nothing: null,
    "": "blank",
  };
  assert.deepEqual(await withoutSecrets(sql, payload), payload);
  for (const scalar of ["text", 7, true, null, [], {}, "token"]) {
    assert.deepEqual(await withoutSecrets(sql, scalar), scalar);
  }
});

databaseTest("no way into the journal lets a secret in", async ({ sql }) => {
  const odd = { event: "message_exploded", apikey: "S3CR3T", data: [{ headers: { authorization: "S3CR3T" } }] };
  await recordReceipts(sql, [odd]);
  await recordSendCallback(sql, odd);
  await recordSendCallback(sql, {
    ...sentCallback({ client_message_id: "", session_id: "wa_1", recipient: "x" }, "M1"),
    token: "S3CR3T",
  });
  await recordInboundMessages(sql, [odd]);
  await sql`select public.journal_webhook_event('sms_delivery', 'error', ${JSON.stringify(odd)}::text::jsonb)`;
  await recordReceipts(sql, [statusOf("delivered", "M2", { apikey: "S3CR3T" })]);
  await ageParked(sql, 8);
  await sweepWebhookEvents(sql);
  const kept = await journal(sql);
  assert.ok(kept.length >= 6);
  assert.ok(!JSON.stringify(kept).includes("S3CR3T"));
});

databaseTest("an event that comes with another secret is the same event", async ({ sql }) => {
  for (const apikey of ["one", "two"]) await recordReceipts(sql, [{ event: "message_exploded", apikey }]);
  assert.deepEqual((await journal(sql)).map(({ seen_count }) => seen_count), [2]);
});

// ---- receipts that wait too long ----

databaseTest(
  "receipts of a message that nobody names are journaled when they have waited long enough",
  async ({ sql }) => {
    await recordReceipts(sql, [statusOf("delivered", "M1"), statusOf("read", "M1")]);
    await ageParked(sql, 6);
    assert.deepEqual(await sweepWebhookEvents(sql), { expired: 0, deleted: 0 });
    await ageParked(sql, 2);
    assert.deepEqual(await sweepWebhookEvents(sql), { expired: 1, deleted: 0 });
    assert.deepEqual((await journal(sql)).map(({ source, reason }) => [source, reason]), [["receipt", "unmatched"]]);
    assert.equal((await sql`select from public.message_receipts`).length, 0);
    assert.equal((await sql`select from private.message_ids`).length, 0);
    assert.deepEqual(await sweepWebhookEvents(sql), { expired: 0, deleted: 0 });
  },
);

databaseTest("receipts whose message became known meanwhile stay where they are", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordReceipts(sql, [statusOf("delivered", "M1")]);
  await ageParked(sql, 30);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
  assert.deepEqual(await sweepWebhookEvents(sql), { expired: 0, deleted: 0 });
  assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 1);
});

databaseTest("a sweep takes up to its limit, the longest waiting first", async ({ sql }) => {
  await recordReceipts(sql, Array.from({ length: 25 }, (_, index) => statusOf("read", `M${index}`)));
  await ageParked(sql, 8);
  await sql`update private.message_ids set parked_at = parked_at - interval '1 day' where message_id = 'M7'`;
  assert.equal((await sweepWebhookEvents(sql, { limit: 1 })).expired, 1);
  assert.match(JSON.stringify((await journal(sql))[0]?.payload), /"M7"/);
  assert.equal((await sweepWebhookEvents(sql, { limit: 10 })).expired, 10);
  assert.equal((await sweepWebhookEvents(sql)).expired, 14);
  assert.equal((await journal(sql)).length, 25);
});

databaseTest("receipts of a message that only an unmatched callback had named are swept as well", async ({ sql }) => {
  const lost = sentCallback({ client_message_id: "", session_id: "wa_1", recipient: "nobody" }, "M1");
  await recordSendCallback(sql, { ...lost, clientMessageId: undefined });
  await recordReceipts(sql, [statusOf("delivered", "M1")]);
  await ageParked(sql, 8);
  assert.equal((await sweepWebhookEvents(sql)).expired, 1);
  assert.equal((await sql`select from public.message_receipts`).length, 0);
});

databaseTest("callbacks that nobody can match leave nothing behind but the journal", async ({ sql }) => {
  for (let index = 0; index < 5; index++) {
    const lost = sentCallback({ client_message_id: "", session_id: "wa_1", recipient: "nobody" }, `M${index}`);
    await recordSendCallback(sql, { ...lost, clientMessageId: undefined });
  }
  await sql`update private.message_ids set parked_at = parked_at - interval '100 days'`;
  await ageJournal(sql, 100);
  await sweepWebhookEvents(sql);
  assert.equal((await sql`select from private.message_ids`).length, 0);
});

const rate = { pricingCategory: "marketing" } as const;
/** What is reported of one message: to contacts, by text message and to groups. */
const reports: Record<string, (messageId: string) => Record<string, unknown>[]> = {
  "a message to a contact": (id) => [
    statusOf("sent", id, rate),
    statusOf("delivered", id, { ...rate, timestamp: 1_790_000_100 }),
    statusOf("read", id, { ...rate, timestamp: 1_790_000_200 }),
  ],
  "a message that failed": (
    id,
  ) => [statusOf("sent", id), statusOf("failed", id, { errorCode: "131026", errorMessage: "no" })],
  "a message that failed and arrived": (
    id,
  ) => [statusOf("failed", id, { errorCode: "131026" }), statusOf("played", id)],
  "a text message of which a segment failed": (id) => [
    statusOf("delivered", id, { reader: "sms", cost: 0.0079, currency: "USD" }),
    statusOf("failed", id, { reader: "sms", errorCode: "30005" }),
  ],
  "a message that people and nobody reported": (id) => [
    ...[1, 2, 3].map((number) => receipt("message_delivered", id, person(number))),
    receipt("message_read", id, person(2)),
    receipt("message_delivered", id, null),
    receipt("message_delivered", id, null),
    receipt("message_read", id, null),
  ],
};

/** Everything that receipts decide of a campaign's recipient. */
async function outcome(sql: Sql, { id, only }: Campaign) {
  const { status, delivered_count, read_count, error_code, error_message, failure_class, cost, currency } =
    await recipientRow(
      sql,
      only.id,
    );
  const receipts = await sql`
    select reader, delivered_at, read_at, played_at, sent_at is null as was_not_sent, failed_at is null as did_not_fail,
      anonymous_delivered_count, anonymous_read_count, pricing_category
    from public.message_receipts where recipient_id = ${only.id} order by reader
  `;
  return {
    row: { status, delivered_count, read_count, error_code, error_message, failure_class, cost, currency },
    stats: { ...await stats(sql, id), campaign_id: "" },
    receipts: receipts.map((each) => ({ ...each })),
  };
}

/** A campaign whose one message is under way, and a rate for it. */
async function underWay(sql: Sql, what: string) {
  const campaign = what.includes("people")
    ? await createCampaign(sql)
    : await createContactCampaign(sql, { channel: what.includes("text") ? "sms" : "whatsapp" });
  await sql`
    insert into public.message_rates (organization_id, category, cost, currency)
    values (${campaign.organizationId}, 'marketing', 0.05, 'EUR')
  `;
  return { campaign, claimed: await claimOne(sql) };
}

for (const [what, report] of Object.entries(reports)) {
  databaseTest(
    `reports of ${what} that were swept into the journal and replayed count as if they had come in time`,
    async ({ sql }) => {
      const inTime = await underWay(sql, what);
      await recordSendResults(sql, [{
        clientMessageId: inTime.claimed.client_message_id,
        outcome: "sent",
        messageId: "in time",
      }]);
      await recordReceipts(sql, report("in time"));
      const expected = await outcome(sql, inTime.campaign);

      const late = await underWay(sql, what);
      for (const one of report("late")) await recordReceipts(sql, [one]);
      await ageParked(sql, 8);
      assert.equal((await sweepWebhookEvents(sql)).expired, 1);
      assert.equal((await replayWebhookEvents(sql)).matched, 0, "nobody knows the message yet");
      await recordSendResults(sql, [{
        clientMessageId: late.claimed.client_message_id,
        outcome: "sent",
        messageId: "late",
      }]);
      assert.equal((await recipientRow(sql, late.campaign.only.id)).delivered_count, 0);

      const { tried, matched } = await replayWebhookEvents(sql);
      assert.ok(tried > 0 && matched === tried, `${matched} of ${tried}`);
      assert.deepEqual(await outcome(sql, late.campaign), expected);
      assert.deepEqual(await replayWebhookEvents(sql), { tried: 0, matched: 0 });
      assert.deepEqual(await outcome(sql, late.campaign), expected);
    },
  );
}

databaseTest("reports that come again after the sweep, and those swept, count once together", async ({ sql }) => {
  const { campaign, claimed } = await underWay(sql, "a message to a contact");
  const report = reports["a message to a contact"]?.("M1") ?? [];
  await recordReceipts(sql, report.slice(0, 2));
  await ageParked(sql, 8);
  await sweepWebhookEvents(sql);
  await recordReceipts(sql, report.slice(1));
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "sent", messageId: "M1" }]);
  await replayWebhookEvents(sql);
  await recordReceipts(sql, report);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.delivered_count, row.read_count, row.cost], ["sent", 1, 1, 0.05]);
});

databaseTest("the same reports swept twice are journaled once and replayed", async ({ sql }) => {
  const { campaign, claimed } = await underWay(sql, "a message to a contact");
  for (let times = 0; times < 2; times++) {
    await recordReceipts(sql, reports["a message to a contact"]?.("M1"));
    await ageParked(sql, 8);
    await sweepWebhookEvents(sql);
  }
  assert.equal((await journal(sql)).length, 1);
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "sent", messageId: "M1" }]);
  await replayWebhookEvents(sql);
  assert.equal((await recipientRow(sql, campaign.only.id)).read_count, 1);
});

// ---- replay ----

databaseTest("a replay finds a use for what it can, once, and leaves the rest as it was", async ({ sql }) => {
  const lost = {
    ...sentCallback({ client_message_id: "", session_id: "wa_1", recipient: "nobody" }, "M9"),
    clientMessageId: undefined,
  };
  await recordSendCallback(sql, lost);
  const campaign = await createContactCampaign(sql);
  const claimed = await claimOne(sql);
  const early = { ...sentCallback(claimed, "M1"), clientMessageId: undefined };
  await sql`select public.journal_webhook_event('send_callback', 'unmatched', ${JSON.stringify(early)}::text::jsonb)`;
  await ageJournal(sql, 80);
  assert.deepEqual(await replayWebhookEvents(sql), { tried: 2, matched: 1 });
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
  assert.deepEqual(await replayWebhookEvents(sql), { tried: 1, matched: 0 });
  const [kept] = await journal(sql);
  assert.deepEqual([kept?.seen_count, kept?.replayed_at], [1, null]);
  await ageJournal(sql, 11);
  assert.equal((await sweepWebhookEvents(sql)).deleted, 2, "a replay is no sign of life");
});

databaseTest("an event that is refused again does not stop those behind it", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 2 });
  await sendOneOf(sql, "M1");
  const long = Array.from({ length: 300 }, () => crypto.randomUUID()).join("");
  const events: [string, unknown][] = [
    ["receipt", { event: "message_read", messageId: "M1", reader: long }],
    ["receipt", statusOf("delivered", "M1")],
    ["inbound", written({ sessionId: campaign.sessionId, contact: long }, "wamid.1", "Hello")],
    ["inbound", written({ sessionId: campaign.sessionId, contact: "14155550123" }, "wamid.2", "Hello")],
    ["sms_delivery", 7],
    ["send_callback", ["odd"]],
    ["inbound", {
      event: "refused",
      events: [written({ sessionId: campaign.sessionId, contact: "14155550123" }, "wamid.3", "Hi")],
    }],
    ["receipt", [statusOf("read", "M1")]],
  ];
  for (const [source, event] of events) {
    await sql`select public.journal_webhook_event(${source}, 'error', ${JSON.stringify(event)}::text::jsonb)`;
  }
  const { tried, matched } = await replayWebhookEvents(sql);
  assert.deepEqual([tried, matched], [events.length, 4]);
  const { delivered_count, read_count } = await stats(sql, campaign.id);
  assert.deepEqual({ delivered_count, read_count }, { delivered_count: 1, read_count: 1 });
  assert.equal((await sql`select from public.chat_messages`).length, 2);
  assert.deepEqual(await replayWebhookEvents(sql), { tried: events.length - 4, matched: 0 });
});

async function sendOneOf(sql: Sql, messageId: string): Promise<void> {
  const claimed = await claimOne(sql, { limit: 1 });
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "sent", messageId }]);
}

databaseTest("a replay goes on behind where the last one ended", async ({ sql }) => {
  for (let index = 0; index < 5; index++) {
    await sql`select public.journal_webhook_event('receipt', 'unmatched', ${
      JSON.stringify(statusOf("read", `M${index}`))
    }::text::jsonb)`;
  }
  const seen: number[] = [];
  for (let after = 0, tried = 1; tried > 0;) {
    const [row] = await sql<{ answer: { tried: number; last_id: number } }[]>`
      select public.replay_webhook_events(2, ${after}) as answer
    `;
    assert.ok(row);
    ({ tried, last_id: after } = row.answer);
    seen.push(tried);
  }
  assert.deepEqual(seen, [2, 2, 1, 0]);
});

databaseTest("what is malformed or of an unknown kind is not replayed", async ({ sql }) => {
  await recordReceipts(sql, [{ event: "malformed" }, { event: "message_exploded", messageId: "M1" }, 7]);
  await recordInboundMessages(sql, [{ event: "message_received" }]);
  assert.deepEqual(await replayWebhookEvents(sql), { tried: 0, matched: 0 });
});

databaseTest(
  "a status that was journaled before its message was known counts when it carries the attempt",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { channel: "sms" });
    const { client_message_id: clientMessageId } = await claimOne(sql);
    const event = statusOf("delivered", "SM1", { reader: "sms", clientMessageId });
    await sql`select public.journal_webhook_event('sms_delivery', 'error', ${JSON.stringify(event)}::text::jsonb)`;
    assert.deepEqual(await replayWebhookEvents(sql), { tried: 1, matched: 1 });
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.delivered_count, row.message_id], ["sent", 1, "SM1"]);
  },
);

databaseTest("a replayed status that was recorded meanwhile counts once", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  const event = statusOf("read", "M1", { cost: 0.05, currency: "EUR" });
  await recordReceipts(sql, [event]);
  await sql`select public.journal_webhook_event('receipt', 'error', ${JSON.stringify(event)}::text::jsonb)`;
  assert.deepEqual(await replayWebhookEvents(sql), { tried: 1, matched: 1 });
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.read_count, row.cost], [1, 0.05]);
});

// ---- forgetting ----

databaseTest("the journal forgets what nobody has sent for its time, and keeps what still comes", async ({ sql }) => {
  await recordReceipts(sql, [{ event: "old" }, { event: "still coming" }]);
  await ageJournal(sql, 91);
  await recordReceipts(sql, [{ event: "still coming" }, { event: "new" }]);
  assert.deepEqual(await sweepWebhookEvents(sql), { expired: 0, deleted: 1 });
  assert.deepEqual((await journal(sql)).map(({ payload, seen_count }) => [payload, seen_count]), [
    [{ event: "still coming" }, 2],
    [{ event: "new" }, 1],
  ]);
  assert.deepEqual(await sweepWebhookEvents(sql, { keptFor: "0 seconds", limit: 1 }), { expired: 0, deleted: 1 });
  assert.equal((await journal(sql)).length, 1);
});
