import assert from "node:assert/strict";
import {
  atOnce,
  attemptsOf,
  campaignRow,
  claim,
  claimOne,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  endLeases,
  failedCallback,
  groupJid,
  person,
  receipt,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  recoverStale,
  sentCallback,
  shuffled,
  stats,
  withoutId,
} from "../harness/mod.ts";

const ROUNDS = 60;

for (const [how, strip] of [["with", (event: Record<string, unknown>) => event], ["without", withoutId]] as const) {
  databaseTest(
    `two callbacks ${how} clientMessageId for one send, the first not committed yet: the second waits and is a duplicate`,
    async ({ sql, session }) => {
      const campaign = await createCampaign(sql);
      const callback = strip(sentCallback(await claimOne(sql), "M1"));
      const [a, b] = [await session("a"), await session("b")];
      await a.begin();
      assert.equal((await recordSendCallback(a.sql, callback)).recorded, 1);
      const second = await b.blocked((own) => recordSendCallback(own, callback));
      await a.commit();
      assert.deepEqual(await second.done, { recorded: 0, duplicates: 1, unmatched: 0, journaled: 0 });
      assert.equal((await attemptsOf(sql, campaign.only.id)).length, 1);
      assert.equal((await stats(sql, campaign.id)).sent_count, 1);
    },
  );

  databaseTest(
    `two callbacks ${how} clientMessageId for one send, the first rolled back: the second is recorded`,
    async ({ sql, session }) => {
      const campaign = await createCampaign(sql);
      const callback = strip(sentCallback(await claimOne(sql), "M1"));
      const [a, b] = [await session("a"), await session("b")];
      await a.begin();
      await recordSendCallback(a.sql, callback);
      const second = await b.blocked((own) => recordSendCallback(own, callback));
      await a.rollback();
      assert.equal((await second.done).recorded, 1);
      assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M1");
    },
  );

  databaseTest(
    `two callbacks ${how} clientMessageId for one send at the same moment are one send`,
    async ({ sql, pool }) => {
      const work = pool(2);
      for (let round = 0; round < ROUNDS; round++) {
        const campaign = await createCampaign(sql);
        const callback = strip(sentCallback(await claimOne(sql), `M${round}`));
        const answers = await atOnce([1, 2].map(() => () => recordSendCallback(work, callback)));
        assert.deepEqual(answers.map((answer) => [answer.recorded, answer.duplicates]).sort(), [[0, 1], [1, 0]]);
        assert.equal((await attemptsOf(sql, campaign.only.id)).length, 1);
        assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
      }
    },
  );

  databaseTest(
    `a success and a failure ${how} clientMessageId at the same moment end as sent`,
    async ({ sql, pool }) => {
      const work = pool(2);
      for (let round = 0; round < ROUNDS; round++) {
        const campaign = await createCampaign(sql);
        const claimed = await claimOne(sql);
        const events = [sentCallback(claimed, `M${round}`), failedCallback(claimed)].map(strip);
        if (round % 2 === 1) events.reverse();
        await atOnce(events.map((event) => () => recordSendCallback(work, event)));
        const row = await recipientRow(sql, campaign.only.id);
        assert.deepEqual([row.status, row.message_id, row.error_message], ["sent", `M${round}`, null]);
        assert.equal((await stats(sql, campaign.id)).failed_count, 0);
      }
    },
  );
}

databaseTest(
  "two message ids for one send at the same moment are both kept and counted once",
  async ({ sql, pool }) => {
    const work = pool(2);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql);
      const claimed = await claimOne(sql);
      await atOnce(["a", "b"].map((id) => () => recordSendCallback(work, sentCallback(claimed, `M${round}${id}`))));
      const attempts = await attemptsOf(sql, campaign.only.id);
      assert.deepEqual(attempts.map((attempt) => attempt.message_id).sort(), [`M${round}a`, `M${round}b`]);
      assert.equal((await stats(sql, campaign.id)).sent_count, 1);
    }
    assert.equal((await sql`select from public.duplicate_sends`).length, ROUNDS);
  },
);

databaseTest("one message id for two recipients at the same moment is given to one", async ({ sql, pool }) => {
  const work = pool(2);
  for (let round = 0; round < ROUNDS; round++) {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const claims = await claim(sql);
    await atOnce(claims.map((claimed) => () => recordSendCallback(work, sentCallback(claimed, `M${round}`))));
    const owners = await sql`select from public.notification_campaign_recipients where message_id = ${`M${round}`}`;
    assert.equal(owners.length, 1);
    assert.equal((await stats(sql, campaign.id)).sent_count, 2);
  }
});

databaseTest(
  "two callbacks without clientMessageId for a group in two campaigns at the same moment settle one each",
  async ({ sql, pool }) => {
    const work = pool(2);
    for (let round = 0; round < ROUNDS; round++) {
      const recipient = groupJid();
      const organizationId = await createOrganization(sql);
      const sessionId = await createSession(sql, organizationId);
      for (let campaigns = 0; campaigns < 2; campaigns++) {
        await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
      }
      const [claimed] = await claim(sql);
      assert.ok(claimed);
      const answers = await atOnce(
        ["a", "b"].map((id) => () => recordSendCallback(work, withoutId(sentCallback(claimed, `M${round}${id}`)))),
      );
      assert.deepEqual(answers.map((answer) => answer.recorded), [1, 1]);
      const rows =
        await sql`select message_id from public.notification_campaign_recipients where recipient = ${recipient}`;
      assert.deepEqual(rows.map((row) => row.message_id).sort(), [`M${round}a`, `M${round}b`]);
    }
  },
);

databaseTest(
  "a callback doubled at the same moment settles one campaign of the group's two, its receipts parked before",
  async ({ sql, session }) => {
    const recipient = groupJid();
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId);
    for (let campaigns = 0; campaigns < 2; campaigns++) {
      await createCampaign(sql, { organizationId, sessionId, recipients: [{ recipient }] });
    }
    const [claimed] = await claim(sql);
    assert.ok(claimed);
    await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
    const callback = withoutId(sentCallback(claimed, "M1"));
    const [a, b] = [await session("a"), await session("b")];
    await a.begin();
    assert.equal((await recordSendCallback(a.sql, callback)).recorded, 1);
    const second = await b.blocked((own) => recordSendCallback(own, callback));
    await a.commit();
    assert.equal((await second.done).duplicates, 1);
    const rows = await sql`select status, read_count from public.notification_campaign_recipients order by status`;
    assert.deepEqual([...rows], [{ status: "processing", read_count: 0 }, { status: "sent", read_count: 1 }]);
  },
);

databaseTest("the answer of /send and the callback at the same moment end as sent", async ({ sql, pool }) => {
  const work = pool(2);
  for (let round = 0; round < ROUNDS; round++) {
    const campaign = await createCampaign(sql, { onTransientError: "retry" });
    const claimed = await claimOne(sql);
    const outcome = (["accepted", "unknown", "deferred", "failed", "not_found"] as const)[round % 5] ?? "accepted";
    await atOnce<unknown>([
      () => recordSendResults(work, [{ clientMessageId: claimed.client_message_id, outcome }]),
      () => recordSendCallback(work, sentCallback(claimed, `M${round}`)),
    ]);
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent", outcome);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed", outcome);
  }
});

databaseTest(
  "a late callback and the recovery of its stale send at the same moment end as sent and nothing is sent again",
  async ({ sql, pool }) => {
    const work = pool(3);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql);
      const claimed = await claimOne(sql);
      await endLeases(sql);
      const callback = sentCallback(claimed, `M${round}`);
      await atOnce<unknown>(shuffled([
        () => recordSendCallback(work, round % 2 === 0 ? callback : withoutId(callback)),
        () => recoverStale(work),
        () => recoverStale(work),
      ]));
      assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
      assert.deepEqual(await claim(sql), []);
    }
  },
);

databaseTest(
  "a late callback and the next claim at the same moment end as sent with one row in each place",
  async ({ sql, pool }) => {
    const work = pool(2);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createCampaign(sql);
      const first = await claimOne(sql);
      await endLeases(sql);
      await recoverStale(sql);
      const [, claims] = await atOnce<unknown>([
        () => recordSendCallback(work, sentCallback(first, `M${round}`)),
        () => claim(work),
      ]);
      assert.ok(Array.isArray(claims) && claims.length <= 1);
      assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
      assert.equal((await attemptsOf(sql, campaign.only.id)).length, 1 + claims.length);
    }
  },
);

databaseTest(
  "overlapping batches of callbacks from six sessions do not deadlock and settle each row once",
  async ({ sql, pool }) => {
    const work = pool(6);
    for (let round = 0; round < 10; round++) {
      const campaign = await createCampaign(sql, { recipients: 60 });
      const claims = await claim(sql, { limit: 60 });
      const events = claims.map((claimed, number) => sentCallback(claimed, `M${round}-${number}`));
      const answers = await atOnce(Array.from({ length: 6 }, (_, part) => () => {
        const own = shuffled(events).slice(0, 45).map((event) => (part % 2 === 0 ? event : withoutId(event)));
        return recordSendCallback(work, own);
      }));
      assert.equal(answers.reduce((sum, answer) => sum + answer.unmatched, 0), 0);
      await recordSendCallback(sql, events);
      const { sent_count, total_count } = await stats(sql, campaign.id);
      assert.deepEqual([sent_count, total_count], [60, 60]);
      assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
      const attempts = await sql`
      select from public.send_attempts a
      join public.notification_campaign_recipients r on r.id = a.recipient_id
      where r.campaign_id = ${campaign.id}
    `;
      assert.equal(attempts.length, 60);
    }
  },
);
