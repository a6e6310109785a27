import assert from "node:assert/strict";
import {
  addRecipients,
  atOnce,
  claim,
  createCampaign,
  databaseTest,
  foldCounters,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  stats,
} from "../harness/mod.ts";

databaseTest("folders, writers, repairs and audits at once leave every counter exact", async ({ sql, pool }) => {
  const campaigns = [];
  for (let number = 0; number < 3; number++) {
    campaigns.push(await createCampaign(sql, { recipients: 20, memberCount: 1000 }));
  }
  const claims = await claim(sql, { limit: 60 });
  const work = pool(8);
  let writing = true;
  const writer = (part: number) => async () => {
    for (const [number, claimed] of claims.entries()) {
      await recordSendCallback(work, sentCallback(claimed, `M${number}`));
      await recordReceipts(work, [
        receipt("message_read", `M${number}`, person(part)),
        receipt("message_delivered", `M${number}`, person(part + 10)),
      ]);
    }
  };
  const background = async (work: () => Promise<unknown>) => {
    while (writing) await work();
  };
  await atOnce<unknown>([
    () => atOnce([writer(1), writer(2), writer(3)]).finally(() => writing = false),
    () => background(() => foldCounters(work)),
    () => background(() => foldCounters(work)),
    () =>
      background(async () => assert.deepEqual([...await work`select * from public.repair_campaign_counters()`], [])),
    () => background(async () => assert.deepEqual([...await work`select * from public.audit_campaign_counters()`], [])),
  ]);
  for (const { id } of campaigns) {
    const { sent_count, delivered_count, read_count } = await stats(sql, id);
    assert.deepEqual({ sent_count, delivered_count, read_count }, {
      sent_count: 20,
      delivered_count: 120,
      read_count: 60,
    });
  }
});

databaseTest("a reader that began before a fold still sums what it began with", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 5 });
  const reader = await session("reader");
  await reader.sql`begin isolation level repeatable read`;
  const before = await stats(reader.sql, campaign.id);
  await foldCounters(sql);
  await addRecipients(sql, campaign.id, [{}]);
  await foldCounters(sql);
  assert.deepEqual(await stats(reader.sql, campaign.id), before);
  await reader.commit();
  assert.equal((await stats(reader.sql, campaign.id)).total_count, 6);
});

databaseTest("deltas that are not committed yet are left for the next fold", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 5 });
  const writer = await session("writer");
  await writer.begin();
  await addRecipients(writer.sql, campaign.id, [{}, {}]);
  await foldCounters(sql);
  assert.equal((await stats(sql, campaign.id)).total_count, 5);
  await writer.commit();
  assert.equal((await stats(sql, campaign.id)).total_count, 7);
  assert.ok(await foldCounters(sql) > 0);
  assert.equal((await stats(sql, campaign.id)).total_count, 7);
});

databaseTest(
  "a campaign deleted while its receipts and callbacks come in leaves nothing behind",
  async ({ sql, pool }) => {
    const work = pool(4);
    // whoever deletes takes locks in the other direction; the loser of a deadlock is told to come again, as gateways do
    const insisting = (call: () => Promise<unknown>) => async () => {
      for (let tries = 1;; tries++) {
        try {
          return await call();
        } catch (error) {
          if (tries === 10 || !(error instanceof Error && "code" in error && error.code === "40P01")) throw error;
        }
      }
    };
    for (let round = 0; round < 15; round++) {
      const campaign = await createCampaign(sql, { recipients: 3 });
      const claims = await claim(sql);
      const events = claims.map((claimed, number) => sentCallback(claimed, `M${round}-${number}`));
      const receipts = claims.map((_, number) => receipt("message_read", `M${round}-${number}`, person(number)));
      await recordSendCallback(sql, events.slice(0, 2));
      await atOnce<unknown>([
        insisting(() => recordReceipts(work, receipts)),
        insisting(async () => await work`delete from public.notification_campaigns where id = ${campaign.id}`),
        insisting(() => recordSendCallback(work, events)),
        insisting(() => recordReceipts(work, receipts)),
      ]);
    }
    await foldCounters(sql);
    const [left] = await sql`
      select
        (select count(*) from private.campaign_counters) as counters,
        (select count(*) from private.campaign_counter_deltas) as deltas,
        (select count(*) from public.send_attempts) as attempts,
        (select count(*) from private.message_ids where recipient_id is not null) as message_ids,
        (select count(*) from public.message_receipts where recipient_id is not null) as receipts
    `;
    assert.deepEqual(left, { counters: 0, deltas: 0, attempts: 0, message_ids: 0, receipts: 0 });
  },
);

databaseTest("campaigns deleted while folders run leave no counters behind", async ({ sql, pool }) => {
  const work = pool(3);
  for (let round = 0; round < 30; round++) {
    const campaign = await createCampaign(sql, { recipients: 5 });
    await atOnce<unknown>([
      () => foldCounters(work),
      async () => await work`delete from public.notification_campaigns where id = ${campaign.id}`,
      () => foldCounters(work),
    ]);
  }
  await foldCounters(sql);
  await foldCounters(sql);
  const left = await sql`
    select campaign_id from private.campaign_counters
    union all
    select campaign_id from private.campaign_counter_deltas
  `;
  assert.equal(left.length, 0);
});
