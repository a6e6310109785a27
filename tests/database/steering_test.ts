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
  startDueCampaigns,
  stats,
} from "../harness/mod.ts";

type Verb = "start_campaign" | "pause_campaign" | "resume_campaign" | "cancel_campaign";

async function steer(sql: Sql, verb: Verb, campaignId: string): Promise<CampaignStatus> {
  const [row] = await sql<{ status: CampaignStatus }[]>`select c.status from public.${sql(verb)}(${campaignId}) c`;
  return row?.status ?? assert.fail(`${verb} answered nothing`);
}

/** The campaign's status as it is answered. */
async function retryFailed(sql: Sql, campaignId: string): Promise<CampaignStatus> {
  const [row] = await sql<
    { status: CampaignStatus }[]
  >`select c.status from public.retry_failed_recipients(${campaignId}) c`;
  return row?.status ?? assert.fail("retry_failed_recipients answered nothing");
}

async function schedule(
  sql: Sql,
  campaignId: string,
  at: Date | string | null,
): Promise<{ status: CampaignStatus; scheduled_at: Date | null }> {
  const [row] = await sql<{ status: CampaignStatus; scheduled_at: Date | null }[]>`
    select c.status, c.scheduled_at from public.schedule_campaign(${campaignId}, ${
    at instanceof Date ? at.toISOString() : at
  }::text::timestamptz) c
  `;
  return row ?? assert.fail("schedule_campaign answered nothing");
}

/** Brings the only recipient of a campaign to where a person is asked. */
async function loseTrack(sql: Sql) {
  const campaign = await createCampaign(sql, { unconfirmedPolicy: "hold" });
  const claimed = await claimOne(sql);
  await endLeases(sql);
  await recoverStale(sql);
  return { campaign, claimed };
}

const inAnHour = () => new Date(Date.now() + 3_600_000);

const statuses = ["draft", "scheduled", "processing", "paused", "completed", "failed", "cancelled"] as const;
const transitions: Record<Verb, { to: CampaignStatus; from: readonly CampaignStatus[] }> = {
  start_campaign: { to: "processing", from: ["draft", "scheduled"] },
  pause_campaign: { to: "paused", from: ["processing"] },
  resume_campaign: { to: "processing", from: ["paused"] },
  cancel_campaign: { to: "cancelled", from: ["draft", "scheduled", "processing", "paused"] },
};
const listed = (names: readonly string[]) => names.join(", ").replace(/, (\w+)$/, " or $1");
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
            message: new RegExp(`^a campaign that is ${status} cannot be \\w+: it must be ${listed(from)}$`),
            hint: new RegExp(`^It must be ${from.join(" or ")}\\. `),
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
  assert.equal(await retryFailed(sql, campaign.id), "processing");
  assert.equal((await stats(sql, campaign.id)).pending_count, 2);
  assert.equal(await retryFailed(sql, campaign.id), "processing", "said twice");
  const { status, completed_at } = await campaignRow(sql, campaign.id);
  assert.deepEqual([status, completed_at], ["processing", null]);
  const again = await claim(sql);
  assert.deepEqual(again.map((claimed) => claimed.attempt_number), [2, 2]);
  assert.ok(!again.some((claimed) => claimed.recipient_id === claims[0]?.recipient_id));
});

databaseTest("retry_failed_recipients of a campaign that is not running is refused", async ({ sql }) => {
  for (const status of ["draft", "scheduled", "cancelled"] as const) {
    const campaign = await createCampaign(sql, { status, scheduledAt: new Date() });
    await assert.rejects(() => retryFailed(sql, campaign.id), {
      code: "PT409",
      message: `a campaign that is ${status} cannot be retried: it must be processing, paused or completed`,
    });
  }
});

databaseTest(
  "retry_failed_recipients leaves a paused campaign paused and a campaign without failures alone",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const claims = await claim(sql);
    await steer(sql, "pause_campaign", campaign.id);
    assert.equal(await retryFailed(sql, campaign.id), "paused");
    assert.equal((await stats(sql, campaign.id)).processing_count, 2);
    await recordSendResults(
      sql,
      claims.map(({ client_message_id: clientMessageId }) => ({ clientMessageId, outcome: "failed" as const })),
    );
    assert.equal(await retryFailed(sql, campaign.id), "paused");
    assert.equal((await stats(sql, campaign.id)).pending_count, 2);
    assert.deepEqual(await claim(sql), []);
  },
);

databaseTest("schedule_campaign has a draft started at its time, and takes it back", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft" });
  const at = inAnHour();
  for (const round of ["first", "said twice"]) {
    assert.deepEqual(await schedule(sql, campaign.id, at), { status: "scheduled", scheduled_at: at }, round);
  }
  assert.equal(await startDueCampaigns(sql), 0);
  const later = new Date(at.getTime() + 60_000);
  assert.deepEqual(await schedule(sql, campaign.id, later), { status: "scheduled", scheduled_at: later });
  for (const round of ["first", "said twice"]) {
    assert.deepEqual(await schedule(sql, campaign.id, null), { status: "draft", scheduled_at: null }, round);
  }
  await schedule(sql, campaign.id, at);
  await sql`update public.notification_campaigns set scheduled_at = date_trunc('second', now() - interval '1 day') where id = ${campaign.id}`;
  const [{ scheduled_at: passed } = { scheduled_at: null }] = await sql<{ scheduled_at: Date | null }[]>`
    select scheduled_at from public.notification_campaigns where id = ${campaign.id}
  `;
  assert.equal(
    (await schedule(sql, campaign.id, passed)).status,
    "scheduled",
    "the answer was lost, and its time came",
  );
  assert.equal(await startDueCampaigns(sql), 1);
});

databaseTest("schedule_campaign refuses a time that is past and one that never comes", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft" });
  for (const at of ["2020-01-01T00:00:00Z", "-infinity", "infinity"]) {
    await assert.rejects(() => schedule(sql, campaign.id, at), {
      code: "22023",
      message: /p_scheduled_at must be a time to come, not /,
      hint: /start_campaign/,
    });
  }
  // clocks differ
  assert.equal((await schedule(sql, campaign.id, new Date(Date.now() - 60_000))).status, "scheduled");
});

databaseTest(
  "schedule_campaign refuses what has begun or ended, what is empty, and what nobody knows",
  async ({ sql }) => {
    for (const status of ["processing", "paused", "completed", "failed", "cancelled"] as const) {
      const campaign = await createCampaign(sql, { status: "draft" });
      await sql`update public.notification_campaigns set status = ${status} where id = ${campaign.id}`;
      for (const [at, verb] of [[inAnHour(), "scheduled"], [null, "taken back to draft"]] as const) {
        await assert.rejects(() => schedule(sql, campaign.id, at), {
          code: "PT409",
          message: `a campaign that is ${status} cannot be ${verb}: it must be draft or scheduled`,
        });
      }
    }
    const empty = await createCampaign(sql, { status: "draft" });
    await sql`update public.notification_campaigns set content = '{}' where id = ${empty.id}`;
    await assert.rejects(() => schedule(sql, empty.id, inAnHour()), {
      code: "PT409",
      message: "a campaign without content cannot be scheduled",
    });
    assert.equal((await schedule(sql, empty.id, null)).status, "draft");
    await assert.rejects(() => schedule(sql, crypto.randomUUID(), inAnHour()), { code: "PT404" });
  },
);

/** What is noted for continue_steering, and how long ago it was asked for: as if it had been so many minutes. */
async function steps(sql: Sql, minutesAgo?: number): Promise<string[]> {
  if (minutesAgo !== undefined) {
    await sql`update private.unfinished_steps set requested_at = now() - ${minutesAgo} * interval '1 minute'`;
  }
  const rows = await sql<{ step: string }[]>`select step from private.unfinished_steps order by step`;
  return rows.map(({ step }) => step);
}

async function continueSteering(sql: Sql): Promise<number> {
  const [row] = await sql<{ answer: number }[]>`select public.continue_steering() as answer`;
  return row?.answer ?? -1;
}

databaseTest(
  "continue_steering skips what was added while a campaign was cancelled, and looks again for five minutes",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    await steer(sql, "cancel_campaign", campaign.id);
    for (const minutesAgo of [0, 4]) {
      await addRecipients(sql, campaign.id, [{}, {}]);
      assert.deepEqual(await steps(sql, minutesAgo), ["cancel"]);
      assert.equal(await continueSteering(sql), 0);
      const { pending_count, progress } = await stats(sql, campaign.id);
      assert.deepEqual([pending_count, progress], [0, 100]);
      assert.deepEqual(await steps(sql), ["cancel"]);
    }
    await steps(sql, 6);
    assert.equal(await continueSteering(sql), 0);
    assert.deepEqual(await steps(sql), []);
    assert.equal(await continueSteering(sql), 0);
    const reasons = await sql`
      select distinct skip_reason from public.notification_campaign_recipients where campaign_id = ${campaign.id}
    `;
    assert.deepEqual([...reasons], [{ skip_reason: "campaign_cancelled" }]);
  },
);

databaseTest(
  "continue_steering takes ten thousand at a time and says that more are left",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp" });
    await steer(sql, "cancel_campaign", campaign.id);
    await sql`
      insert into public.notification_campaign_recipients (campaign_id, recipient)
      select ${campaign.id}, '+49151' || g from generate_series(10000000, 10010000) g
    `;
    assert.equal(await continueSteering(sql), 1);
    assert.equal((await stats(sql, campaign.id)).pending_count, 1);
    assert.equal(await continueSteering(sql), 0);
    assert.equal((await stats(sql, campaign.id)).pending_count, 0);
  },
);

databaseTest(
  "continue_steering retries what failed before the retry was asked for, and nothing that failed since",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const claims = await claim(sql);
    const fail = (number: number) =>
      recordSendResults(sql, [{ clientMessageId: claims[number]?.client_message_id ?? "", outcome: "failed" }]);
    await fail(0);
    // as a retry of very many leaves it
    await sql`insert into private.unfinished_steps values (${campaign.id}, 'retry', clock_timestamp())`;
    await fail(1);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
    assert.equal(await continueSteering(sql), 0);
    const { status } = await campaignRow(sql, campaign.id);
    const { pending_count, failed_count } = await stats(sql, campaign.id);
    assert.deepEqual([status, pending_count, failed_count], ["processing", 1, 1]);
    assert.deepEqual(await steps(sql), []);
  },
);

databaseTest(
  "continue_steering forgets the retry of a cancelled campaign, and steps of one that is gone",
  async ({ sql }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "failed" }]);
    await sql`update public.notification_campaigns set status = 'cancelled' where id = ${campaign.id}`;
    await sql`
    insert into private.unfinished_steps
    values (${campaign.id}, 'retry', clock_timestamp()), (gen_random_uuid(), 'cancel', clock_timestamp())
  `;
    assert.equal(await continueSteering(sql), 0);
    assert.deepEqual(await steps(sql), []);
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "failed");
  },
);

databaseTest("a retry leaves no step behind, and one that is refused leaves none either", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "failed" }]);
  await retryFailed(sql, campaign.id);
  assert.deepEqual(await steps(sql), []);
  const drafted = await createCampaign(sql, { status: "draft" });
  await assert.rejects(() => retryFailed(sql, drafted.id), { code: "PT409" });
  assert.deepEqual(await steps(sql), []);
});

databaseTest("confirm_recipient said twice is said once, and the first word stands", async ({ sql }) => {
  for (const sent of [true, false]) {
    const { campaign } = await loseTrack(sql);
    const status = sent ? "sent" : "failed";
    for (const round of ["first", "said twice"]) {
      const [row] = await sql`select r.status from public.confirm_recipient(${campaign.only.id}, ${sent}) r`;
      assert.equal(row?.status, status, round);
    }
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  }
  assert.equal((await sql`select from public.duplicate_sends`).length, 0);
});

databaseTest("confirm_recipient that it was sent corrects a no, and a no does not take a yes back", async ({ sql }) => {
  const { campaign } = await loseTrack(sql);
  for (const [sent, expected] of [[false, "failed"], [true, "sent"], [false, "sent"]] as const) {
    const [row] = await sql`select r.status from public.confirm_recipient(${campaign.only.id}, ${sent}) r`;
    assert.equal(row?.status, expected);
  }
});

databaseTest("confirm_recipient that it was not sent is outranked by a later receipt", async ({ sql }) => {
  const { campaign, claimed } = await loseTrack(sql);
  await sql`select public.confirm_recipient(${campaign.only.id}, false)`;
  await recordReceipts(sql, [{
    ...receipt("message_delivered", "M1", person(1)),
    clientMessageId: claimed.client_message_id,
  }]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
});

databaseTest("confirm_recipient refuses a recipient to whom nothing was ever sent", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  const [pending, skipped] = campaign.recipients;
  assert.ok(pending && skipped);
  await sql`
    update public.notification_campaign_recipients set status = 'skipped', skip_reason = 'opted_out' where id = ${skipped.id}
  `;
  for (const [{ id }, state] of [[pending, "pending"], [skipped, "skipped: opted_out"]] as const) {
    for (const sent of [true, false]) {
      await assert.rejects(async () => await sql`select public.confirm_recipient(${id}, ${sent})`, {
        code: "PT409",
        message:
          `a recipient that is ${state} and was never tried cannot be confirmed: nothing was sent that could have arrived`,
        hint: /processing, unconfirmed, failed or sent/,
      });
    }
  }
  const { pending_count, skipped_count } = await stats(sql, campaign.id);
  assert.deepEqual([pending_count, skipped_count], [1, 1]);
});

databaseTest("confirm_recipient tells a stranger nothing, not even which campaign it was", async ({ sql }) => {
  const { campaign } = await loseTrack(sql);
  const stranger = await createMember(sql, (await createCampaign(sql)).organizationId, "owner");
  for (const id of [campaign.only.id, crypto.randomUUID()]) {
    await assert.rejects(
      () =>
        asRole(sql, "authenticated", stranger, async (tx) => await tx`select public.confirm_recipient(${id}, true)`),
      { code: "PT404", message: `there is no recipient ${id}` },
    );
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
