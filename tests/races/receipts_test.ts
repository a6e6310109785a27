import assert from "node:assert/strict";
import {
  atOnce,
  claim,
  claimOne,
  createCampaign,
  databaseTest,
  incrementDeliveredCount,
  person,
  receipt,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  shuffled,
  stats,
} from "../harness/mod.ts";

const receipts = [1, 2, 3].map((number) => receipt("message_read", "M1", person(number)));

databaseTest(
  "receipts not committed yet make the callback that names their message wait, and it adopts them",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    const [a, b] = [await session("receipts"), await session("callback")];
    await a.begin();
    assert.equal((await recordReceipts(a.sql, receipts)).parked, 3);
    const callback = await b.blocked((own) => recordSendCallback(own, sentCallback(claimed, "M1")));
    await a.commit();
    assert.equal((await callback.done).recorded, 1);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.delivered_count, row.read_count], ["sent", 3, 3]);
  },
);

databaseTest(
  "a callback not committed yet makes receipts of its message wait, and they are counted, not parked",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    const [a, b] = [await session("callback"), await session("receipts")];
    await a.begin();
    await recordSendCallback(a.sql, sentCallback(claimed, "M1"));
    const waiting = await b.blocked((own) => recordReceipts(own, receipts));
    await a.commit();
    assert.deepEqual(await waiting.done, { recorded: 3, duplicates: 0, parked: 0, journaled: 0 });
    assert.equal((await recipientRow(sql, campaign.only.id)).read_count, 3);
  },
);

databaseTest(
  "a callback that is rolled back leaves the receipts that waited for it parked",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    const [a, b] = [await session("callback"), await session("receipts")];
    await a.begin();
    await recordSendCallback(a.sql, sentCallback(claimed, "M1"));
    const waiting = await b.blocked((own) => recordReceipts(own, receipts));
    await a.rollback();
    assert.equal((await waiting.done).parked, 3);
    await recordSendCallback(sql, sentCallback(claimed, "M1"));
    assert.equal((await recipientRow(sql, campaign.only.id)).read_count, 3);
  },
);

databaseTest(
  "receipts of one message are parked by two sessions side by side, and all are adopted",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql);
    const claimed = await claimOne(sql);
    await recordReceipts(sql, [receipt("message_delivered", "M1", person(9))]);
    const [a, b] = [await session("a"), await session("b")];
    await a.begin();
    await b.begin();
    assert.equal((await recordReceipts(a.sql, [receipt("message_read", "M1", person(1))])).parked, 1);
    assert.equal((await recordReceipts(b.sql, [receipt("message_read", "M1", person(2))])).parked, 1);
    await a.commit();
    await b.commit();
    await recordSendCallback(sql, sentCallback(claimed, "M1"));
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.delivered_count, row.read_count], [3, 2]);
  },
);

for (const first of ["receipts", "callback"] as const) {
  databaseTest(
    `receipts and their callback at the same moment, ${first} first, a hundred rounds: all are counted`,
    async ({ sql, pool }) => {
      const work = pool(3);
      for (let round = 0; round < 100; round++) {
        const campaign = await createCampaign(sql, { memberCount: 50 });
        const claimed = await claimOne(sql);
        const id = `M${round}`;
        const works: (() => Promise<unknown>)[] = [
          () => recordReceipts(work, [1, 2].map((number) => receipt("message_delivered", id, person(number)))),
          () => recordReceipts(work, [2, 3].map((number) => receipt("message_read", id, person(number)))),
          () => recordSendCallback(work, sentCallback(claimed, id)),
        ];
        await atOnce(first === "receipts" ? works : works.toReversed());
        const row = await recipientRow(sql, campaign.only.id);
        assert.deepEqual([row.status, row.delivered_count, row.read_count], ["sent", 3, 2], `round ${round}`);
      }
      assert.equal((await sql`select from public.message_receipts where recipient_id is null`).length, 0);
    },
  );
}

databaseTest(
  "overlapping batches of receipts from eight sessions do not deadlock and count exactly",
  async ({ sql, pool }) => {
    const campaign = await createCampaign(sql, { recipients: 20, memberCount: 200 });
    const claims = await claim(sql);
    await recordSendCallback(sql, claims.slice(0, 15).map((claimed, number) => sentCallback(claimed, `M${number}`)));
    const all = claims.flatMap((_, message) =>
      Array.from({ length: 40 }, (_, reader) => [
        receipt("message_delivered", `M${message}`, person(reader)),
        ...reader % 2 === 0
          ? [receipt("message_read", `M${message}`, `${919_870_000_000 + reader}:3@s.whatsapp.net`)]
          : [],
      ]).flat()
    );
    const work = pool(9);
    const answers = await atOnce<{ recorded: number; parked: number } | null>([
      ...Array.from({ length: 8 }, () => async () => {
        const sum = { recorded: 0, parked: 0 };
        for (let batches = 0; batches < 6; batches++) {
          const { recorded, parked } = await recordReceipts(work, shuffled(all).slice(0, 700));
          sum.recorded += recorded;
          sum.parked += parked;
        }
        return sum;
      }),
      // and the last five messages become known meanwhile
      async () => {
        for (const [number, claimed] of claims.slice(15).entries()) {
          await recordSendCallback(work, sentCallback(claimed, `M${number + 15}`));
        }
        return null;
      },
    ]);
    const last = await recordReceipts(sql, all);
    const { delivered_count, read_count, reached_count } = await stats(sql, campaign.id);
    assert.deepEqual({ delivered_count, read_count, reached_count }, {
      delivered_count: 800,
      read_count: 400,
      reached_count: 20,
    });
    const kinds = await sql<{ n: number }[]>`
    select sum((delivered_at is not null)::int + (read_at is not null)::int) as n from public.message_receipts
  `;
    assert.equal(kinds[0]?.n, 1200);
    const recorded = answers.reduce(
      (sum, answer) => sum + (answer === null ? 0 : answer.recorded + answer.parked),
      last.recorded,
    );
    // a read that comes before its delivery brings both, and the delivery that follows is a duplicate
    assert.ok(recorded > 800 && recorded <= 1200, `${recorded} of the events were news`);
  },
);

databaseTest(
  "batches about the same messages from different people do not deadlock and count exactly",
  async ({ sql, pool }) => {
    const campaign = await createCampaign(sql, { recipients: 40, memberCount: 1000 });
    const claims = await claim(sql);
    // ids whose order is not that of their recipients
    const ids = shuffled(claims.map((_, number) => `M${number}`));
    await recordSendCallback(sql, claims.map((claimed, number) => sentCallback(claimed, ids[number] ?? "")));
    const work = pool(8);
    await atOnce(Array.from({ length: 8 }, (_, part) => async () => {
      for (let batch = 0; batch < 10; batch++) {
        await recordReceipts(work, shuffled(ids).map((id) => receipt("message_read", id, person(part * 100 + batch))));
      }
    }));
    const { delivered_count, read_count } = await stats(sql, campaign.id);
    assert.deepEqual([delivered_count, read_count], [40 * 80, 40 * 80]);
  },
);

databaseTest(
  "the same reader on two messages of one recipient at the same moment is one reader",
  async ({ sql, pool }) => {
    const work = pool(4);
    for (let round = 0; round < 60; round++) {
      const campaign = await createCampaign(sql);
      const claimed = await claimOne(sql);
      const [one, two] = [`M${round}a`, `M${round}b`];
      await atOnce<unknown>(shuffled([
        () => recordSendCallback(work, sentCallback(claimed, one)),
        () => recordSendCallback(work, sentCallback(claimed, two)),
        () =>
          recordReceipts(work, [receipt("message_read", one, person(1)), receipt("message_delivered", one, person(2))]),
        () =>
          recordReceipts(work, [receipt("message_read", two, person(1)), receipt("message_delivered", two, person(3))]),
      ]));
      const row = await recipientRow(sql, campaign.only.id);
      assert.deepEqual([row.delivered_count, row.read_count], [3, 1], `round ${round}`);
    }
  },
);

databaseTest(
  "anonymous and identified deliveries at the same moment never pass the member count",
  async ({ sql, pool }) => {
    const work = pool(8);
    const campaign = await createCampaign(sql, { memberCount: 25 });
    await recordSendCallback(sql, sentCallback(await claimOne(sql), "M1"));
    await atOnce<unknown>(shuffled([
      ...Array.from({ length: 40 }, () => () => incrementDeliveredCount(work, campaign.only.id)),
      ...Array.from(
        { length: 40 },
        (_, number) => () => recordReceipts(work, [receipt("message_read", "M1", person(number))]),
      ),
      ...Array.from({ length: 40 }, () => () => recordReceipts(work, [receipt("message_delivered", "M1", null)])),
    ]));
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.delivered_count, row.read_count], [25, 25]);
  },
);

databaseTest("a member count that is raised while receipts come in ends right", async ({ sql, pool }) => {
  const work = pool(4);
  for (let round = 0; round < 20; round++) {
    const campaign = await createCampaign(sql, { memberCount: 2 });
    await recordSendCallback(sql, sentCallback(await claimOne(sql), `M${round}`));
    await atOnce<unknown>([
      ...[1, 2, 3, 4, 5].map((number) => () =>
        recordReceipts(work, [receipt("message_read", `M${round}`, person(number))])
      ),
      async () =>
        await work`update public.notification_campaign_recipients set member_count = 4 where id = ${campaign.only.id}`,
    ]);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.delivered_count, row.read_count], [4, 4]);
  }
});
