import assert from "node:assert/strict";
import {
  addRecipients,
  attemptsOf,
  campaignRow,
  type Channel,
  claim,
  claimOne,
  createCampaign,
  databaseTest,
  endLeases,
  makeDue,
  recipientRow,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

/** Seconds from now until a time of a row. */
async function secondsUntil(sql: Sql, id: string, column: "next_attempt_at" | "lease_expires_at"): Promise<number> {
  const [row] = await sql<{ seconds: number }[]>`
    select extract(epoch from ${sql(column)} - now())::double precision as seconds
    from public.notification_campaign_recipients
    where id = ${id}
  `;
  assert.ok(row, "the row is there");
  return row.seconds;
}

databaseTest("accepted leaves the row processing with a new lease", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql, { lease: "10 seconds" });
  assert.deepEqual(await recordSendResults(sql, [{ clientMessageId, outcome: "accepted" }]), {
    recorded: 1,
    superseded: 0,
  });
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "processing");
  const lease = await secondsUntil(sql, campaign.only.id, "lease_expires_at");
  assert.ok(lease > 290 && lease <= 300, `${lease} s`);
  assert.equal((await attemptsOf(sql, campaign.only.id))[0]?.outcome, "accepted");
});

databaseTest("accepted takes the lease that the processor asks for", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "accepted", leaseSeconds: 20 }]);
  const lease = await secondsUntil(sql, campaign.only.id, "lease_expires_at");
  assert.ok(lease > 10 && lease <= 20, `${lease} s`);
});

databaseTest("sent with a message id settles the row", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp" });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "wamid.1" }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.message_id], ["sent", "wamid.1"]);
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
});

databaseTest("failed fails the row at once with the reason", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{
    clientMessageId,
    outcome: "failed",
    errorCode: "not_in_group",
    errorMessage: "left the group",
  }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code, row.error_message], ["failed", "not_in_group", "left the group"]);
  assert.deepEqual(await claim(sql), []);
});

databaseTest("unknown leaves the row processing under its lease", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql, { lease: "10 seconds" });
  await recordSendResults(sql, [{ clientMessageId, outcome: "unknown", errorMessage: "timed out" }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.equal(row.status, "processing");
  assert.ok(await secondsUntil(sql, campaign.only.id, "lease_expires_at") <= 10);
  assert.equal((await attemptsOf(sql, campaign.only.id))[0]?.outcome, "unknown");
  assert.deepEqual(await claim(sql), []);
});

const deferrals: [Channel, "fail" | "retry" | null, "failed" | "pending"][] = [
  ["whatsapp_group", null, "failed"],
  ["whatsapp_group", "fail", "failed"],
  ["whatsapp_group", "retry", "pending"],
  ["whatsapp", null, "pending"],
  ["whatsapp", "fail", "failed"],
  ["whatsapp", "retry", "pending"],
  ["sms", null, "pending"],
  ["sms", "fail", "failed"],
];
for (const [channel, onTransientError, expected] of deferrals) {
  databaseTest(
    `a deferred send of ${channel} becomes ${expected} when on_transient_error is ${onTransientError}`,
    async ({ sql }) => {
      const campaign = await createCampaign(sql, { channel, onTransientError });
      const { client_message_id: clientMessageId } = await claimOne(sql);
      const answer = await recordSendResults(sql, [
        { clientMessageId, outcome: "deferred", errorCode: "ECONNREFUSED", errorMessage: "refused" },
      ]);
      assert.deepEqual(answer, { recorded: 1, superseded: 0 });
      const row = await recipientRow(sql, campaign.only.id);
      assert.deepEqual([row.status, row.error_code, row.error_message], [expected, "ECONNREFUSED", "refused"]);
      assert.equal(row.lease_expires_at, null);
    },
  );
}

databaseTest(
  "a deferred send waits longer from attempt to attempt and fails when they are used up",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { onTransientError: "retry", maxAttempts: 4 });
    for (const [least, most] of [[2.4, 5.1], [4.9, 10.1], [9.9, 20.1]] as const) {
      const { client_message_id: clientMessageId } = await claimOne(sql);
      await recordSendResults(sql, [{ clientMessageId, outcome: "deferred", errorMessage: "busy" }]);
      const wait = await secondsUntil(sql, campaign.only.id, "next_attempt_at");
      assert.ok(wait >= least && wait <= most, `${wait} s is within ${least} to ${most} s`);
      assert.deepEqual(await claim(sql), [], "not due yet");
      await makeDue(sql);
    }
    const last = await claimOne(sql);
    assert.equal(last.attempt_number, 4);
    await recordSendResults(sql, [{
      clientMessageId: last.client_message_id,
      outcome: "deferred",
      errorMessage: "still busy",
    }]);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.error_message, row.attempt_count], ["failed", "still busy", 4]);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  },
);

databaseTest("a deferred send honours Retry-After when it is longer than the backoff", async ({ sql }) => {
  const campaign = await createCampaign(sql, { onTransientError: "retry" });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "deferred", retryAfterSeconds: 120 }]);
  const wait = await secondsUntil(sql, campaign.only.id, "next_attempt_at");
  assert.ok(wait >= 119.5 && wait <= 122, `${wait} s`);
});

databaseTest("the backoff stops growing at ten minutes", async ({ sql }) => {
  const [row] = await sql<{ least: number; most: number }[]>`
    select
      extract(epoch from min(d.delay))::double precision as least,
      extract(epoch from max(d.delay))::double precision as most
    from generate_series(12, 10000, 37) as attempt,
      lateral (select private.retry_delay(attempt::integer, null) as delay) as d
  `;
  assert.ok(row !== undefined && row.least >= 300 && row.most <= 601, `${row?.least} to ${row?.most} s`);
});

databaseTest("a deferred send of a cancelled campaign is skipped", async ({ sql }) => {
  const campaign = await createCampaign(sql, { onTransientError: "retry" });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await sql`select public.cancel_campaign(${campaign.id})`;
  await recordSendResults(sql, [{ clientMessageId, outcome: "deferred", errorMessage: "busy" }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.skip_reason], ["skipped", "campaign_cancelled"]);
});

databaseTest("not_found sends again while attempts remain and then fails the row", async ({ sql }) => {
  const campaign = await createCampaign(sql, { maxAttempts: 2 });
  const first = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId: first.client_message_id, outcome: "not_found" }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
  const second = await claimOne(sql);
  assert.notEqual(second.client_message_id, first.client_message_id);
  await recordSendResults(sql, [{ clientMessageId: second.client_message_id, outcome: "not_found" }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code], ["failed", "not_found"]);
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
});

databaseTest("not_found waits for a person at once when the policy is hold", async ({ sql }) => {
  const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "not_found" }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "unconfirmed");
});

databaseTest("a batch of results settles each row by its own outcome", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 6, onTransientError: "retry" });
  const claims = await claim(sql);
  const outcomes = ["accepted", "sent", "failed", "deferred", "unknown", "not_found"] as const;
  const answer = await recordSendResults(
    sql,
    claims.map((claimed, number) => ({
      clientMessageId: claimed.client_message_id,
      outcome: outcomes[number] ?? "unknown",
      ...outcomes[number] === "sent" ? { messageId: "M1" } : {},
    })),
  );
  assert.deepEqual(answer, { recorded: 6, superseded: 0 });
  const { processing_count, sent_count, failed_count, pending_count } = await stats(sql, campaign.id);
  assert.deepEqual({ processing_count, sent_count, failed_count, pending_count }, {
    processing_count: 2,
    sent_count: 1,
    failed_count: 1,
    pending_count: 2,
  });
});

databaseTest("results of unknown attempts are superseded and change nothing", async ({ sql }) => {
  assert.deepEqual(
    await recordSendResults(sql, [{ clientMessageId: crypto.randomUUID(), outcome: "sent", messageId: "M1" }]),
    { recorded: 0, superseded: 1 },
  );
  assert.deepEqual(await recordSendResults(sql, []), { recorded: 0, superseded: 0 });
});

databaseTest("two results for one send in one batch settle it by the stronger one", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [
    { clientMessageId, outcome: "failed", errorMessage: "no" },
    { clientMessageId, outcome: "sent", messageId: "M1" },
    { clientMessageId, outcome: "deferred" },
  ]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.message_id, row.error_message], ["sent", "M1", null]);
  assert.equal((await attemptsOf(sql, campaign.only.id)).length, 1);
});

databaseTest("a result that names the same message id as a callback is one send", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "sent", messageId: "M1" }]);
  assert.equal((await attemptsOf(sql, campaign.only.id)).length, 1);
  assert.equal((await sql`select from public.duplicate_sends`).length, 0);
});

databaseTest("a late result of a send that was retried does not complete the campaign early", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await addRecipients(sql, campaign.id, [{}]);
  const [first] = await claim(sql);
  assert.ok(first);
  await endLeases(sql);
  await recoverStale(sql);
  await recordSendResults(sql, [{ clientMessageId: first.client_message_id, outcome: "sent", messageId: "M1" }]);
  assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
});
