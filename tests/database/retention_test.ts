import assert from "node:assert/strict";
import {
  addRecipients,
  archive,
  asRole,
  backDate,
  type Campaign,
  campaignRow,
  claim,
  createCampaign,
  databaseTest,
  foldCounters,
  journal,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  replayWebhookEvents,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

const PT409 = { code: "PT409" };

/** A completed campaign of so many groups, each with a message of so many receipts, that was over long ago. */
async function oldCampaign(sql: Sql, groups = 3, readers = 2, ago?: string): Promise<Campaign> {
  const campaign = await createCampaign(sql, { recipients: groups });
  const claims = await claim(sql, { limit: 1_000 });
  await recordSendCallback(sql, claims.map((each) => sentCallback(each, `M-${each.recipient_id}`)));
  await recordReceipts(
    sql,
    claims.flatMap((each) =>
      Array.from({ length: readers }, (_, n) => receipt("message_read", `M-${each.recipient_id}`, person(n)))
    ),
  );
  await backDate(sql, campaign.id, ago);
  return campaign;
}

async function left(sql: Sql): Promise<Record<string, number>> {
  const [row] = await sql<Record<string, number>[]>`
    select
      (select count(*) from public.notification_campaign_recipients) as recipients,
      (select count(*) from public.send_attempts) as attempts,
      (select count(*) from private.message_ids) as message_ids,
      (select count(*) from public.message_receipts) as receipts
  `;
  if (row === undefined) throw new Error("No row");
  return row;
}

const NOTHING = { recipients: 0, attempts: 0, message_ids: 0, receipts: 0 };

databaseTest("archive_campaigns deletes what hangs on an old campaign and keeps every counter", async ({ sql }) => {
  const campaign = await oldCampaign(sql, 5, 3);
  const before = await stats(sql, campaign.id);
  assert.equal(before.read_count, 15);
  assert.deepEqual(await archive(sql), { archived: 1, recipients_deleted: 0, remaining: 1 });
  assert.deepEqual(await archive(sql), { archived: 0, recipients_deleted: 5, remaining: 0 });
  assert.deepEqual(await archive(sql), { archived: 0, recipients_deleted: 0, remaining: 0 });
  assert.deepEqual(await left(sql), NOTHING);
  assert.deepEqual(await stats(sql, campaign.id), before);
  await foldCounters(sql);
  assert.deepEqual(await stats(sql, campaign.id), before);
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  const found = await sql`select * from public.audit_campaign_counters()`;
  assert.deepEqual([...found], []);
  assert.deepEqual([...await sql`select * from public.repair_campaign_counters()`], []);
});

databaseTest("archive_campaigns leaves alone what is young, running, open or in another state", async ({ sql }) => {
  const young = await oldCampaign(sql, 1, 1, "11 months");
  const draft = await createCampaign(sql, { status: "draft" });
  const paused = await createCampaign(sql, { status: "paused" });
  const unconfirmed = await createCampaign(sql);
  await sql`
    update public.notification_campaign_recipients set status = 'unconfirmed' where campaign_id = ${unconfirmed.id}
  `;
  await sql`select public.cancel_campaign(${unconfirmed.id})`;
  for (const { id } of [draft, paused, unconfirmed]) await backDate(sql, id);
  assert.deepEqual(await archive(sql), { archived: 0, recipients_deleted: 0, remaining: 0 });
  assert.equal((await left(sql)).recipients, 4);
  // a campaign that nothing can be done about holds up nobody behind it
  await backDate(sql, young.id);
  assert.equal((await archive(sql)).archived, 1);
});

databaseTest("archive_campaigns archives cancelled campaigns and forgets what was skipped", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 4 });
  await sql`select public.cancel_campaign(${campaign.id})`;
  await backDate(sql, campaign.id);
  await archive(sql);
  assert.equal((await archive(sql)).recipients_deleted, 4);
  assert.equal((await stats(sql, campaign.id)).skipped_count, 4);
});

databaseTest("archive_campaigns works in batches, oldest first, as many as are asked for", async ({ sql }) => {
  const newer = await oldCampaign(sql, 4, 1, "18 months");
  const older = await oldCampaign(sql, 5, 1, "3 years");
  const before = [await stats(sql, older.id), await stats(sql, newer.id)];
  assert.deepEqual(await archive(sql, "1 year", 3), { archived: 2, recipients_deleted: 0, remaining: 2 });
  const steps: number[] = [];
  for (let remaining = 2; remaining > 0;) {
    const step = await archive(sql, "1 year", 3);
    steps.push(step.recipients_deleted);
    remaining = step.remaining;
    assert.deepEqual([await stats(sql, older.id), await stats(sql, newer.id)], before);
    const [lost] = await sql<{ older: number; newer: number }[]>`
      select
        5 - count(*) filter (where campaign_id = ${older.id}) as older,
        4 - count(*) filter (where campaign_id = ${newer.id}) as newer
      from public.notification_campaign_recipients
    `;
    assert.ok(lost !== undefined && (lost.newer === 0 || lost.older === 5));
  }
  assert.deepEqual(steps, [3, 3, 3]);
  assert.deepEqual(await left(sql), NOTHING);
});

databaseTest("archive_campaigns takes fewer recipients where they have many receipts", async ({ sql }) => {
  await oldCampaign(sql, 4, 9);
  await archive(sql);
  // ten rows for each recipient asked for: two recipients with nine receipts each, or one with more
  assert.equal((await archive(sql, "1 year", 2)).recipients_deleted, 2);
  await sql`update public.notification_campaign_recipients set member_count = 500, identified_delivered_count = 400`;
  assert.equal((await archive(sql, "1 year", 2)).recipients_deleted, 1);
  assert.equal((await archive(sql, "1 year", 2)).recipients_deleted, 1);
});

databaseTest("archive_campaigns refuses arguments that cannot be meant", async ({ sql }) => {
  await assert.rejects(archive(sql, "1 hour"), /p_older_than/);
  await assert.rejects(archive(sql, "1 year", 0), /p_limit/);
});

databaseTest("an archived campaign takes no recipients and is not reopened by anybody", async ({ sql }) => {
  const failed = await createCampaign(sql);
  await sql`update public.notification_campaign_recipients set status = 'failed' where campaign_id = ${failed.id}`;
  assert.equal((await campaignRow(sql, failed.id)).status, "completed");
  const cancelled = await createCampaign(sql);
  await sql`select public.cancel_campaign(${cancelled.id})`;
  for (const { id } of [failed, cancelled]) await backDate(sql, id);
  assert.equal((await archive(sql)).archived, 2);
  for (const { id } of [failed, cancelled]) {
    await assert.rejects(addRecipients(sql, id, [{}]), PT409);
    await assert.rejects(
      sql`update public.notification_campaigns set status = 'processing' where id = ${id}`.execute(),
      PT409,
    );
    await assert.rejects(
      sql`update public.notification_campaigns set archived_at = null where id = ${id}`.execute(),
      PT409,
    );
  }
  // still there, to be deleted by the next call
  await assert.rejects(sql`select public.retry_failed_recipients(${failed.id})`.execute(), PT409);
  await sql`update public.notification_campaigns set name = 'Renamed' where id = ${failed.id}`;
  assert.equal((await archive(sql)).recipients_deleted, 2);
  assert.equal((await stats(sql, failed.id)).failed_count, 1);
});

databaseTest(
  "counters go on while an archived campaign still has recipients, and stay when they are gone",
  async ({ sql }) => {
    const campaign = await oldCampaign(sql, 2, 1);
    await archive(sql);
    const [first] = campaign.recipients;
    await recordReceipts(sql, [receipt("message_read", `M-${first?.id}`, person(7))]);
    assert.equal((await stats(sql, campaign.id)).read_count, 3);
    await archive(sql);
    assert.equal((await stats(sql, campaign.id)).read_count, 3);
  },
);

databaseTest("late reports of archived messages are kept, end in the journal, and move nothing", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const [claimed] = await claim(sql);
  assert.ok(claimed !== undefined);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  await backDate(sql, campaign.id);
  await archive(sql);
  await archive(sql);
  const before = await stats(sql, campaign.id);
  const late = [
    receipt("message_read", "M1", person(1)),
    receipt("message_delivered", "M1", null),
    receipt("message_read", "M1", person(2), { clientMessageId: claimed.client_message_id }),
  ];
  assert.deepEqual(await recordReceipts(sql, late), { recorded: 0, duplicates: 0, parked: 3, journaled: 0 });
  assert.equal((await recordSendCallback(sql, sentCallback(claimed, "M1"))).unmatched, 1);
  assert.equal((await recordSendCallback(sql, sentCallback(claimed, "M2"))).unmatched, 1);
  await sql`update private.message_ids set parked_at = now() - interval '8 days'`;
  await sql`select public.sweep_webhook_events()`;
  const reasons = (await journal(sql)).map((event) => `${event.source} ${event.reason}`);
  assert.deepEqual(reasons.filter((each) => each === "receipt unmatched").length, 3);
  assert.deepEqual(new Set(reasons), new Set(["receipt unmatched", "send_callback unmatched"]));
  assert.equal((await replayWebhookEvents(sql)).matched, 0);
  assert.deepEqual(await left(sql), NOTHING);
  assert.deepEqual(await stats(sql, campaign.id), before);
});

databaseTest("an archived campaign can be deleted, and takes its counters along", async ({ sql }) => {
  const campaign = await oldCampaign(sql);
  await archive(sql);
  await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  assert.deepEqual(await archive(sql), { archived: 0, recipients_deleted: 0, remaining: 0 });
  assert.equal((await sql`select from public.notification_campaign_stats`).length, 0);
  assert.deepEqual(await left(sql), NOTHING);
});

databaseTest(
  "archive_campaigns is for service_role, and nobody else may say that a campaign is archived",
  async ({ sql }) => {
    const campaign = await oldCampaign(sql);
    const ownerId = crypto.randomUUID();
    await sql`
    insert into public.organization_members (organization_id, user_id, role)
    values (${campaign.organizationId}, ${ownerId}, 'owner')
  `;
    await assert.rejects(
      asRole(sql, "authenticated", ownerId, async (user) => await user`select public.archive_campaigns()`),
      { code: "42501" },
    );
    await assert.rejects(
      asRole(
        sql,
        "authenticated",
        ownerId,
        async (user) =>
          await user`update public.notification_campaigns set archived_at = now() where id = ${campaign.id}`,
      ),
      { code: "42501" },
    );
    await asRole(sql, "service_role", null, async (service) => await service`select public.archive_campaigns()`);
    await asRole(sql, "service_role", null, async (service) => await service`select public.archive_campaigns()`);
    assert.deepEqual(await left(sql), NOTHING);
    // seen, with its counters, by those who saw it before
    const seen = await asRole(sql, "authenticated", ownerId, async (user) =>
      await user`
      select s.sent_count
      from public.notification_campaign_stats s
      join public.notification_campaigns c on c.id = s.campaign_id
      where c.archived_at is not null
    `);
    assert.deepEqual([...seen], [{ sent_count: 3 }]);
  },
);
