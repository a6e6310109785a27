import assert from "node:assert/strict";
import {
  addRecipients,
  campaignRow,
  claim,
  claimOne,
  createCampaign,
  databaseTest,
  finalizeCampaigns,
  recordSendCallback,
  recordSendResults,
  sentCallback,
  type Sql,
  startDueCampaigns,
  stats,
} from "../harness/mod.ts";

async function settleAll(sql: Sql): Promise<void> {
  const claims = await claim(sql, { limit: 1000 });
  await recordSendCallback(sql, claims.map((claimed) => sentCallback(claimed, `M-${claimed.client_message_id}`)));
}

databaseTest("start_due_campaigns starts what is due and has recipients, and nothing else", async ({ sql }) => {
  const past = new Date(Date.now() - 1000);
  const future = new Date(Date.now() + 3_600_000);
  const due = await createCampaign(sql, { status: "scheduled", scheduledAt: past });
  const later = await createCampaign(sql, { status: "scheduled", scheduledAt: future });
  const empty = await createCampaign(sql, { status: "scheduled", scheduledAt: past, recipients: 0 });
  const draft = await createCampaign(sql, { status: "draft", scheduledAt: past });
  assert.equal(await startDueCampaigns(sql), 1);
  assert.equal(await startDueCampaigns(sql), 0);
  const { status, started_at } = await campaignRow(sql, due.id);
  assert.equal(status, "processing");
  assert.notEqual(started_at, null);
  assert.equal((await campaignRow(sql, later.id)).status, "scheduled");
  assert.equal((await campaignRow(sql, empty.id)).status, "scheduled");
  assert.equal((await campaignRow(sql, draft.id)).status, "draft");
});

databaseTest("a scheduled campaign without a time cannot be stored", async ({ sql }) => {
  await assert.rejects(() => createCampaign(sql, { status: "scheduled" }), {
    code: "23514",
    message: /scheduled_has_a_time/,
  });
});

databaseTest("a campaign completes when its last row settles and not before", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const claims = await claim(sql);
  for (const [number, claimed] of claims.entries()) {
    assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
    await recordSendCallback(sql, sentCallback(claimed, `M${number}`));
  }
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
});

databaseTest("a campaign completes when its last open row fails, is skipped or is deleted", async ({ sql }) => {
  const failed = await createCampaign(sql);
  await recordSendResults(sql, [{ clientMessageId: (await claimOne(sql)).client_message_id, outcome: "failed" }]);
  assert.equal((await campaignRow(sql, failed.id)).status, "completed");

  const skipped = await createCampaign(sql);
  await sql`
    update public.notification_campaign_recipients set status = 'skipped', skip_reason = 'test' where id = ${skipped.only.id}
  `;
  assert.equal((await campaignRow(sql, skipped.id)).status, "completed");

  const deleted = await createCampaign(sql, { recipients: 2 });
  await recordSendCallback(sql, sentCallback((await claim(sql, { limit: 1 }))[0] ?? assert.fail(), "M1"));
  await sql`delete from public.notification_campaign_recipients where campaign_id = ${deleted.id} and status = 'pending'`;
  assert.equal((await campaignRow(sql, deleted.id)).status, "completed");
});

databaseTest("an unconfirmed row keeps its campaign open", async ({ sql }) => {
  const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
  await recordSendResults(sql, [{ clientMessageId: (await claimOne(sql)).client_message_id, outcome: "not_found" }]);
  assert.equal(await finalizeCampaigns(sql), 0);
  const { status } = await campaignRow(sql, campaign.id);
  assert.equal(status, "processing");
  assert.equal((await stats(sql, campaign.id)).progress, 0);
});

databaseTest(
  "finalize_campaigns completes what a crash left behind and leaves what is open or empty",
  async ({ sql }) => {
    const left = await createCampaign(sql);
    const open = await createCampaign(sql, { recipients: 2 });
    const empty = await createCampaign(sql, { recipients: 0 });
    await settleAll(sql);
    await sql`update public.notification_campaigns set status = 'processing' where id = ${left.id}`;
    await addRecipients(sql, open.id, [{}]);
    assert.equal(await finalizeCampaigns(sql), 1);
    assert.equal(await finalizeCampaigns(sql), 0);
    assert.deepEqual(
      await Promise.all([left, open, empty].map(async ({ id }) => (await campaignRow(sql, id)).status)),
      ["completed", "processing", "processing"],
    );
  },
);

databaseTest(
  "a completed campaign is processing again when recipients are added, and completes again",
  async ({ sql }) => {
    const campaign = await createCampaign(sql);
    await settleAll(sql);
    const first = await campaignRow(sql, campaign.id);
    assert.equal(first.status, "completed");
    await addRecipients(sql, campaign.id, [{}, {}]);
    const reopened = await campaignRow(sql, campaign.id);
    assert.deepEqual([reopened.status, reopened.completed_at], ["processing", null]);
    assert.deepEqual(reopened.started_at, first.started_at);
    assert.equal((await stats(sql, campaign.id)).progress, 33);
    await settleAll(sql);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  },
);

databaseTest("a paused campaign is not completed when its last row settles but when it is resumed", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await sql`select public.pause_campaign(${campaign.id})`;
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  assert.equal((await campaignRow(sql, campaign.id)).status, "paused");
  const [answer] = await sql`select (public.resume_campaign(${campaign.id})).status`;
  assert.equal(answer?.status, "completed");
});

databaseTest("progress is 100 only when nothing is open and rounds down before", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 300 });
  const claims = await claim(sql, { limit: 299 });
  await recordSendCallback(sql, claims.map((claimed, number) => sentCallback(claimed, `M${number}`)));
  assert.equal((await stats(sql, campaign.id)).progress, 99);
  await settleAll(sql);
  assert.equal((await stats(sql, campaign.id)).progress, 100);
});

databaseTest("an empty campaign has counters of zero and a progress of zero", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 0 });
  assert.deepEqual(await stats(sql, campaign.id), {
    total_count: 0,
    pending_count: 0,
    processing_count: 0,
    unconfirmed_count: 0,
    sent_count: 0,
    failed_count: 0,
    skipped_count: 0,
    audience_count: 0,
    reached_count: 0,
    delivered_count: 0,
    read_count: 0,
    cost: 0,
    progress: 0,
  });
});
