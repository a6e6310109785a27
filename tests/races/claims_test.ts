import assert from "node:assert/strict";
import {
  atOnce,
  campaignRow,
  type Claim,
  claim,
  claimStale,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  endLeases,
  recordSendCallback,
  recoverStale,
  sentCallback,
  shuffled,
  stats,
} from "../harness/mod.ts";

for (const claimers of [2, 8]) {
  databaseTest(
    `${claimers} processors at once never claim the same row and together claim all`,
    async ({ sql, pool }) => {
      const campaigns = [];
      for (let number = 0; number < 3; number++) campaigns.push(await createCampaign(sql, { recipients: 200 }));
      const work = pool(claimers);
      const claims: Claim[] = [];
      await atOnce(Array.from({ length: claimers }, () => async () => {
        for (let empty = 0; empty < 2;) {
          const got = await claim(work, { limit: 17 });
          claims.push(...got);
          empty = got.length === 0 ? empty + 1 : 0;
        }
      }));
      assert.equal(claims.length, 600);
      assert.equal(new Set(claims.map((claimed) => claimed.recipient_id)).size, 600);
      assert.equal(new Set(claims.map((claimed) => claimed.client_message_id)).size, 600);
      assert.ok(claims.every((claimed) => claimed.attempt_number === 1));
    },
  );
}

databaseTest("a row that another processor holds is skipped, not waited for", async ({ sql, session }) => {
  await createCampaign(sql, { recipients: 2 });
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  const first = await claim(a.sql, { limit: 1 });
  const second = await claim(b.sql, { limit: 2 });
  assert.deepEqual([first.length, second.length], [1, 1]);
  assert.notEqual(first[0]?.recipient_id, second[0]?.recipient_id);
  await a.rollback();
  assert.equal((await claim(b.sql)).length, 1, "what was rolled back is free again");
});

databaseTest("four processors at once keep a sender's limit of 60 a minute exactly", async ({ sql, pool }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute: 60 });
  await createCampaign(sql, { organizationId, sessionId, recipients: 150 });
  await createCampaign(sql, { organizationId, sessionId, recipients: 150 });
  const work = pool(4);
  for (const minute of [1, 2]) {
    const races = await atOnce(Array.from({ length: 4 }, () => async () => {
      let claimed = 0;
      for (let tries = 0; tries < 12; tries++) claimed += (await claim(work, { limit: 13 })).length;
      return claimed;
    }));
    let claimed = races.reduce((sum, count) => sum + count, 0);
    assert.ok(claimed <= 60, `${claimed} in minute ${minute}`);
    // whoever found the sender held by another has left it to them: what is missing is still there
    for (let tries = 0; tries < 10; tries++) claimed += (await claim(work, { limit: 13 })).length;
    assert.equal(claimed, 60, `minute ${minute}`);
    await sql`update public.send_attempts set claimed_at = claimed_at - interval '61 seconds'`;
  }
});

databaseTest("a claim that is not committed yet counts against the sender's limit", async ({ sql, session }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute: 3 });
  await createCampaign(sql, { organizationId, sessionId, recipients: 10 });
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  assert.equal((await claim(a.sql, { limit: 2 })).length, 2);
  assert.deepEqual(await claim(b.sql), [], "left to the first");
  await a.commit();
  assert.equal((await claim(b.sql)).length, 1);
});

databaseTest("eight askers at once are never handed the same stale attempt", async ({ sql, pool }) => {
  await createCampaign(sql, { recipients: 200 });
  await claim(sql, { limit: 200 });
  await endLeases(sql);
  const work = pool(8);
  const ids: string[] = [];
  await atOnce(Array.from({ length: 8 }, () => async () => {
    for (let empty = 0; empty < 2;) {
      const got = await claimStale(work, 9);
      ids.push(...got.map((attempt) => attempt.client_message_id));
      empty = got.length === 0 ? empty + 1 : 0;
    }
  }));
  assert.equal(ids.length, 200);
  assert.equal(new Set(ids).size, 200);
});

databaseTest("recoveries at once give each stale send up once", async ({ sql, pool }) => {
  const campaign = await createCampaign(sql, { recipients: 300 });
  await claim(sql, { limit: 300 });
  await endLeases(sql);
  const work = pool(4);
  const recovered = await atOnce(Array.from({ length: 4 }, () => () => recoverStale(work)));
  assert.equal(recovered.reduce((sum, count) => sum + count, 0), 300);
  assert.equal((await stats(sql, campaign.id)).pending_count, 300);
});

databaseTest(
  "a claim and a cancellation at the same moment leave nothing pending and deadlock never",
  async ({ sql, pool }) => {
    const work = pool(4);
    for (let round = 0; round < 40; round++) {
      const campaign = await createCampaign(sql, { recipients: 20 });
      await sql`
      insert into public.opt_outs (organization_id, channel, recipient) values (${campaign.organizationId}, 'whatsapp_group', ${campaign.only.recipient})
    `;
      const [, first, second] = await atOnce<Claim[]>(shuffled([
        async () => {
          await work`select public.cancel_campaign(${campaign.id})`;
          return [];
        },
        () => claim(work, { limit: 7 }),
        () => claim(work, { limit: 20 }),
      ]));
      assert.ok(first && second);
      const counted = await stats(sql, campaign.id);
      assert.equal(counted.pending_count, 0, `round ${round}`);
      assert.equal(counted.skipped_count + counted.processing_count, 20);
      assert.deepEqual(await claim(sql), []);
      assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
    }
  },
);

databaseTest(
  "a pause and claims at the same moment: nothing is claimed after the pause was answered",
  async ({ sql, pool }) => {
    const work = pool(3);
    for (let round = 0; round < 30; round++) {
      const campaign = await createCampaign(sql, { recipients: 10 });
      await atOnce<unknown>([
        () => claim(work, { limit: 3 }),
        async () => await work`select public.pause_campaign(${campaign.id})`,
        () => claim(work, { limit: 3 }),
      ]);
      assert.deepEqual(await claim(sql), []);
    }
  },
);

databaseTest("claims, callbacks and recoveries at once send every row and settle each once", async ({ sql, pool }) => {
  const campaign = await createCampaign(sql, { recipients: 150, maxAttempts: 50 });
  const work = pool(6);
  let open = true;
  const sender = async () => {
    while (open) {
      const claims = await claim(work, { limit: 10 });
      // every third is lost
      const heard = claims.filter(() => Math.random() > 0.33);
      if (heard.length > 0) {
        await recordSendCallback(work, heard.map((claimed) => sentCallback(claimed, `M-${claimed.client_message_id}`)));
      }
      if ((await campaignRow(work, campaign.id)).status === "completed") open = false;
    }
  };
  const recoverer = async () => {
    while (open) {
      // as if a lease had run out, of which nobody has heard
      await work`
        update public.notification_campaign_recipients r
        set lease_expires_at = now() - interval '1 second'
        where r.id = any (array(
          select p.id from public.notification_campaign_recipients p
          where p.status = 'processing' order by p.id limit 20 for no key update skip locked
        ))
      `;
      await recoverStale(work);
    }
  };
  await atOnce([sender, sender, sender, recoverer, recoverer]);
  const counted = await stats(sql, campaign.id);
  assert.deepEqual([counted.sent_count, counted.progress], [150, 100]);
});
