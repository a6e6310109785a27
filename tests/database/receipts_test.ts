import assert from "node:assert/strict";
import {
  attemptsOf,
  type Campaign,
  campaignRow,
  claimOne,
  createCampaign,
  databaseTest,
  failedCallback,
  journal,
  type NewCampaign,
  person,
  receipt,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

/** A campaign to one group whose message M1 has gone out. */
async function sentCampaign(sql: Sql, campaign: NewCampaign = {}): Promise<Campaign> {
  const created = await createCampaign(sql, campaign);
  await recordSendCallback(sql, sentCallback(await claimOne(sql), "M1"));
  return created;
}

async function countsOf(sql: Sql, recipientId: string): Promise<{ delivered: number; read: number }> {
  const { delivered_count: delivered, read_count: read } = await recipientRow(sql, recipientId);
  return { delivered, read };
}

databaseTest("a delivered event from three sessions, then retried, counts once per reader", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  const readers = [person(1), person(2), person(3)];
  const report = (session: string) =>
    readers.map((reader) => receipt("message_delivered", "M1", reader, { sessionId: session }));
  assert.deepEqual(await recordReceipts(sql, report("wa_1")), { recorded: 3, duplicates: 0, parked: 0, journaled: 0 });
  for (const session of ["wa_2", "wa_3", "wa_1", "wa_2", "wa_3"]) {
    assert.deepEqual(await recordReceipts(sql, report(session)), {
      recorded: 0,
      duplicates: 3,
      parked: 0,
      journaled: 0,
    });
  }
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 3, read: 0 });
  const { delivered_count, reached_count, read_count } = await stats(sql, campaign.id);
  assert.deepEqual({ delivered_count, reached_count, read_count }, {
    delivered_count: 3,
    reached_count: 1,
    read_count: 0,
  });
});

databaseTest("a delivered event three times in one batch counts once", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  const once = receipt("message_delivered", "M1", person(1));
  assert.deepEqual(await recordReceipts(sql, [once, { ...once, sessionId: "wa_2" }, { ...once, sessionId: "wa_3" }]), {
    recorded: 1,
    duplicates: 2,
    parked: 0,
    journaled: 0,
  });
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 0 });
});

databaseTest("a read without delivered counts both", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
});

databaseTest("a played without read counts as delivered and read", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_played", "M1", person(1))]);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
});

databaseTest("a delivered after read changes nothing", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
  const before = await stats(sql, campaign.id);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1))]);
  assert.deepEqual(await stats(sql, campaign.id), before);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
});

databaseTest("a read after delivered adds a read and no delivery", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1))]);
  assert.equal((await recordReceipts(sql, [receipt("message_read", "M1", person(1))])).recorded, 1);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
});

databaseTest("a reader with device suffix, agent suffix and old server name is one reader", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  const spellings = [
    "919870000001@s.whatsapp.net",
    "919870000001:12@s.whatsapp.net",
    "919870000001_1:0@s.whatsapp.net",
    "919870000001@c.us",
    " 919870000001@s.whatsapp.net ",
  ];
  for (const spelling of spellings) await recordReceipts(sql, [receipt("message_delivered", "M1", spelling)]);
  await recordReceipts(sql, spellings.map((spelling) => receipt("message_read", "M1", spelling)));
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
  const readers = await sql`select reader from public.message_receipts`;
  assert.deepEqual([...readers], [{ reader: "919870000001@s.whatsapp.net" }]);
});

databaseTest("readers on two servers with one number are two readers", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [
    receipt("message_delivered", "M1", "919870000001@s.whatsapp.net"),
    receipt("message_delivered", "M1", "919870000001@lid"),
  ]);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 2, read: 0 });
});

databaseTest("identified and anonymous deliveries are not added up when both report", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [1, 2].map((number) => receipt("message_delivered", "M1", person(number))));
  const anonymous = receipt("message_delivered", "M1", null);
  await recordReceipts(sql, [anonymous, anonymous, anonymous]);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 3, read: 0 });
  await recordReceipts(sql, [3, 4].map((number) => receipt("message_delivered", "M1", person(number))));
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 4, read: 0 });
});

databaseTest("an empty reader is nobody when a gateway sends one", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_delivered", "M1", "")]);
  await recordReceipts(sql, [receipt("message_delivered", "M1", "  ")]);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 2, read: 0 });
});

databaseTest("an anonymous read counts as delivered too", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_read", "M1", null)]);
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
});

databaseTest("anonymous deliveries count each when they come through receipts and through the rpc", async ({ sql }) => {
  const campaign = await sentCampaign(sql, { memberCount: 5 });
  await recordReceipts(sql, [receipt("message_delivered", "M1", null)]);
  await sql`select public.increment_delivered_count(${campaign.only.id})`;
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 2, read: 0 });
  await recordReceipts(sql, Array.from({ length: 20 }, () => receipt("message_delivered", "M1", null)));
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 5, read: 0 });
});

databaseTest("delivered and read stop at the member count when more people report", async ({ sql }) => {
  const campaign = await sentCampaign(sql, { memberCount: 3 });
  const people = Array.from({ length: 5 }, (_, number) => person(number));
  await recordReceipts(sql, people.map((reader) => receipt("message_delivered", "M1", reader)));
  await recordReceipts(sql, people.map((reader) => receipt("message_read", "M1", reader)));
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 3, read: 3 });
  const { delivered_count, read_count, audience_count } = await stats(sql, campaign.id);
  assert.deepEqual({ delivered_count, read_count, audience_count }, {
    delivered_count: 3,
    read_count: 3,
    audience_count: 3,
  });
});

databaseTest("a member count raised later lets in what it had capped", async ({ sql }) => {
  const campaign = await sentCampaign(sql, { memberCount: 3 });
  const people = Array.from({ length: 5 }, (_, number) => person(number));
  await recordReceipts(sql, people.map((reader) => receipt("message_read", "M1", reader)));
  await sql`update public.notification_campaign_recipients set member_count = 4 where id = ${campaign.only.id}`;
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 4, read: 4 });
  await sql`update public.notification_campaign_recipients set member_count = 50 where id = ${campaign.only.id}`;
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 5, read: 5 });
  await sql`update public.notification_campaign_recipients set member_count = 2 where id = ${campaign.only.id}`;
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 2, read: 2 });
  await sql`update public.notification_campaign_recipients set member_count = null where id = ${campaign.only.id}`;
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 5, read: 5 });
});

databaseTest(
  "a contact counts one delivery and one read when a linked phone reports as another person",
  async ({ sql }) => {
    const campaign = await sentCampaign(sql, { channel: "whatsapp" });
    await recordReceipts(
      sql,
      [1, 2, 3].flatMap((number) => [
        receipt("message_delivered", "M1", person(number)),
        receipt("message_read", "M1", person(number)),
      ]),
    );
    assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
  },
);

databaseTest("receipts are parked before their message id is known, and adopted with it", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  assert.deepEqual(
    await recordReceipts(sql, [
      receipt("message_delivered", "M1", person(1)),
      receipt("message_read", "M1", person(2)),
      receipt("message_delivered", "M1", null),
    ]),
    { recorded: 0, duplicates: 0, parked: 3, journaled: 0 },
  );
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 0, read: 0 });
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 2, read: 1 });
  const parked = await sql`select from public.message_receipts where recipient_id is null`;
  assert.equal(parked.length, 0);
});

databaseTest("parked receipts reported again stay parked once", async ({ sql }) => {
  await createCampaign(sql);
  const once = receipt("message_delivered", "M1", person(1));
  await recordReceipts(sql, [once]);
  assert.deepEqual(await recordReceipts(sql, [once]), { recorded: 0, duplicates: 1, parked: 0, journaled: 0 });
});

for (const way of ["a send result", "a row written by hand", "confirm_recipient"] as const) {
  databaseTest(`parked receipts are adopted when ${way} names the message id`, async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
    if (way === "a send result") {
      await recordSendResults(sql, [{
        clientMessageId: claimed.client_message_id,
        outcome: "accepted",
        messageId: "M1",
      }]);
    } else if (way === "a row written by hand") {
      await sql`update public.notification_campaign_recipients set message_id = 'M1' where id = ${campaign.only.id}`;
    } else {
      await sql`select public.confirm_recipient(${campaign.only.id}, true, 'M1')`;
    }
    assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
  });
}

databaseTest("a delivered receipt proves the send when no callback came", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "accepted", messageId: "M1" }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "processing");
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1))]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.equal(row.status, "sent");
  assert.equal(row.message_id, "M1");
  assert.equal(row.lease_expires_at, null);
  assert.equal((await attemptsOf(sql, campaign.only.id))[0]?.outcome, "sent");
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
});

databaseTest("a read receipt proves the send after the row had failed", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "failed", messageId: "M1", errorMessage: "no" }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "failed");
  await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.equal(row.status, "sent");
  assert.equal(row.error_message, null);
  const { sent_count, failed_count } = await stats(sql, campaign.id);
  assert.deepEqual({ sent_count, failed_count }, { sent_count: 1, failed_count: 0 });
});

databaseTest("a parked delivery wins over the failure that names its message id", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1))]);
  await recordSendCallback(sql, { ...failedCallback(claimed), messageId: "M1" });
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 0 });
});

databaseTest(
  "a failed receipt fails an open row, and one after delivery is recorded but not applied",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    for (const messageId of ["M1", "M2"]) {
      const claimed = await claimOne(sql, { limit: 1 });
      await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "accepted", messageId }]);
    }
    await recordReceipts(sql, [receipt("message_delivered", "M1", person(1))]);
    const failure = { event: "message_failed", reader: null, errorCode: "131026", errorMessage: "undeliverable" };
    const answer = await recordReceipts(sql, [{ ...failure, messageId: "M1" }, { ...failure, messageId: "M2" }]);
    assert.equal(answer.journaled, 0);
    const { sent_count, failed_count } = await stats(sql, campaign.id);
    assert.deepEqual({ sent_count, failed_count }, { sent_count: 1, failed_count: 1 });
    const kept =
      await sql`select error_code from public.message_receipts where failed_at is not null order by message_id`;
    assert.deepEqual([...kept], [{ error_code: "131026" }, { error_code: "131026" }]);
  },
);

databaseTest("one participant's failed receipt does not fail the group", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "accepted", messageId: "M1" }]);
  await recordReceipts(sql, [{ event: "message_failed", messageId: "M1", reader: person(1), errorMessage: "blocked" }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "processing");
});

databaseTest("the earliest report of a receipt keeps its time when later ones come", async ({ sql }) => {
  await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1), { timestamp: 1_790_000_100 })]);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1), { timestamp: 1_790_000_999 })]);
  const [row] = await sql<{ delivered_at: Date }[]>`select delivered_at from public.message_receipts`;
  assert.equal(row?.delivered_at.getTime(), 1_790_000_100_000);
});

databaseTest(
  "a receipt's time is understood in seconds, milliseconds, digits and ISO, and garbage is tolerated",
  async ({ sql }) => {
    await sentCampaign(sql, { memberCount: null });
    const expected = 1_790_000_100_000;
    const understood = [
      1_790_000_100,
      1_790_000_100_000,
      "1790000100",
      "1790000100000",
      new Date(expected).toISOString(),
    ];
    const garbage = [
      "yesterday",
      "",
      -5,
      1e300,
      "9".repeat(40),
      "2026-13-45T99:00:00Z",
      true,
      {},
      [],
      null,
      "infinity",
      "now",
      "1e5",
    ];
    const times = [...understood, ...garbage];
    const answer = await recordReceipts(
      sql,
      times.map((timestamp, number) => receipt("message_delivered", "M1", person(number), { timestamp })),
    );
    assert.deepEqual(answer, { recorded: times.length, duplicates: 0, parked: 0, journaled: 0 });
    const rows = await sql<{ delivered_at: Date }[]>`select delivered_at from public.message_receipts order by reader`;
    assert.deepEqual(
      rows.slice(0, understood.length).map((row) => row.delivered_at.getTime()),
      understood.map(() => expected),
    );
    for (const { delivered_at } of rows.slice(understood.length)) {
      assert.ok(Math.abs(delivered_at.getTime() - Date.now()) < 60_000, `${delivered_at} is now`);
    }
  },
);

databaseTest("malformed and unknown elements are journaled and do not sink their batch", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  const answer = await recordReceipts(sql, [
    receipt("message_delivered", "M1", person(1)),
    { event: "malformed", reason: "messageId: missing", payload: { event: "message_read" } },
    { event: "message_edited", messageId: "M1", reader: person(1) },
    { event: "message_delivered", reader: person(2) },
    { event: "message_delivered", messageId: "", reader: person(2) },
    { messageId: "M1", reader: person(2) },
    {},
    receipt("message_read", "M1", person(1)),
  ]);
  assert.deepEqual(answer, { recorded: 2, duplicates: 0, parked: 0, journaled: 6 });
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 1 });
  const reasons = (await journal(sql)).map((entry) => entry.reason).sort();
  assert.deepEqual(reasons, ["malformed", "malformed", "malformed", "unknown_event", "unknown_event", "unknown_event"]);
});

databaseTest("an element that is no object is journaled and does not sink its batch of receipts", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  const elements = [7, "x", null, [1], true];
  for (const [number, element] of elements.entries()) {
    const answer = await recordReceipts(sql, [receipt("message_delivered", "M1", person(number)), element]);
    assert.deepEqual(answer, { recorded: 1, duplicates: 0, parked: 0, journaled: 1 }, JSON.stringify(element));
  }
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: elements.length, read: 0 });
});

databaseTest("an unknown event that comes again is journaled once with how often", async ({ sql }) => {
  const unknown = { event: "presence_update", messageId: "M1" };
  await recordReceipts(sql, [unknown, unknown]);
  await recordReceipts(sql, [unknown]);
  const entries = await journal(sql);
  assert.equal(entries.length, 1);
  assert.equal(entries[0]?.source, "receipt");
  assert.ok((entries[0]?.seen_count ?? 0) >= 2);
});

databaseTest("an empty batch of receipts records nothing", async ({ sql }) => {
  assert.deepEqual(await recordReceipts(sql, []), { recorded: 0, duplicates: 0, parked: 0, journaled: 0 });
});

databaseTest("a batch of a thousand receipts of ten messages counts each person once", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 10, memberCount: 100 });
  const events: unknown[] = [];
  for (let message = 0; message < 10; message++) {
    const claimed = await claimOne(sql, { limit: 1 });
    await recordSendCallback(sql, sentCallback(claimed, `M${message}`));
    for (let reader = 0; reader < 100; reader++) {
      events.push(receipt("message_delivered", `M${message}`, person(reader)));
    }
  }
  assert.equal((await recordReceipts(sql, events)).recorded, 1000);
  assert.equal((await recordReceipts(sql, events.toReversed())).duplicates, 1000);
  assert.equal((await stats(sql, campaign.id)).delivered_count, 1000);
});

databaseTest("receipts of a deleted recipient go with it, and late ones are parked", async ({ sql }) => {
  const campaign = await sentCampaign(sql, { recipients: 1 });
  await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
  await sql`delete from public.notification_campaign_recipients where id = ${campaign.only.id}`;
  assert.equal((await sql`select from public.message_receipts`).length, 0);
  assert.equal((await recordReceipts(sql, [receipt("message_read", "M1", person(1))])).parked, 1);
  const { total_count, delivered_count, read_count } = await stats(sql, campaign.id);
  assert.deepEqual({ total_count, delivered_count, read_count }, { total_count: 0, delivered_count: 0, read_count: 0 });
});

databaseTest("receipts deleted by hand take their counts along", async ({ sql }) => {
  const campaign = await sentCampaign(sql);
  await recordReceipts(sql, [receipt("message_read", "M1", person(1)), receipt("message_delivered", "M1", person(2))]);
  await sql`delete from public.message_receipts where reader = ${person(1)}`;
  assert.deepEqual(await countsOf(sql, campaign.only.id), { delivered: 1, read: 0 });
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
});
