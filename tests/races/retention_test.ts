import assert from "node:assert/strict";
import {
  addRecipients,
  archive,
  atOnce,
  backDate,
  campaignRow,
  claim,
  createCampaign,
  databaseTest,
  foldCounters,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  shuffled,
  stats,
} from "../harness/mod.ts";

const ROUNDS = 12;
const GROUPS = 6;

databaseTest(
  "a campaign archived while receipts, callbacks and retries come in deadlocks with nobody and keeps what was counted",
  async ({ sql, pool }) => {
    const work = pool(8);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql, { recipients: GROUPS });
      const claims = await claim(sql);
      const callbacks = claims.map((claimed, n) => sentCallback(claimed, `M${round}-${n}`));
      await recordSendCallback(sql, callbacks);
      const receipts = claims.flatMap((_, n) =>
        [1, 2, 3].map((reader) => receipt("message_read", `M${round}-${n}`, person(reader)))
      );
      await recordReceipts(sql, receipts.slice(0, 4));
      await backDate(sql, campaign.id);
      const before = await stats(sql, campaign.id);
      const orRefused = async (call: Promise<unknown>) => {
        await call.catch((error) => assert.equal(error.code, "PT409"));
      };
      let ours = 0;
      await atOnce<unknown>(shuffled([
        () => recordReceipts(work, receipts),
        () => recordReceipts(work, shuffled(receipts)),
        () => recordSendCallback(work, shuffled(callbacks)),
        () => orRefused(work`select public.retry_failed_recipients(${campaign.id})`.execute()),
        () => foldCounters(work),
        // two archivers share the work
        ...[1, 2].map(() => async () => {
          for (let call = 0; call < 6; call++) {
            const { recipients_deleted: deleted } = await archive(work, "1 year", 2);
            ours += deleted;
          }
        }),
      ]));
      while (ours < GROUPS) {
        const step = await archive(sql, "1 year", 2);
        if (step.archived + step.recipients_deleted === 0) break;
        ours += step.recipients_deleted;
      }
      assert.equal(ours, GROUPS);
      const after = await stats(sql, campaign.id);
      assert.equal(after.sent_count, GROUPS);
      assert.equal(after.progress, 100);
      assert.ok(after.read_count >= before.read_count && after.read_count <= 3 * GROUPS);
      const [left] = await sql`
        select
          (select count(*) from public.notification_campaign_recipients) as recipients,
          (select count(*) from public.send_attempts) as attempts,
          (select count(*) from private.message_ids where recipient_id is not null) as message_ids,
          (select count(*) from public.message_receipts where recipient_id is not null) as receipts,
          (select count(*) from private.campaigns_to_empty) as to_empty
      `;
      assert.deepEqual({ ...left }, { recipients: 0, attempts: 0, message_ids: 0, receipts: 0, to_empty: 0 });
    }
  },
);

databaseTest(
  "an archiver waits for a receipt that came first, and holds nothing that the receipt needs",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql);
    const [claimed] = await claim(sql);
    assert.ok(claimed !== undefined);
    await recordSendCallback(sql, sentCallback(claimed, "M1"));
    await recordReceipts(sql, [receipt("message_delivered", "M1", person(1))]);
    await backDate(sql, campaign.id);
    await archive(sql);

    const traffic = await session("receipt");
    const archiver = await session("archiver");
    // as far as record_receipts is when it has its receipt, and not yet the recipient
    await traffic.begin();
    await traffic.sql`select from public.message_receipts where message_id = 'M1' for no key update`;
    const archiving = await archiver.blocked((own) => archive(own));
    await recordReceipts(traffic.sql, [
      receipt("message_read", "M1", person(1)),
      receipt("message_read", "M1", person(2)),
    ]);
    await traffic.commit();
    assert.equal((await archiving.done).recipients_deleted, 1);
    assert.equal((await stats(sql, campaign.id)).read_count, 2);
    assert.equal((await sql`select from public.message_receipts`).length, 0);
  },
);

databaseTest("a recipient that is being inserted keeps its campaign from being archived", async ({ sql, session }) => {
  const campaign = await createCampaign(sql);
  await sql`update public.notification_campaign_recipients set status = 'sent' where campaign_id = ${campaign.id}`;
  await backDate(sql, campaign.id);
  const adding = await session("adding");
  await adding.begin();
  await addRecipients(adding.sql, campaign.id, [{}]);
  assert.equal((await archive(sql)).archived, 0);
  await adding.commit();
  assert.equal((await archive(sql)).archived, 0);
  assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
});

databaseTest("a recipient inserted while its campaign is being archived is refused", async ({ sql, session }) => {
  for (const status of ["completed", "cancelled"] as const) {
    const campaign = await createCampaign(sql);
    await sql`update public.notification_campaign_recipients set status = 'sent' where campaign_id = ${campaign.id}`;
    if (status === "cancelled") {
      await sql`update public.notification_campaigns set status = 'cancelled' where id = ${campaign.id}`;
    }
    await backDate(sql, campaign.id);
    const [archiver, adding] = [await session("archiver"), await session("adding")];
    await archiver.begin();
    assert.equal((await archive(archiver.sql)).archived, 1);
    const added = await adding.blocked((own) => addRecipients(own, campaign.id, [{}]));
    await archiver.commit();
    await assert.rejects(added.done, { code: "PT409" });
    await archive(sql);
    assert.equal((await stats(sql, campaign.id)).total_count, 1);
  }
});

databaseTest(
  "a retry that waited for the archiver is refused, and one that came first keeps its campaign",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    await sql`update public.notification_campaign_recipients set status = 'failed' where campaign_id = ${campaign.id}`;
    await backDate(sql, campaign.id);
    const [archiver, retrying] = [await session("archiver"), await session("retrying")];

    await retrying.begin();
    await retrying.sql`select public.retry_failed_recipients(${campaign.id})`;
    assert.equal((await archive(sql)).archived, 0);
    await retrying.rollback();

    await archiver.begin();
    assert.equal((await archive(archiver.sql)).archived, 1);
    const retried = await retrying.blocked(async (own) =>
      await own`select public.retry_failed_recipients(${campaign.id})`
    );
    await archiver.commit();
    await assert.rejects(retried.done, { code: "PT409" });
    assert.equal((await archive(sql)).recipients_deleted, 2);
    assert.equal((await stats(sql, campaign.id)).failed_count, 2);
  },
);

databaseTest("an archiver that dies leaves what it did not commit to the next", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  await sql`update public.notification_campaign_recipients set status = 'sent' where campaign_id = ${campaign.id}`;
  await backDate(sql, campaign.id);
  await archive(sql);
  const archiver = await session("archiver");
  await archiver.begin();
  assert.equal((await archive(archiver.sql, "1 year", 2)).recipients_deleted, 2);
  await sql`select pg_terminate_backend(${archiver.pid})`;
  let deleted = 0;
  while (deleted < 3) deleted += (await archive(sql, "1 year", 2)).recipients_deleted;
  assert.equal((await archive(sql)).remaining, 0);
  assert.equal((await stats(sql, campaign.id)).sent_count, 3);
});
