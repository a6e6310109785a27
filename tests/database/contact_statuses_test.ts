import assert from "node:assert/strict";
import {
  addRecipients,
  attemptsOf,
  campaignRow,
  claim,
  claimOne,
  createContactCampaign,
  databaseTest,
  endLeases,
  incrementDeliveredCount,
  journal,
  makeDue,
  phone,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  sendOne,
  sentCallback,
  type Sql,
  stats,
  type StatusKind,
  statusOf,
} from "../harness/mod.ts";

/** How a recipient ended: status, delivered and read. */
async function endOf(sql: Sql, recipientId: string): Promise<[string, number, number]> {
  const { status, delivered_count, read_count } = await recipientRow(sql, recipientId);
  return [status, delivered_count, read_count];
}

const sms = { reader: "sms" } as const;

// ---- one message to a contact, whose statuses come in any order ----

const ends: [readonly StatusKind[], [string, number, number]][] = [
  [["sent"], ["sent", 0, 0]],
  [["delivered"], ["sent", 1, 0]],
  [["read"], ["sent", 1, 1]],
  [["played"], ["sent", 1, 1]],
  [["failed"], ["failed", 0, 0]],
  [["sent", "failed"], ["failed", 0, 0]],
  [["failed", "sent"], ["failed", 0, 0]],
  [["failed", "delivered"], ["sent", 1, 0]],
  [["delivered", "failed"], ["sent", 1, 0]],
  [["failed", "read"], ["sent", 1, 1]],
  [["read", "delivered", "sent"], ["sent", 1, 1]],
  [["failed", "failed", "delivered", "failed"], ["sent", 1, 0]],
];
databaseTest("a message ends as its statuses say, one post each, after the answer to the send", async ({ sql }) => {
  for (const [index, [kinds, end]] of ends.entries()) {
    const { only } = await createContactCampaign(sql);
    await sendOne(sql, `M${index}`);
    for (const kind of kinds) await recordReceipts(sql, [statusOf(kind, `M${index}`)]);
    assert.deepEqual(await endOf(sql, only.id), end, kinds.join(", "));
  }
});

databaseTest(
  "either of two messages that one attempt became fails it, and neither of an older attempt's does",
  async ({ sql }) => {
    for (const failing of ["A", "B"]) {
      const { only } = await createContactCampaign(sql);
      const { client_message_id: clientMessageId } = await claimOne(sql);
      for (const name of ["A", "B"]) {
        await recordSendResults(sql, [{ clientMessageId, outcome: "accepted", messageId: `${failing}${name}` }]);
      }
      await recordReceipts(sql, [statusOf("failed", `${failing}${failing}`)]);
      assert.deepEqual(await endOf(sql, only.id), ["failed", 0, 0], failing);
    }
    const { only } = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordSendResults(sql, [{ clientMessageId, outcome: "deferred", errorCode: "http_503" }]);
    await makeDue(sql);
    await claimOne(sql);
    for (const name of ["C", "D"]) {
      await recordSendResults(sql, [{ clientMessageId, outcome: "accepted", messageId: name }]);
      await recordReceipts(sql, [statusOf("failed", name)]);
      assert.equal((await recipientRow(sql, only.id)).status, "processing", name);
    }
  },
);

databaseTest("a message ends as its statuses say, in one post, before the answer to the send", async ({ sql }) => {
  for (const [index, [kinds, end]] of ends.entries()) {
    const { only } = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    const { parked } = await recordReceipts(sql, kinds.map((kind) => statusOf(kind, `M${index}`)));
    assert.equal(parked, new Set(kinds).size);
    await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: `M${index}` }]);
    assert.deepEqual(await endOf(sql, only.id), end, kinds.join(", "));
  }
});

databaseTest(
  "a message ends as its statuses say when they carry its attempt and the answer to the send never comes",
  async ({ sql }) => {
    for (const [index, [kinds, end]] of ends.entries()) {
      const { only } = await createContactCampaign(sql);
      const { client_message_id: clientMessageId } = await claimOne(sql);
      for (const kind of kinds) await recordReceipts(sql, [statusOf(kind, `M${index}`, { clientMessageId })]);
      assert.deepEqual(await endOf(sql, only.id), end, kinds.join(", "));
      await endLeases(sql);
      assert.equal(await recoverStale(sql), 0, "nobody waits for it any more");
    }
  },
);

databaseTest("a message that was answered as failed and is reported as delivered is sent", async ({ sql }) => {
  const { only } = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode: "131026" }]);
  await recordReceipts(sql, [statusOf("delivered", "M1", { clientMessageId })]);
  assert.deepEqual(await endOf(sql, only.id), ["sent", 1, 0]);
  assert.equal((await recipientRow(sql, only.id)).message_id, "M1");
});

databaseTest("progress is never above 100 and never falls while statuses come in", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 8 });
  const claims = await claim(sql);
  let before = 0;
  const look = async () => {
    const { progress } = await stats(sql, campaign.id);
    assert.ok(progress >= before && progress <= 100, `${before} % became ${progress} %`);
    before = progress;
  };
  for (const [index, { client_message_id }] of claims.entries()) {
    const [kinds] = ends[index] ?? [[]];
    for (const kind of kinds) {
      await recordReceipts(sql, [statusOf(kind, `M${index}`, { clientMessageId: client_message_id })]);
      await look();
    }
    await recordSendResults(sql, [{ clientMessageId: client_message_id, outcome: "sent", messageId: `M${index}` }]);
    await look();
  }
  assert.equal(before, 100);
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
});

// ---- text messages in segments ----

for (
  const order of [["failed", "delivered"], ["delivered", "failed"], [
    "sent",
    "delivered",
    "failed",
    "delivered",
  ]] as const
) {
  databaseTest(
    `a text message whose segments are ${order.join(", ")} failed, and nobody counts as reached`,
    async ({ sql }) => {
      const campaign = await createContactCampaign(sql, { channel: "sms" });
      await sendOne(sql, "SM1");
      for (const kind of order) await recordReceipts(sql, [statusOf(kind, "SM1", { ...sms, errorCode: "30005" })]);
      assert.deepEqual(await endOf(sql, campaign.only.id), ["failed", 0, 0]);
      assert.equal((await recipientRow(sql, campaign.only.id)).failure_class, "invalid_recipient");
      const { delivered_count, reached_count, failed_count } = await stats(sql, campaign.id);
      assert.deepEqual({ delivered_count, reached_count, failed_count }, {
        delivered_count: 0,
        reached_count: 0,
        failed_count: 1,
      });
    },
  );
}

databaseTest("a text message of which one segment failed is not read, whatever the other says", async ({ sql }) => {
  for (const [index, order] of ([["failed", "read"], ["read", "failed"]] as const).entries()) {
    const { only } = await createContactCampaign(sql, { channel: "sms" });
    await sendOne(sql, `SM${index}`);
    for (const kind of order) await recordReceipts(sql, [statusOf(kind, `SM${index}`, sms)]);
    assert.deepEqual(await endOf(sql, only.id), ["failed", 0, 0], order.join(", "));
  }
});

databaseTest("two segments that arrived are one delivery", async ({ sql }) => {
  const { only } = await createContactCampaign(sql, { channel: "sms" });
  await sendOne(sql, "SM1");
  const delivered = statusOf("delivered", "SM1", sms);
  assert.deepEqual(await recordReceipts(sql, [delivered, delivered]), {
    recorded: 1,
    duplicates: 1,
    parked: 0,
    journaled: 0,
  });
  assert.deepEqual(await endOf(sql, only.id), ["sent", 1, 0]);
});

// ---- whose message an id is ----

databaseTest("a status whose clientMessageId is no attempt is parked until its message is named", async ({ sql }) => {
  const { only } = await createContactCampaign(sql);
  const claimed = await claimOne(sql);
  for (const clientMessageId of ["garbage", "", crypto.randomUUID(), `${claimed.client_message_id}x`, "null"]) {
    const answer = await recordReceipts(sql, [statusOf("delivered", `M${clientMessageId}`, { clientMessageId })]);
    assert.equal(answer.parked, 1, clientMessageId);
  }
  assert.deepEqual(await endOf(sql, only.id), ["processing", 0, 0]);
  await recordSendResults(sql, [{
    clientMessageId: claimed.client_message_id,
    outcome: "sent",
    messageId: "Mgarbage",
  }]);
  assert.deepEqual(await endOf(sql, only.id), ["sent", 1, 0]);
});

databaseTest("a status that carries another campaign's attempt is about that campaign's message", async ({ sql }) => {
  const one = await createContactCampaign(sql);
  const first = await claimOne(sql);
  const two = await createContactCampaign(sql);
  await claimOne(sql);
  await recordReceipts(sql, [statusOf("read", "M1", { clientMessageId: first.client_message_id })]);
  assert.deepEqual(await endOf(sql, one.only.id), ["sent", 1, 1]);
  assert.deepEqual(await endOf(sql, two.only.id), ["processing", 0, 0]);
});

databaseTest("a known message stays whose it is when a status carries somebody else's attempt", async ({ sql }) => {
  const one = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  const two = await createContactCampaign(sql);
  const second = await claimOne(sql);
  await recordReceipts(sql, [statusOf("delivered", "M1", { clientMessageId: second.client_message_id })]);
  assert.deepEqual(await endOf(sql, one.only.id), ["sent", 1, 0]);
  assert.deepEqual(await endOf(sql, two.only.id), ["processing", 0, 0]);
  assert.equal((await sql`select from public.duplicate_sends`).length, 0);
});

databaseTest(
  "statuses of two messages of one post that carry one attempt show a second send, counted once",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordReceipts(sql, [
      statusOf("delivered", "M1", { clientMessageId }),
      statusOf("read", "M2", { clientMessageId }),
    ]);
    await assertSentTwice(sql, campaign.id, campaign.only.id);
  },
);

databaseTest("a status of another message of an attempt shows a second send, counted once", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1")]);
  await recordReceipts(sql, [statusOf("read", "M2", { clientMessageId })]);
  await assertSentTwice(sql, campaign.id, campaign.only.id);
});

async function assertSentTwice(sql: Sql, campaignId: string, recipientId: string): Promise<void> {
  const [twice, ...others] = await sql<{ recipient_id: string; message_ids: string[] }[]>`
    select recipient_id, message_ids from public.duplicate_sends
  `;
  assert.deepEqual([twice?.recipient_id, twice?.message_ids.toSorted(), others], [recipientId, ["M1", "M2"], []]);
  const { sent_count, delivered_count, read_count, total_count } = await stats(sql, campaignId);
  assert.deepEqual({ sent_count, delivered_count, read_count, total_count }, {
    sent_count: 1,
    delivered_count: 1,
    read_count: 1,
    total_count: 1,
  });
}

databaseTest(
  "a recipient stays sent when the second of two messages fails, and when the first does",
  async ({ sql }) => {
    for (const [index, failing] of ["first", "second"].entries()) {
      const { only } = await createContactCampaign(sql);
      const { client_message_id: clientMessageId } = await sendOne(sql, `first-${index}`);
      await recordReceipts(sql, [statusOf("sent", `second-${index}`, { clientMessageId })]);
      await recordReceipts(sql, [statusOf("failed", `${failing}-${index}`)]);
      assert.equal((await recipientRow(sql, only.id)).status, "sent", `the ${failing} failed`);
    }
  },
);

databaseTest("a recipient stays sent by a second message that was first accepted and then sent", async ({ sql }) => {
  const { only } = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await sendOne(sql, "M2");
  await recordSendResults(sql, [{ clientMessageId, outcome: "accepted", messageId: "M1" }]);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
  await recordReceipts(sql, [statusOf("failed", "M2")]);
  assert.equal((await recipientRow(sql, only.id)).status, "sent");
});

databaseTest("a recipient has failed when each of two messages failed, in either order", async ({ sql }) => {
  for (const [index, order] of [["first", "second"], ["second", "first"]].entries()) {
    const { only } = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await sendOne(sql, `first-${index}`);
    await recordReceipts(sql, [statusOf("sent", `second-${index}`, { clientMessageId })]);
    for (const name of order) await recordReceipts(sql, [statusOf("failed", `${name}-${index}`)]);
    assert.equal((await recipientRow(sql, only.id)).status, "failed", order.join(", "));
  }
});

databaseTest(
  "a message that its statuses alone prove is seen as a second send, and keeps its recipient sent",
  async ({ sql }) => {
    for (const [index, kind] of (["sent", "delivered"] as const).entries()) {
      const { only } = await createContactCampaign(sql);
      const first = await claimOne(sql);
      await recordSendResults(sql, [
        { clientMessageId: first.client_message_id, outcome: "accepted", messageId: `first-${index}` },
      ]);
      await endLeases(sql);
      await recoverStale(sql);
      await sendOne(sql, `second-${index}`);
      await recordReceipts(sql, [statusOf(kind, `first-${index}`)]);
      const twice = await sql`select from public.duplicate_sends where recipient_id = ${only.id}`;
      assert.equal(twice.length, 1, `the first was reported as ${kind}`);
      await recordReceipts(sql, [statusOf("failed", `second-${index}`)]);
      assert.equal((await recipientRow(sql, only.id)).status, "sent", `the first was reported as ${kind}`);
    }
  },
);

databaseTest("a failure of a lost attempt leaves the attempt under way alone", async ({ sql }) => {
  const { only } = await createContactCampaign(sql);
  const first = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  const second = await claimOne(sql);
  await recordReceipts(sql, [statusOf("failed", "M1", { clientMessageId: first.client_message_id })]);
  assert.equal((await recipientRow(sql, only.id)).status, "processing");
  await recordSendResults(sql, [{ clientMessageId: second.client_message_id, outcome: "sent", messageId: "M2" }]);
  assert.deepEqual(
    [(await recipientRow(sql, only.id)).status, (await recipientRow(sql, only.id)).message_id],
    ["sent", "M2"],
  );
  await recordReceipts(sql, [statusOf("failed", "M2")]);
  assert.equal((await recipientRow(sql, only.id)).status, "failed");
});

databaseTest("a failure of a lost attempt leaves the message to be sent again", async ({ sql }) => {
  const { only } = await createContactCampaign(sql);
  const first = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  await recordReceipts(sql, [
    statusOf("failed", "M1", { clientMessageId: first.client_message_id, errorCode: "131000" }),
  ]);
  // the provider had it and says that it will not arrive: one end for a message that was taken, whoever heard of it first
  assert.equal((await recipientRow(sql, only.id)).status, "failed");
});

// ---- what was sent is not sent again ----

for (const status of ["pending", "processing", "unconfirmed", "failed"] as const) {
  databaseTest(`a row that carries a message id is never handed out, though it is ${status}`, async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: 2 });
    const [marked, other] = campaign.recipients;
    assert.ok(marked && other);
    await sql`
      update public.notification_campaign_recipients
      set status = ${status}, message_id = 'M1', error_message = 'left over', error_code = '131000'
      where id = ${marked.id}
    `;
    if (status === "processing") {
      await endLeases(sql);
      await recoverStale(sql);
    }
    await makeDue(sql);
    assert.deepEqual((await claim(sql)).map(({ recipient_id }) => recipient_id), [other.id]);
    assert.deepEqual(await claim(sql), []);
    if (status === "pending" || status === "processing") {
      const row = await recipientRow(sql, marked.id);
      assert.deepEqual([row.status, row.message_id, row.skip_reason], ["sent", "M1", null]);
      assert.equal((await attemptsOf(sql, marked.id)).length, 0);
    }
  });
}

databaseTest(
  "a row that carries a message id is settled as sent, though its contact has opted out since",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    await sql`update public.notification_campaign_recipients set message_id = 'M1'`;
    await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    values (${campaign.organizationId}, 'whatsapp', ${campaign.only.recipient})
  `;
    assert.deepEqual(await claim(sql), []);
    assert.deepEqual(await endOf(sql, campaign.only.id), ["sent", 0, 0]);
  },
);

databaseTest("a row that is settled by its message id carries no error", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode: "131000", errorMessage: "later" }]);
  await sql`update public.notification_campaign_recipients set message_id = 'M1'`;
  await makeDue(sql);
  assert.deepEqual(await claim(sql), []);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code, row.error_message, row.failure_class], ["sent", null, null, null]);
});

// ---- a failed message that a person sends again ----

/** A message that failed and is to be sent again: its recipient, and the claim of the first send. */
async function failedOnce(sql: Sql) {
  const campaign = await createContactCampaign(sql);
  const first = await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("failed", "M1", { errorCode: "131026", errorMessage: "not now" })]);
  const [retried] = await sql<
    { status: string }[]
  >`select c.status from public.retry_failed_recipients(${campaign.id}) c`;
  assert.equal(retried?.status, "processing");
  assert.equal((await stats(sql, campaign.id)).pending_count, 1);
  return { campaign, first };
}

databaseTest(
  "a failed message that is retried goes out under a new id, and receipts of either are its own",
  async ({ sql }) => {
    const { campaign } = await failedOnce(sql);
    const pending = await recipientRow(sql, campaign.only.id);
    assert.deepEqual(
      [pending.status, pending.message_id, pending.error_code, pending.failure_class],
      ["pending", null, null, null],
    );
    assert.equal((await sendOne(sql, "M2")).attempt_number, 2);
    assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M2");
    // the phone was off, and gets both
    await recordReceipts(sql, [statusOf("delivered", "M1"), statusOf("read", "M2")]);
    assert.deepEqual(await endOf(sql, campaign.only.id), ["sent", 1, 1]);
    const { sent_count, delivered_count, read_count } = await stats(sql, campaign.id);
    assert.deepEqual({ sent_count, delivered_count, read_count }, { sent_count: 1, delivered_count: 1, read_count: 1 });
  },
);

databaseTest(
  "a failed message that is delivered after all before its second turn is not sent again",
  async ({ sql }) => {
    const { campaign } = await failedOnce(sql);
    await recordReceipts(sql, [statusOf("delivered", "M1")]);
    assert.deepEqual(await claim(sql), []);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.message_id, row.delivered_count], ["sent", "M1", 1]);
  },
);

databaseTest("a failed message stays on its second turn when late words of the first come in", async ({ sql }) => {
  const { campaign, first } = await failedOnce(sql);
  await recordReceipts(sql, [statusOf("sent", "M1"), statusOf("failed", "M1", { errorCode: "131026" })]);
  await recordReceipts(sql, [statusOf("failed", "M1", { cost: 0.02, currency: "EUR" })]);
  await recordSendResults(sql, [{ clientMessageId: first.client_message_id, outcome: "sent", messageId: "M1" }]);
  await recordSendCallback(sql, sentCallback(first, "M1"));
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
  assert.equal((await sendOne(sql, "M2")).recipient_id, campaign.only.id);
  await recordReceipts(sql, [statusOf("played", "M1", { reader: "somebody else" })]);
  assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M2");
});

databaseTest("a second message that fails as well fails its recipient again", async ({ sql }) => {
  const { campaign } = await failedOnce(sql);
  await sendOne(sql, "M2");
  await recordReceipts(sql, [statusOf("failed", "M2", { errorCode: "131047" })]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code, row.failure_class], ["failed", "131047", "window_closed"]);
});

databaseTest("a message that failed and went out again is no second send", async ({ sql }) => {
  await failedOnce(sql);
  await sendOne(sql, "M2");
  assert.deepEqual([...await sql`select message_ids from public.duplicate_sends`], []);
});

// ---- both kinds of reports of one message ----

databaseTest(
  "a contact is counted once when the recipient, a person and nobody are named as readers",
  async ({ sql }) => {
    const { only } = await createContactCampaign(sql);
    await sendOne(sql, "M1");
    await recordReceipts(sql, [
      statusOf("read", "M1"),
      statusOf("delivered", "M1", { reader: "919870000001@s.whatsapp.net" }),
      statusOf("delivered", "M1", { reader: null }),
    ]);
    await incrementDeliveredCount(sql, only.id);
    assert.deepEqual(await endOf(sql, only.id), ["sent", 1, 1]);
  },
);

// ---- odd statuses ----

databaseTest("a status of a wrong type is journaled beside the good ones of its post", async ({ sql }) => {
  const { only } = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  const odd = [
    7,
    "text",
    null,
    true,
    [],
    ["message_read"],
    {},
    { event: "message_read" },
    { messageId: "M1" },
    {
      event: "message_read",
      messageId: "",
    },
    { event: "message_exploded", messageId: "M1" },
    { event: ["message_read"], messageId: "M1" },
  ];
  assert.deepEqual(await recordReceipts(sql, [...odd, statusOf("delivered", "M1")]), {
    recorded: 1,
    duplicates: 0,
    parked: 0,
    journaled: odd.length,
  });
  assert.deepEqual(await endOf(sql, only.id), ["sent", 1, 0]);
  const kept = await journal(sql);
  assert.deepEqual(new Set(kept.map(({ source }) => source)), new Set(["receipt"]));
  assert.equal(kept.length, odd.length);
});

databaseTest("odd fields of a status are stored or left out, and sink nothing", async ({ sql }) => {
  const { only } = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  const odd = [
    { errorCode: { code: 1 }, errorMessage: ["x"], timestamp: {} },
    { timestamp: "999999999999999999999", sessionId: 7, clientMessageId: 12 },
    { clientMessageId: { id: "x" }, pricingCategory: 3, currency: false },
    { reader: { wa_id: "1" } },
    { timestamp: true, errorMessage: "x".repeat(100_000) },
  ].map((fields, index) => statusOf("read", `odd ${index}`, fields));
  const answer = await recordReceipts(sql, [...odd, statusOf("read", "M1")]);
  assert.deepEqual(answer, { recorded: 1, duplicates: 0, parked: odd.length, journaled: 0 });
  assert.deepEqual(await endOf(sql, only.id), ["sent", 1, 1]);
});

databaseTest("statuses of a text message that cannot be read are journaled as sms_delivery", async ({ sql }) => {
  await sql`select public.record_receipts('[{"event": "twilio status", "payload": {"MessageStatus": "partially"}}]', 'sms_delivery')`;
  await sql`select public.record_receipts('[{"event": "malformed", "reason": "no sid"}]', p_source => 'sms_delivery')`;
  assert.deepEqual((await journal(sql)).map(({ source, reason }) => [source, reason]), [
    ["sms_delivery", "unknown_event"],
    ["sms_delivery", "malformed"],
  ]);
});

databaseTest("a late failure of a cancelled campaign's message is recorded and reopens nothing", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 2 });
  const [one] = await claim(sql, { limit: 1 });
  assert.ok(one);
  await recordSendResults(sql, [{ clientMessageId: one.client_message_id, outcome: "sent", messageId: "M1" }]);
  await sql`select public.cancel_campaign(${campaign.id})`;
  await recordReceipts(sql, [statusOf("failed", "M1", { errorCode: "131026" })]);
  const { failed_count, skipped_count, sent_count } = await stats(sql, campaign.id);
  assert.deepEqual({ failed_count, skipped_count, sent_count }, { failed_count: 1, skipped_count: 1, sent_count: 0 });
  assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
});

databaseTest("a campaign whose last message fails after it was sent stays completed", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  await recordReceipts(sql, [statusOf("failed", "M1")]);
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  await addRecipients(sql, campaign.id, [{ recipient: phone() }], null);
  assert.equal((await claim(sql)).length, 1);
});
