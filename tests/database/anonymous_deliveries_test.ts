import assert from "node:assert/strict";
import { createCampaign, databaseTest, incrementDeliveredCount, recipientRow, stats } from "../harness/mod.ts";

databaseTest(
  "increment_delivered_count from 50 sessions at once on a group of 30 ends at exactly 30",
  async ({ sql, pool }) => {
    const campaign = await createCampaign(sql, { memberCount: 30 });
    const sessions = pool(50);
    // every one of the fifty holds a connection of its own before the first of them begins
    const reserved = await Promise.all(Array.from({ length: 50 }, () => sessions.reserve()));
    const answers = await Promise.all(reserved.map(async (session) => {
      const [row] = await session<
        { answer: number }[]
      >`select public.increment_delivered_count(${campaign.only.id}) as answer`;
      session.release();
      return row?.answer ?? 0;
    }));
    assert.equal(Math.max(...answers), 30);
    assert.deepEqual(
      answers.filter((answer) => answer < 30).sort((a, b) => a - b),
      Array.from({ length: 29 }, (_, n) => n + 1),
    );
    assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 30);
    const { delivered_count, reached_count } = await stats(sql, campaign.id);
    assert.deepEqual({ delivered_count, reached_count }, { delivered_count: 30, reached_count: 1 });
  },
);

databaseTest("increment_delivered_count counts on when the member count is unknown", async ({ sql }) => {
  const campaign = await createCampaign(sql, { memberCount: null });
  for (let expected = 1; expected <= 40; expected++) {
    assert.equal(await incrementDeliveredCount(sql, campaign.only.id), expected);
  }
});

databaseTest("increment_delivered_count stops at 999999 when the member count is unknown", async ({ sql }) => {
  const campaign = await createCampaign(sql, { memberCount: null });
  await sql`
    update public.notification_campaign_recipients
    set anonymous_delivered_count = 999998, delivered_count = 999998
    where id = ${campaign.only.id}
  `;
  assert.equal(await incrementDeliveredCount(sql, campaign.only.id), 999_999);
  assert.equal(await incrementDeliveredCount(sql, campaign.only.id), 999_999);
});

databaseTest("increment_delivered_count answers null when the group is unknown", async ({ sql }) => {
  assert.equal(await incrementDeliveredCount(sql, crypto.randomUUID()), null);
});

databaseTest("increment_delivered_count answers null when the id is null", async ({ sql }) => {
  const [row] = await sql`select public.increment_delivered_count(null) as answer`;
  assert.equal(row?.answer, null);
});

databaseTest("increment_delivered_count stays at 0 when a group has no members", async ({ sql }) => {
  const campaign = await createCampaign(sql, { memberCount: 0 });
  assert.equal(await incrementDeliveredCount(sql, campaign.only.id), 0);
});

databaseTest("increment_delivered_count proves the send of a row that was given up", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await sql`
    update public.notification_campaign_recipients
    set status = 'failed', error_code = 'x', error_message = 'x'
    where id = ${campaign.only.id}
  `;
  assert.equal(await incrementDeliveredCount(sql, campaign.only.id), 1);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual({ status: row.status, error: row.error_message }, { status: "sent", error: null });
});
