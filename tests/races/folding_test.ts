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
