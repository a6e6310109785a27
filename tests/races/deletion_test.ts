import assert from "node:assert/strict";
import {
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
} from "../harness/mod.ts";

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
        (select count(*) from public.campaign_counters) as counters,
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
    select campaign_id from public.campaign_counters
    union all
    select campaign_id from private.campaign_counter_deltas
  `;
  assert.equal(left.length, 0);
});
