import assert from "node:assert/strict";
import {
  addRecipients,
  asRole,
  campaignRow,
  type CampaignStatus,
  claim,
  claimOne,
  createCampaign,
  createMember,
  databaseTest,
  endLeases,
  finalizeCampaigns,
  person,
  receipt,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

type Verb = "start_campaign" | "pause_campaign" | "resume_campaign" | "cancel_campaign";

async function steer(sql: Sql, verb: Verb, campaignId: string): Promise<CampaignStatus> {
  const [row] = await sql<{ status: CampaignStatus }[]>`select c.status from public.${sql(verb)}(${campaignId}) c`;
  return row?.status ?? assert.fail(`${verb} answered nothing`);
}

async function retryFailed(sql: Sql, campaignId: string): Promise<number> {
  const [row] = await sql<{ answer: number }[]>`select public.retry_failed_recipients(${campaignId}) as answer`;
  return row?.answer ?? -1;
}

const statuses = ["draft", "scheduled", "processing", "paused", "completed", "failed", "cancelled"] as const;
const transitions: Record<Verb, { to: CampaignStatus; from: readonly CampaignStatus[] }> = {
  start_campaign: { to: "processing", from: ["draft", "scheduled"] },
  pause_campaign: { to: "paused", from: ["processing"] },
  resume_campaign: { to: "processing", from: ["paused"] },
  cancel_campaign: { to: "cancelled", from: ["draft", "scheduled", "processing", "paused"] },
};
const verbs = ["start_campaign", "pause_campaign", "resume_campaign", "cancel_campaign"] as const;

for (const verb of verbs) {
  const { to, from } = transitions[verb];
  databaseTest(
    `${verb} moves a campaign that is ${from.join(", ")}, says nothing twice and refuses the rest`,
    async ({ sql }) => {
      for (const status of statuses) {
        const campaign = await createCampaign(sql, { status: "draft", scheduledAt: new Date() });
        await sql`update public.notification_campaigns set status = ${status} where id = ${campaign.id}`;
        if (from.includes(status) || status === to) {
          assert.equal(await steer(sql, verb, campaign.id), to, status);
          assert.equal(await steer(sql, verb, campaign.id), to, `${status}, said twice`);
          assert.equal((await campaignRow(sql, campaign.id)).status, to);
        } else {
          await assert.rejects(() => steer(sql, verb, campaign.id), {
            code: "PT409",
            message: new RegExp(`a campaign that is ${status} cannot be`),
            hint: new RegExp(from.join(" or ")),
          });
          assert.equal((await campaignRow(sql, campaign.id)).status, status);
        }
      }
    },
  );

  databaseTest(`${verb} of an unknown campaign says that there is none`, async ({ sql }) => {
    const id = crypto.randomUUID();
    await assert.rejects(() => steer(sql, verb, id), { code: "PT404", message: `there is no campaign ${id}` });
  });
}

databaseTest("start_campaign refuses a campaign without content and says what to do", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft" });
  await sql`update public.notification_campaigns set content = '{}' where id = ${campaign.id}`;
  await assert.rejects(() => steer(sql, "start_campaign", campaign.id), {
    code: "PT409",
    message: /without content/,
    hint: /Set content/,
  });
});

databaseTest("start_campaign of a campaign without recipients waits for them", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
  assert.equal(await steer(sql, "start_campaign", campaign.id), "processing");
  assert.equal(await finalizeCampaigns(sql), 0);
  await addRecipients(sql, campaign.id, [{}]);
  assert.equal((await claim(sql)).length, 1);
});

databaseTest("cancel_campaign skips what is pending and settles what is in flight truly", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 6 });
  const claims = await claim(sql, { limit: 4 });
  await steer(sql, "cancel_campaign", campaign.id);
  const cancelled = await stats(sql, campaign.id);
  assert.deepEqual([cancelled.skipped_count, cancelled.processing_count], [2, 4]);
  assert.deepEqual(await claim(sql), []);
  const [sent, failed, deferred, lost] = claims;
  assert.ok(sent && failed && deferred && lost);
  await recordSendCallback(sql, sentCallback(sent, "M1"));
  await recordSendResults(sql, [
    { clientMessageId: failed.client_message_id, outcome: "failed" },
    { clientMessageId: deferred.client_message_id, outcome: "deferred" },
    { clientMessageId: lost.client_message_id, outcome: "not_found" },
  ]);
  const settled = await stats(sql, campaign.id);
  assert.deepEqual([settled.sent_count, settled.failed_count, settled.skipped_count, settled.progress], [1, 1, 4, 100]);
  assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
});

databaseTest("a success after the cancelled row was skipped still counts", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await steer(sql, "cancel_campaign", campaign.id);
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "not_found" }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "skipped");
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  const { sent_count, skipped_count } = await stats(sql, campaign.id);
  assert.deepEqual([sent_count, skipped_count], [1, 0]);
});

databaseTest("pause_campaign stops claiming and what was claimed is still settled", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  const claimed = await claimOne(sql, { limit: 1 });
  await steer(sql, "pause_campaign", campaign.id);
  assert.deepEqual(await claim(sql), []);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  assert.equal((await stats(sql, campaign.id)).sent_count, 1);
  assert.equal(await steer(sql, "resume_campaign", campaign.id), "processing");
  assert.equal((await claim(sql)).length, 1);
});

databaseTest("retry_failed_recipients sends the failed ones once more and reopens the campaign", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const claims = await claim(sql);
  await recordSendResults(
    sql,
    claims.map(({ client_message_id: clientMessageId }, number) =>
      number === 0
        ? { clientMessageId, outcome: "sent" as const, messageId: "M1" }
        : { clientMessageId, outcome: "failed" as const, errorMessage: "no" }
    ),
  );
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  assert.equal(await retryFailed(sql, campaign.id), 2);
  assert.equal(await retryFailed(sql, campaign.id), 0);
  const { status, completed_at } = await campaignRow(sql, campaign.id);
  assert.deepEqual([status, completed_at], ["processing", null]);
  const again = await claim(sql);
  assert.deepEqual(again.map((claimed) => claimed.attempt_number), [2, 2]);
  assert.ok(!again.some((claimed) => claimed.recipient_id === claims[0]?.recipient_id));
});

databaseTest("retry_failed_recipients of a campaign that is not running is refused", async ({ sql }) => {
  for (const status of ["draft", "scheduled", "cancelled"] as const) {
    const campaign = await createCampaign(sql, { status, scheduledAt: new Date() });
    await assert.rejects(() => retryFailed(sql, campaign.id), { code: "PT409", message: new RegExp(status) });
  }
});

databaseTest("confirm_recipient settles an unconfirmed row as sent with its message id", async ({ sql }) => {
  const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
  await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  await sql`select public.confirm_recipient(${campaign.only.id}, true, 'M1')`;
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.message_id, row.error_message], ["sent", "M1", null]);
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
  assert.equal((await recipientRow(sql, campaign.only.id)).read_count, 1);
});

databaseTest("confirm_recipient that it was not sent is outranked by a later callback", async ({ sql }) => {
  const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
  const claimed = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  await sql`select public.confirm_recipient(${campaign.only.id}, false)`;
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code], ["failed", "not_sent"]);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
  await sql`select public.confirm_recipient(${campaign.only.id}, false)`;
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent", "a person's no comes after the proof");
});

databaseTest(
  "confirm_recipient without a message id leaves room for the one that a callback brings",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
    const claimed = await claimOne(sql);
    await endLeases(sql);
    await recoverStale(sql);
    await sql`select public.confirm_recipient(${campaign.only.id}, true)`;
    await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
    await recordSendCallback(sql, sentCallback(claimed, "M1"));
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.message_id, row.read_count], ["sent", "M1", 1]);
    assert.equal((await sql`select from public.duplicate_sends`).length, 0);
  },
);

databaseTest(
  "confirm_recipient refuses another recipient's message id, no answer, and an unknown recipient",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 2, unconfirmedPolicy: "hold" });
    const [first, second] = await claim(sql);
    assert.ok(first && second);
    await recordSendCallback(sql, sentCallback(first, "M1"));
    await assert.rejects(async () => await sql`select public.confirm_recipient(${second.recipient_id}, true, 'M1')`, {
      code: "PT409",
      message: /message id M1 is another recipient's/,
    });
    await assert.rejects(async () => await sql`select public.confirm_recipient(${second.recipient_id}, null)`, {
      code: "22023",
      message: /p_sent must be true .* or false/,
    });
    await assert.rejects(async () => await sql`select public.confirm_recipient(${crypto.randomUUID()}, true)`, {
      code: "PT404",
    });
    assert.equal((await stats(sql, campaign.id)).processing_count, 1);
  },
);

databaseTest(
  "steering by an operator works, by a viewer is refused, and a stranger is told there is no campaign",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { status: "draft" });
    const other = await createCampaign(sql);
    const operator = await createMember(sql, campaign.organizationId, "operator");
    const viewer = await createMember(sql, campaign.organizationId, "viewer");
    const stranger = await createMember(sql, other.organizationId, "owner");
    const start = (userId: string) =>
      asRole(sql, "authenticated", userId, async (tx) => await tx`select public.start_campaign(${campaign.id})`);
    await assert.rejects(() => start(viewer), { code: "42501" });
    await assert.rejects(() => start(stranger), { code: "PT404" });
    await assert.rejects(
      () => asRole(sql, "anon", null, async (tx) => await tx`select public.start_campaign(${campaign.id})`),
      { code: "42501" },
    );
    assert.equal((await campaignRow(sql, campaign.id)).status, "draft");
    await start(operator);
    assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
  },
);
