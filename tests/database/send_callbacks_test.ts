import assert from "node:assert/strict";
import {
  attemptsOf,
  campaignRow,
  claim,
  claimOne,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  endLeases,
  failedCallback,
  groupJid,
  journal,
  makeDue,
  person,
  receipt,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  replayWebhookEvents,
  sentCallback,
  stats,
  withoutId,
} from "../harness/mod.ts";

const APPLIED = { recorded: 1, duplicates: 0, unmatched: 0, journaled: 0 };
const DUPLICATE = { recorded: 0, duplicates: 1, unmatched: 0, journaled: 0 };
const UNMATCHED = { recorded: 0, duplicates: 0, unmatched: 1, journaled: 0 };

// ---- one send, its callbacks in every order ----

databaseTest("a callback settles the row and completes the campaign when it was the last", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  assert.deepEqual(await recordSendCallback(sql, sentCallback(claimed, "M1")), APPLIED);
  const row = await recipientRow(sql, campaign.only.id);
  assert.equal(row.status, "sent");
  assert.equal(row.message_id, "M1");
  assert.equal(row.sent_at?.getTime(), 1_790_000_000_000);
  assert.equal(row.lease_expires_at, null);
  const { status, completed_at } = await campaignRow(sql, campaign.id);
  assert.equal(status, "completed");
  assert.notEqual(completed_at, null);
  assert.equal((await stats(sql, campaign.id)).progress, 100);
});

databaseTest("a callback that comes again changes nothing", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const callback = sentCallback(await claimOne(sql), "M1");
  await recordSendCallback(sql, callback);
  const before = [
    await recipientRow(sql, campaign.only.id),
    await stats(sql, campaign.id),
    await attemptsOf(sql, campaign.only.id),
  ];
  for (const again of [callback, withoutId(callback), { ...callback, sessionId: "wa_other" }, [callback]]) {
    assert.deepEqual(await recordSendCallback(sql, again), DUPLICATE);
  }
  assert.deepEqual(
    [await recipientRow(sql, campaign.only.id), await stats(sql, campaign.id), await attemptsOf(sql, campaign.only.id)],
    before,
  );
});

databaseTest("a callback twice in one batch is recorded once", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const callback = sentCallback(await claimOne(sql), "M1");
  assert.deepEqual(await recordSendCallback(sql, [callback, callback]), {
    recorded: 1,
    duplicates: 1,
    unmatched: 0,
    journaled: 0,
  });
  assert.equal((await stats(sql, campaign.id)).sent_count, 1);
  assert.equal((await attemptsOf(sql, campaign.only.id)).length, 1);
});

for (const [how, strip] of [["with", (event: Record<string, unknown>) => event], ["without", withoutId]] as const) {
  databaseTest(`a success after a failure wins when both come ${how} clientMessageId`, async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    assert.deepEqual(await recordSendCallback(sql, strip(failedCallback(claimed, "timed out"))), APPLIED);
    const failed = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([failed.status, failed.error_message], ["failed", "timed out"]);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");

    assert.deepEqual(await recordSendCallback(sql, strip(sentCallback(claimed, "M1"))), APPLIED);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.message_id, row.error_message], ["sent", "M1", null]);
    const { sent_count, failed_count } = await stats(sql, campaign.id);
    assert.deepEqual({ sent_count, failed_count }, { sent_count: 1, failed_count: 0 });
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  });
}

databaseTest("a failure after a success is recorded on the attempt and not applied to the row", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  assert.deepEqual(await recordSendCallback(sql, failedCallback(claimed, "not a participant")), DUPLICATE);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.message_id, row.error_message], ["sent", "M1", null]);
  const [attempt] = await attemptsOf(sql, campaign.only.id);
  assert.deepEqual([attempt?.outcome, attempt?.error_message], ["sent", "not a participant"]);
});

databaseTest("a failure after a delivered receipt is recorded and not applied", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "accepted", messageId: "M1" }]);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1))]);
  assert.deepEqual(await recordSendCallback(sql, failedCallback(claimed, "not a participant")), DUPLICATE);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
  assert.equal((await attemptsOf(sql, campaign.only.id))[0]?.error_message, "not a participant");
  const { sent_count, failed_count, delivered_count } = await stats(sql, campaign.id);
  assert.deepEqual({ sent_count, failed_count, delivered_count }, {
    sent_count: 1,
    failed_count: 0,
    delivered_count: 1,
  });
});

for (const order of [["sent", "failed"], ["failed", "sent"]] as const) {
  databaseTest(`a success wins when ${order.join(" and ")} come in one batch`, async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    const answer = await recordSendCallback(
      sql,
      order.map((event) => event === "sent" ? sentCallback(claimed, "M1") : failedCallback(claimed)),
    );
    assert.equal(answer.recorded + answer.duplicates, 2);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.message_id, row.error_message], ["sent", "M1", null]);
  });
}

for (const [how, strip] of [["with", (event: Record<string, unknown>) => event], ["without", withoutId]] as const) {
  databaseTest(
    `a success ${how} clientMessageId after the row went back to pending stops the second send`,
    async ({ sql }) => {
      const campaign = await createCampaign(sql);
      const claimed = await claimOne(sql);
      await endLeases(sql);
      assert.equal(await recoverStale(sql), 1);
      assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
      assert.deepEqual(await recordSendCallback(sql, strip(sentCallback(claimed, "M1"))), APPLIED);
      assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
      await makeDue(sql);
      assert.deepEqual(await claim(sql), []);
      assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
    },
  );
}

databaseTest("a failure after the row went back to pending fails it", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  assert.deepEqual(await recordSendCallback(sql, failedCallback(claimed)), APPLIED);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "failed");
});

databaseTest("a callback before the /send answer settles the row, and the answer changes nothing", async ({ sql }) => {
  for (const outcome of ["accepted", "unknown", "failed", "deferred", "not_found"] as const) {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    await recordSendCallback(sql, sentCallback(claimed, `M-${outcome}`));
    const before = await recipientRow(sql, campaign.only.id);
    assert.deepEqual(
      await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome, errorMessage: "late" }]),
      { recorded: 0, superseded: 1 },
    );
    assert.deepEqual(await recipientRow(sql, campaign.only.id), before, outcome);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  }
});

databaseTest("a failure before the /send answer stays when the gateway then says accepted", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendCallback(sql, failedCallback(claimed));
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "accepted" }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "failed");
});

databaseTest("a success settles a row that waits for a person", async ({ sql }) => {
  const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
  const claimed = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "unconfirmed");
  assert.deepEqual(await recordSendCallback(sql, withoutId(sentCallback(claimed, "M1"))), APPLIED);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code, row.error_message], ["sent", null, null]);
});

databaseTest("a success settles a row that was cancelled while it was being sent", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  const claimed = await claimOne(sql, { limit: 1 });
  await sql`select public.cancel_campaign(${campaign.id})`;
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  const { sent_count, skipped_count } = await stats(sql, campaign.id);
  assert.deepEqual({ sent_count, skipped_count }, { sent_count: 1, skipped_count: 1 });
  assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
});

databaseTest("a callback settles a row that somebody set to processing by hand", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await sql`update public.notification_campaign_recipients set status = 'processing'`;
  const callback = { event: "message_sent", sessionId: "wa_x", groupJid: campaign.only.recipient, messageId: "M1" };
  assert.deepEqual(await recordSendCallback(sql, callback), APPLIED);
  assert.deepEqual(await recordSendCallback(sql, callback), DUPLICATE);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
});

databaseTest("an error that is an object keeps its code and its message", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendCallback(sql, { ...failedCallback(claimed), error: { code: "403", message: "kicked out" } });
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code, row.error_message], ["failed", "403", "kicked out"]);
});

databaseTest("a failure without a reason says that there was none", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendCallback(sql, { ...failedCallback(claimed), error: null });
  assert.match((await recipientRow(sql, campaign.only.id)).error_message ?? "", /without a reason/);
});

// ---- older attempts ----

databaseTest("a success with the clientMessageId of an older attempt settles the row", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const first = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  const second = await claimOne(sql);
  assert.equal(second.attempt_number, 2);
  assert.deepEqual(await recordSendCallback(sql, sentCallback(first, "M1")), APPLIED);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.message_id], ["sent", "M1"]);
  // the second try went out as well, as its own callback says later: counted once, seen
  await recordSendCallback(sql, sentCallback(second, "M2"));
  assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M1");
  assert.equal((await stats(sql, campaign.id)).sent_count, 1);
  const attempts = await attemptsOf(sql, campaign.only.id);
  assert.deepEqual(attempts.map((attempt) => [attempt.attempt_number, attempt.message_id]), [[1, "M1"], [2, "M2"]]);
});

databaseTest(
  "a failure with the clientMessageId of an older attempt leaves the newer one in flight",
  async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const first = await claimOne(sql);
    await endLeases(sql);
    await recoverStale(sql);
    const second = await claimOne(sql);
    assert.deepEqual(await recordSendCallback(sql, failedCallback(first)), DUPLICATE);
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "processing");
    const attempts = await attemptsOf(sql, campaign.only.id);
    assert.deepEqual(attempts.map((attempt) => attempt.outcome), ["failed", "claimed"]);
    await recordSendCallback(sql, sentCallback(second, "M2"));
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
  },
);

databaseTest("a result of an older attempt does not requeue or fail the newer one", async ({ sql }) => {
  const campaign = await createCampaign(sql, { onTransientError: "retry" });
  const first = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  await claimOne(sql);
  for (const outcome of ["failed", "deferred", "not_found", "accepted", "unknown"] as const) {
    assert.deepEqual(
      await recordSendResults(sql, [{ clientMessageId: first.client_message_id, outcome }]),
      { recorded: 0, superseded: 1 },
      outcome,
    );
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "processing", outcome);
  }
});

// ---- a group in two running campaigns ----

databaseTest("a callback with clientMessageId settles its own campaign when the group is in two", async ({ sql }) => {
  const recipient = groupJid();
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId);
  const one = await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
  const first = await claimOne(sql);
  const two = await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
  await claimOne(sql);
  await recordSendCallback(sql, sentCallback(first, "M1"));
  assert.equal((await recipientRow(sql, one.only.id)).status, "sent");
  assert.equal((await recipientRow(sql, two.only.id)).status, "processing");
});

databaseTest(
  "a callback without clientMessageId settles the same sender's campaign when the group is in two",
  async ({ sql }) => {
    const recipient = groupJid();
    const organizationId = await createOrganization(sql);
    const one = await createCampaign(sql, { organizationId, recipients: [{ recipient }] });
    const first = await claimOne(sql);
    const two = await createCampaign(sql, { organizationId, recipients: [{ recipient }] });
    const second = await claimOne(sql);
    assert.notEqual(first.session_id, second.session_id);
    // not the newest, but this sender's
    assert.deepEqual(await recordSendCallback(sql, withoutId(sentCallback(first, "M1"))), APPLIED);
    assert.equal((await recipientRow(sql, one.only.id)).status, "sent");
    assert.equal((await recipientRow(sql, two.only.id)).status, "processing");
    assert.deepEqual(await recordSendCallback(sql, withoutId(sentCallback(second, "M2"))), APPLIED);
    assert.equal((await recipientRow(sql, two.only.id)).message_id, "M2");
  },
);

databaseTest(
  "a callback without clientMessageId settles the newest send when one sender has two to the group",
  async ({ sql }) => {
    const recipient = groupJid();
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId);
    const one = await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
    const first = await claimOne(sql);
    const two = await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
    await claimOne(sql);
    assert.deepEqual(await recordSendCallback(sql, withoutId(sentCallback(first, "M1"))), APPLIED);
    assert.deepEqual(
      [(await recipientRow(sql, one.only.id)).status, (await recipientRow(sql, two.only.id)).status],
      ["processing", "sent"],
    );
  },
);

databaseTest("a duplicate of the first callback does not settle the second campaign", async ({ sql }) => {
  const recipient = groupJid();
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId);
  for (let campaigns = 0; campaigns < 2; campaigns++) {
    await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
  }
  const [first] = await claim(sql);
  assert.ok(first);
  const callback = withoutId(sentCallback(first, "M1"));
  assert.deepEqual(await recordSendCallback(sql, callback), APPLIED);
  for (const again of [callback, { ...callback, sessionId: "wa_other" }, { ...callback, timestamp: 1 }]) {
    assert.deepEqual(await recordSendCallback(sql, again), DUPLICATE);
  }
  const rows =
    await sql`select status, count(*) as n from public.notification_campaign_recipients group by status order by status`;
  assert.deepEqual([...rows], [{ status: "processing", n: 1 }, { status: "sent", n: 1 }]);
  assert.deepEqual(await recordSendCallback(sql, { ...callback, messageId: "M2" }), APPLIED);
});

databaseTest("a failed callback that names its message twice does not fail the second campaign", async ({ sql }) => {
  const recipient = groupJid();
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId);
  for (let campaigns = 0; campaigns < 2; campaigns++) {
    await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
  }
  const [first] = await claim(sql);
  assert.ok(first);
  const callback = { ...withoutId(failedCallback(first)), messageId: "M1" };
  assert.deepEqual(await recordSendCallback(sql, callback), APPLIED);
  assert.deepEqual(await recordSendCallback(sql, callback), DUPLICATE);
  const rows =
    await sql`select status, count(*) as n from public.notification_campaign_recipients group by status order by status`;
  assert.deepEqual([...rows], [{ status: "processing", n: 1 }, { status: "failed", n: 1 }]);
});

databaseTest(
  "two callbacks without clientMessageId in one batch settle both campaigns of the group",
  async ({ sql }) => {
    const recipient = groupJid();
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId);
    for (let campaigns = 0; campaigns < 2; campaigns++) {
      await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
    }
    const [first] = await claim(sql);
    assert.ok(first);
    const answer = await recordSendCallback(
      sql,
      ["M1", "M2"].map((messageId) => withoutId(sentCallback(first, messageId))),
    );
    assert.deepEqual(answer, { recorded: 2, duplicates: 0, unmatched: 0, journaled: 0 });
    const rows = await sql`select message_id from public.notification_campaign_recipients order by message_id`;
    assert.deepEqual(rows.map((row) => row.message_id), ["M1", "M2"]);
  },
);

databaseTest(
  "one callback without clientMessageId twice in a batch settles one campaign of the group's two",
  async ({ sql }) => {
    const recipient = groupJid();
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId);
    for (let campaigns = 0; campaigns < 2; campaigns++) {
      await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
    }
    const [first] = await claim(sql);
    assert.ok(first);
    const callback = withoutId(sentCallback(first, "M1"));
    await recordSendCallback(sql, [callback, callback]);
    const rows =
      await sql`select status, count(*) as n from public.notification_campaign_recipients group by status order by status`;
    assert.deepEqual([...rows], [{ status: "processing", n: 1 }, { status: "sent", n: 1 }]);
  },
);

for (const order of [["sent", "failed"], ["failed", "sent"]] as const) {
  databaseTest(
    `a success wins when ${order.join(" and ")} come in one batch without clientMessageId`,
    async ({ sql }) => {
      const campaign = await createCampaign(sql);
      const claimed = await claimOne(sql);
      const events = order.map((event) =>
        withoutId(event === "sent" ? sentCallback(claimed, "M1") : failedCallback(claimed))
      );
      await recordSendCallback(sql, events);
      const row = await recipientRow(sql, campaign.only.id);
      assert.deepEqual([row.status, row.message_id], ["sent", "M1"]);
    },
  );
}

databaseTest("a callback of one organization's sender does not settle another organization's send", async ({ sql }) => {
  const recipient = groupJid();
  const one = await createCampaign(sql, { recipients: [{ recipient }] });
  const two = await createCampaign(sql, { recipients: [{ recipient }] });
  const claims = await claim(sql);
  const ofOne = claims.find((claimed) => claimed.campaign_id === one.id);
  assert.ok(ofOne);
  const callback = withoutId(sentCallback(ofOne, "M1"));
  await recordSendCallback(sql, callback);
  assert.deepEqual(await recordSendCallback(sql, { ...callback, messageId: "M2" }), UNMATCHED);
  assert.equal((await recipientRow(sql, one.only.id)).status, "sent");
  assert.equal((await recipientRow(sql, two.only.id)).status, "processing");
});

databaseTest("a callback of a group prefers a send in flight over one that was given up", async ({ sql }) => {
  const recipient = groupJid();
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId);
  const old = await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
  const first = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId: first.client_message_id, outcome: "failed", errorMessage: "no" }]);
  const running = await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
  await claimOne(sql);
  await recordSendCallback(sql, withoutId(sentCallback(first, "M1")));
  assert.equal((await recipientRow(sql, running.only.id)).status, "sent");
  assert.equal((await recipientRow(sql, old.only.id)).status, "failed");
});

databaseTest("a row that was never claimed is not settled by a callback of its group", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const answer = await recordSendCallback(sql, {
    event: "message_sent",
    sessionId: campaign.sessionId,
    groupJid: campaign.only.recipient,
    messageId: "M1",
  });
  assert.deepEqual(answer, UNMATCHED);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
});

// ---- second message ids ----

databaseTest(
  "a second message id for the same recipient is kept, counted once and shown in duplicate_sends",
  async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    await recordSendCallback(sql, sentCallback(claimed, "M1"));
    await recordSendCallback(sql, sentCallback(claimed, "M2"));
    assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M1");
    assert.equal((await stats(sql, campaign.id)).sent_count, 1);
    const duplicates = await sql`select recipient_id, message_ids, send_count from public.duplicate_sends`;
    assert.deepEqual([...duplicates], [{ recipient_id: campaign.only.id, message_ids: ["M1", "M2"], send_count: 2 }]);
    // and said again, each is a duplicate
    assert.deepEqual(await recordSendCallback(sql, sentCallback(claimed, "M2")), DUPLICATE);
    assert.deepEqual(await recordSendCallback(sql, withoutId(sentCallback(claimed, "M1"))), DUPLICATE);
    assert.equal((await attemptsOf(sql, campaign.only.id)).length, 2);
  },
);

databaseTest("the same reader on both messages of a recipient is one reader", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordReceipts(sql, [receipt("message_read", "M2", person(1))]);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  await recordReceipts(sql, [
    receipt("message_delivered", "M1", person(1)),
    receipt("message_delivered", "M1", person(2)),
  ]);
  await recordSendCallback(sql, sentCallback(claimed, "M2"));
  await recordReceipts(sql, [receipt("message_read", "M2", person(3)), receipt("message_read", "M1", person(1))]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.delivered_count, row.read_count], [3, 2]);
});

databaseTest("receipts of both messages in one batch count each person once", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendCallback(sql, [sentCallback(claimed, "M1"), sentCallback(claimed, "M2")]);
  await recordReceipts(
    sql,
    ["M1", "M2"].flatMap((id) => [1, 2, 3].map((number) => receipt("message_read", id, person(number)))),
  );
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.delivered_count, row.read_count], [3, 3]);
  assert.equal((await sql`select from public.duplicate_sends`).length, 1);
});

databaseTest(
  "a message id that is another recipient's settles the row without it and is journaled as a conflict",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const [first, second] = await claim(sql);
    assert.ok(first && second);
    await recordSendCallback(sql, sentCallback(first, "M1"));
    assert.equal((await recordSendCallback(sql, sentCallback(second, "M1"))).recorded, 1);
    assert.equal((await recipientRow(sql, first.recipient_id)).message_id, "M1");
    const row = await recipientRow(sql, second.recipient_id);
    assert.deepEqual([row.status, row.message_id], ["sent", null]);
    const entries = await journal(sql);
    assert.deepEqual(entries.map((entry) => entry.reason), ["message_id_conflict"]);
    assert.equal((await stats(sql, campaign.id)).sent_count, 2);
    // receipts go to the first alone
    await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
    assert.deepEqual(
      [
        (await recipientRow(sql, first.recipient_id)).read_count,
        (await recipientRow(sql, second.recipient_id)).read_count,
      ],
      [1, 0],
    );
  },
);

databaseTest(
  "one message id for two recipients in one batch is given to one and journaled for the other",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const [first, second] = await claim(sql);
    assert.ok(first && second);
    await recordSendCallback(sql, [sentCallback(first, "M1"), sentCallback(second, "M1")]);
    assert.equal((await stats(sql, campaign.id)).sent_count, 2);
    const owners = await sql`select from public.notification_campaign_recipients where message_id = 'M1'`;
    assert.equal(owners.length, 1);
    assert.deepEqual((await journal(sql)).map((entry) => entry.reason), ["message_id_conflict"]);
  },
);

databaseTest("a message id written by hand that is another recipient's is refused with a message", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  const [one, two] = campaign.recipients;
  assert.ok(one && two);
  await sql`update public.notification_campaign_recipients set message_id = 'M1' where id = ${one.id}`;
  await sql`update public.notification_campaign_recipients set message_id = 'M2' where id = ${one.id}`;
  // M1 is no row's current id any more, but it still names the first recipient's message
  await assert.rejects(
    async () => await sql`update public.notification_campaign_recipients set message_id = 'M1' where id = ${two.id}`,
    { code: "23505", message: /message id M1 belongs to recipient/ },
  );
});

databaseTest("a callback names the message of a row that was proved by an anonymous delivery", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await sql`select public.increment_delivered_count(${campaign.only.id})`;
  const proved = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([proved.status, proved.message_id], ["sent", null]);
  await recordReceipts(sql, [receipt("message_read", "M1", person(1)), receipt("message_read", "M1", person(2))]);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.message_id, row.delivered_count, row.read_count], ["M1", 2, 2]);
  assert.equal((await attemptsOf(sql, campaign.only.id)).length, 1);
  assert.equal((await sql`select from public.duplicate_sends`).length, 0);
});

databaseTest(
  "failed callbacks without any id for a group in two campaigns are outranked by the success of each",
  async ({ sql }) => {
    const recipient = groupJid();
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId);
    for (let campaigns = 0; campaigns < 2; campaigns++) {
      await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
    }
    const [first, second] = await claim(sql);
    assert.ok(first && second);
    // whose failure it is cannot be told; whichever it is put to, a later success of each settles both
    await recordSendCallback(sql, withoutId(failedCallback(first)));
    await recordSendCallback(sql, withoutId(failedCallback(first)));
    await recordSendCallback(sql, [sentCallback(first, "M1"), sentCallback(second, "M2")]);
    const rows = await sql`select message_id, status from public.notification_campaign_recipients order by message_id`;
    assert.deepEqual([...rows], [{ message_id: "M1", status: "sent" }, { message_id: "M2", status: "sent" }]);
  },
);

// ---- callbacks that match nothing ----

databaseTest("a callback that matches nothing is journaled once and matched by a later replay", async ({ sql }) => {
  const recipient = groupJid();
  const callback = {
    event: "message_sent",
    sessionId: "wa_early",
    groupJid: recipient,
    messageId: "M1",
    timestamp: 1_790_000_000,
  };
  assert.deepEqual(await recordSendCallback(sql, callback), UNMATCHED);
  assert.deepEqual(await recordSendCallback(sql, [callback, callback]), { ...UNMATCHED, unmatched: 2 });
  const [entry, ...more] = await journal(sql);
  assert.equal(more.length, 0);
  assert.deepEqual([entry?.source, entry?.reason, entry?.payload], ["send_callback", "unmatched", callback]);

  assert.deepEqual(await replayWebhookEvents(sql), { tried: 1, matched: 0 });
  const campaign = await createCampaign(sql, { recipients: [{ recipient }] });
  await claimOne(sql);
  assert.deepEqual(await replayWebhookEvents(sql), { tried: 1, matched: 1 });
  assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M1");
  assert.notEqual((await journal(sql))[0]?.replayed_at, null);
  assert.deepEqual(await replayWebhookEvents(sql), { tried: 0, matched: 0 });
});

databaseTest("receipts of a callback that matched nothing stay parked until the replay", async ({ sql }) => {
  const recipient = groupJid();
  const callback = { event: "message_sent", sessionId: "wa_early", groupJid: recipient, messageId: "M1" };
  await recordSendCallback(sql, callback);
  assert.equal((await recordReceipts(sql, [receipt("message_read", "M1", person(1))])).parked, 1);
  const campaign = await createCampaign(sql, { recipients: [{ recipient }] });
  await claimOne(sql);
  await replayWebhookEvents(sql);
  assert.equal((await recipientRow(sql, campaign.only.id)).read_count, 1);
});

databaseTest("malformed and unknown callbacks are journaled and do not sink their batch", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  const answer = await recordSendCallback(sql, [
    { event: "malformed", reason: "groupJid: missing", payload: 1 },
    { event: "message_sent" },
    { event: "typing", groupJid: campaign.only.recipient },
    {},
    7,
    "x",
    null,
    [1],
    sentCallback(claimed, "M1"),
  ]);
  assert.deepEqual(answer, { recorded: 1, duplicates: 0, unmatched: 0, journaled: 8 });
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
  assert.equal((await journal(sql)).length, 8);
});

databaseTest("a clientMessageId that nobody gave out falls back to the group", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  for (const clientMessageId of ["not a uuid", crypto.randomUUID(), ""]) {
    const answer = await recordSendCallback(sql, { ...sentCallback(claimed, "M1"), clientMessageId });
    assert.equal(answer.unmatched, 0, clientMessageId);
  }
  assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M1");
});

databaseTest("a group's own id is compared as it is when it holds quotes and percent signs", async ({ sql }) => {
  const recipient = `o'br%_"\\${groupJid()}`;
  const campaign = await createCampaign(sql, { recipients: [{ recipient }] });
  const claimed = await claimOne(sql);
  assert.deepEqual(await recordSendCallback(sql, withoutId(sentCallback(claimed, "M'1"))), APPLIED);
  assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M'1");
});

databaseTest("an empty batch of callbacks records nothing", async ({ sql }) => {
  assert.deepEqual(await recordSendCallback(sql, []), { recorded: 0, duplicates: 0, unmatched: 0, journaled: 0 });
});
