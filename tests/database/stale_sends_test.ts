import assert from "node:assert/strict";
import {
  attemptsOf,
  claim,
  claimOne,
  claimStale,
  createCampaign,
  databaseTest,
  endLeases,
  recipientRow,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

/** Lets a look-up look as if it had been handed out 15 seconds ago and never answered. */
async function endLookUps(sql: Sql): Promise<void> {
  await endLeases(sql);
}

databaseTest("a send is not stale while its lease runs", async ({ sql }) => {
  await createCampaign(sql);
  await claimOne(sql);
  assert.equal(await recoverStale(sql), 0);
  assert.deepEqual(await claimStale(sql), []);
});

databaseTest("a stale send goes back to pending when the policy is retry", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await claimOne(sql);
  await endLeases(sql);
  assert.equal(await recoverStale(sql), 1);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.lease_expires_at, row.attempt_count], ["pending", null, 1]);
  assert.equal((await attemptsOf(sql, campaign.only.id))[0]?.outcome, "not_found");
  assert.equal((await claimOne(sql)).attempt_number, 2);
  assert.equal(await recoverStale(sql), 0);
});

databaseTest("a stale send waits for a person when the policy is hold", async ({ sql }) => {
  const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
  await claimOne(sql);
  await endLeases(sql);
  assert.equal(await recoverStale(sql), 1);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code], ["unconfirmed", "unconfirmed"]);
  assert.match(row.error_message ?? "", /confirm_recipient/);
  assert.deepEqual(await claim(sql), []);
  assert.equal((await stats(sql, campaign.id)).unconfirmed_count, 1);
});

databaseTest("a stale send waits for a person when its attempts are used up", async ({ sql }) => {
  const campaign = await createCampaign(sql, { maxAttempts: 3 });
  for (let attempt = 1; attempt <= 3; attempt++) {
    assert.equal((await claimOne(sql)).attempt_number, attempt);
    await endLeases(sql);
    assert.equal(await recoverStale(sql), 1);
  }
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "unconfirmed");
  assert.deepEqual(await claim(sql), []);
  assert.equal((await attemptsOf(sql, campaign.only.id)).length, 3);
});

databaseTest("a stale send of a cancelled campaign waits for a person when nobody could be asked", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await claimOne(sql);
  await sql`select public.cancel_campaign(${campaign.id})`;
  await endLeases(sql);
  await recoverStale(sql);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "unconfirmed");
});

databaseTest("a stale send of a cancelled campaign is skipped when the gateway never had it", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await sql`select public.cancel_campaign(${campaign.id})`;
  await recordSendResults(sql, [{ clientMessageId, outcome: "not_found" }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.skip_reason], ["skipped", "campaign_cancelled"]);
});

databaseTest("a stale send of a paused campaign is settled and not sent again until it is resumed", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await claimOne(sql);
  await sql`select public.pause_campaign(${campaign.id})`;
  await endLeases(sql);
  assert.equal(await recoverStale(sql), 1);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
  assert.deepEqual(await claim(sql), []);
  await sql`select public.resume_campaign(${campaign.id})`;
  assert.equal((await claim(sql)).length, 1);
});

databaseTest("a stale send is given up only when the gateway was asked often enough", async ({ sql }) => {
  await createCampaign(sql);
  await claimOne(sql);
  for (let asked = 1; asked <= 3; asked++) {
    await endLookUps(sql);
    assert.equal(await recoverStale(sql, 3), 0, `asked ${asked - 1} times`);
    assert.equal((await claimStale(sql)).length, 1);
  }
  assert.equal(await recoverStale(sql, 3), 0, "the third answer may still come");
  await endLookUps(sql);
  assert.equal(await recoverStale(sql, 3), 1);
});

databaseTest(
  "stale sends behind a thousand that nobody may give up yet are given up when their time has come",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 1100 });
    assert.equal((await claim(sql, { limit: 1100 })).length, 1100);
    await endLeases(sql);
    // the hundred that have been asked for often enough are the ones whose lease ended last
    await sql`
    with last as (
      select r.id from public.notification_campaign_recipients r where r.campaign_id = ${campaign.id} order by r.id desc limit 100
    ),
    asked as (
      update public.send_attempts a set asked_count = 20 from last l where a.recipient_id = l.id
    )
    update public.notification_campaign_recipients r
    set lease_expires_at = now() - interval '1 millisecond'
    from last l
    where r.id = l.id
  `;
    let recovered = 0;
    for (let runs = 0; runs < 3; runs++) recovered += await recoverStale(sql, 20);
    assert.equal(recovered, 100);
  },
);

databaseTest(
  "a stale attempt is handed to one asker, and again after 15 seconds without an answer",
  async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    await endLeases(sql);
    assert.deepEqual(await claimStale(sql), [{
      client_message_id: claimed.client_message_id,
      campaign_id: campaign.id,
      channel: "whatsapp_group",
      gateway: "vps",
      session_id: campaign.sessionId,
      recipient: campaign.only.recipient,
    }]);
    assert.deepEqual(await claimStale(sql), []);
    const lease = (await recipientRow(sql, campaign.only.id)).lease_expires_at?.getTime() ?? 0;
    assert.ok(Math.abs(lease - Date.now() - 15_000) < 10_000);
    await endLookUps(sql);
    assert.equal((await claimStale(sql)).length, 1);
  },
);

databaseTest("stale attempts are handed out up to the limit and no row twice", async ({ sql }) => {
  await createCampaign(sql, { recipients: 25 });
  await claim(sql);
  await endLeases(sql);
  const ids = new Set<string>();
  for (const expected of [10, 10, 5, 0]) {
    const stale = await claimStale(sql, 10);
    assert.equal(stale.length, expected);
    for (const attempt of stale) ids.add(attempt.client_message_id);
  }
  assert.equal(ids.size, 25);
});

databaseTest("a stale attempt that the gateway knows is settled by what it says", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 4 });
  const claims = await claim(sql);
  await endLeases(sql);
  await claimStale(sql);
  const outcomes = ["sent", "failed", "accepted", "not_found"] as const;
  await recordSendResults(
    sql,
    claims.map((claimed, number) => ({
      clientMessageId: claimed.client_message_id,
      outcome: outcomes[number] ?? "unknown",
      ...outcomes[number] === "sent" ? { messageId: "M1" } : {},
    })),
  );
  const { sent_count, failed_count, processing_count, pending_count } = await stats(sql, campaign.id);
  assert.deepEqual([sent_count, failed_count, processing_count, pending_count], [1, 1, 1, 1]);
  assert.deepEqual(await claimStale(sql), [], "accepted renewed the lease");
});

databaseTest("a callback that comes while the gateway is being asked wins over not_found", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await endLeases(sql);
  await claimStale(sql);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  assert.deepEqual(
    await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "not_found" }]),
    { recorded: 0, superseded: 1 },
  );
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
});

databaseTest("a row set to processing by hand becomes stale and is given up without an attempt", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await sql`update public.notification_campaign_recipients set status = 'processing'`;
  assert.notEqual((await recipientRow(sql, campaign.only.id)).lease_expires_at, null);
  await endLeases(sql);
  assert.deepEqual(await claimStale(sql), []);
  assert.equal(await recoverStale(sql, 20), 1);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
});
