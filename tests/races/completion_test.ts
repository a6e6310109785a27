import assert from "node:assert/strict";
import {
  addRecipients,
  atOnce,
  campaignRow,
  claim,
  createCampaign,
  databaseTest,
  finalizeCampaigns,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  sentCallback,
  shuffled,
  type Sql,
  stats,
} from "../harness/mod.ts";

/** Writes down every time a campaign becomes completed. */
async function watchCompletions(sql: Sql): Promise<(campaignId: string) => Promise<number>> {
  await sql.unsafe(`
    create table private.completions (campaign_id uuid);
    create function private.note_completion() returns trigger language plpgsql set search_path = '' as $$
    begin
      insert into private.completions values (new.id);
      return null;
    end $$;
    create trigger note_completion after update of status on public.notification_campaigns
      for each row when (new.status = 'completed' and old.status <> 'completed')
      execute function private.note_completion();
  `);
  return async (campaignId) => (await sql`select from private.completions where campaign_id = ${campaignId}`).length;
}

databaseTest(
  "the last two callbacks, neither of which sees the other: the second completes the campaign",
  async ({ sql, session }) => {
    const completions = await watchCompletions(sql);
    const campaign = await createCampaign(sql, { recipients: 2 });
    const [first, second] = await claim(sql);
    assert.ok(first && second);
    const [a, b] = [await session("a"), await session("b")];
    await a.begin();
    await recordSendCallback(a.sql, sentCallback(first, "M1"));
    const last = await b.blocked((own) => recordSendCallback(own, sentCallback(second, "M2")));
    await a.commit();
    await last.done;
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
    assert.equal(await completions(campaign.id), 1);
  },
);

databaseTest("the last two callbacks, the first rolled back: the campaign stays open", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  const [first, second] = await claim(sql);
  assert.ok(first && second);
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  await recordSendCallback(a.sql, sentCallback(first, "M1"));
  const last = await b.blocked((own) => recordSendCallback(own, sentCallback(second, "M2")));
  await a.rollback();
  await last.done;
  assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
  await recordSendCallback(sql, sentCallback(first, "M1"));
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
});

for (const last of [2, 8]) {
  databaseTest(`the last ${last} callbacks at once complete the campaign once`, async ({ sql, pool }) => {
    const completions = await watchCompletions(sql);
    const work = pool(last);
    for (let round = 0; round < (last === 2 ? 100 : 50); round++) {
      const campaign = await createCampaign(sql, { recipients: last });
      const claims = await claim(sql);
      await atOnce(
        claims.map((claimed, number) => () => recordSendCallback(work, sentCallback(claimed, `M${round}-${number}`))),
      );
      const { status, completed_at } = await campaignRow(sql, campaign.id);
      assert.equal(status, "completed", `round ${round}`);
      assert.notEqual(completed_at, null);
      assert.equal(await completions(campaign.id), 1, `round ${round}`);
    }
  });
}

databaseTest(
  "callbacks whose receipts came first, while recipients are being added: nobody waits for anybody",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const claims = await claim(sql);
    await recordReceipts(sql, claims.map((_, number) => receipt("message_read", `M${number}`, person(number))));
    const [a, b, adding] = [await session("a"), await session("b"), await session("adding")];
    await adding.begin();
    await addRecipients(adding.sql, campaign.id, [{}]);
    const [first, second] = claims;
    assert.ok(first && second);
    await a.begin();
    await recordSendCallback(a.sql, sentCallback(first, "M0"));
    const last = await b.blocked((own) => recordSendCallback(own, sentCallback(second, "M1")));
    await a.commit();
    await last.done;
    await adding.commit();
    assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
    const [added] = await claim(sql);
    assert.ok(added);
    await recordSendCallback(sql, sentCallback(added, "M2"));
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
    assert.equal((await stats(sql, campaign.id)).read_count, 2);
  },
);

databaseTest("the last callbacks at once, after their receipts: one campaign, no deadlock", async ({ sql, pool }) => {
  const work = pool(8);
  for (let round = 0; round < 40; round++) {
    const campaign = await createCampaign(sql, { recipients: 8 });
    const claims = await claim(sql);
    await recordReceipts(
      sql,
      claims.map((_, number) => receipt("message_read", `M${round}-${number}`, person(number))),
    );
    await atOnce(
      claims.map((claimed, number) => () => recordSendCallback(work, sentCallback(claimed, `M${round}-${number}`))),
    );
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed", `round ${round}`);
    assert.equal((await stats(sql, campaign.id)).read_count, 8);
  }
});

databaseTest("the last rows settled at once in different ways complete the campaign once", async ({ sql, pool }) => {
  const completions = await watchCompletions(sql);
  const work = pool(6);
  for (let round = 0; round < 40; round++) {
    const campaign = await createCampaign(sql, { recipients: 6 });
    const claims = await claim(sql, { limit: 5 });
    const [a, b, c, d, e] = claims;
    assert.ok(a && b && c && d && e);
    const pending = campaign.recipients.find(({ id }) => !claims.some((claimed) => claimed.recipient_id === id));
    await recordSendResults(sql, [{
      clientMessageId: c.client_message_id,
      outcome: "accepted",
      messageId: `M${round}c`,
    }]);
    await atOnce<unknown>(shuffled([
      () => recordSendCallback(work, sentCallback(a, `M${round}a`)),
      () => recordSendResults(work, [{ clientMessageId: b.client_message_id, outcome: "failed" }]),
      () => recordReceipts(work, [receipt("message_read", `M${round}c`, person(1))]),
      async () => await work`select public.confirm_recipient(${d.recipient_id}, true)`,
      async () => await work`select public.increment_delivered_count(${e.recipient_id})`,
      async () => await work`delete from public.notification_campaign_recipients where id = ${pending?.id ?? ""}`,
      () => finalizeCampaigns(work),
    ]));
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed", `round ${round}`);
    assert.equal(await completions(campaign.id), 1);
    assert.equal((await stats(sql, campaign.id)).progress, 100);
  }
});

databaseTest(
  "recipients added at the moment of the last callback leave the campaign open, whoever is first",
  async ({ sql, pool }) => {
    const work = pool(3);
    for (let round = 0; round < 60; round++) {
      const campaign = await createCampaign(sql, { recipients: 2 });
      const claims = await claim(sql);
      await atOnce<unknown>(shuffled([
        ...claims.map((claimed, number) => () =>
          recordSendCallback(work, sentCallback(claimed, `M${round}-${number}`))
        ),
        () => addRecipients(work, campaign.id, [{}]),
      ]));
      assert.equal((await campaignRow(sql, campaign.id)).status, "processing", `round ${round}`);
      const [added] = await claim(sql);
      assert.ok(added);
      await recordSendCallback(sql, sentCallback(added, `M${round}-added`));
      assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
    }
  },
);

databaseTest("recipients added while the last callback completes the campaign reopen it", async ({ sql, session }) => {
  const campaign = await createCampaign(sql);
  const [claimed] = await claim(sql);
  assert.ok(claimed);
  const [completing, adding] = [await session("completing"), await session("adding")];
  await completing.begin();
  await recordSendCallback(completing.sql, sentCallback(claimed, "M1"));
  const added = await adding.blocked((own) => addRecipients(own, campaign.id, [{}]));
  await completing.commit();
  await added.done;
  assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
  assert.equal((await claim(sql)).length, 1);
});

databaseTest(
  "recipients whose import is rolled back after the last callback: the next run completes the campaign",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql);
    const [claimed] = await claim(sql);
    assert.ok(claimed);
    const adding = await session("adding");
    await adding.begin();
    await addRecipients(adding.sql, campaign.id, [{}]);
    await recordSendCallback(sql, sentCallback(claimed, "M1"));
    await adding.rollback();
    assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
    assert.equal(await finalizeCampaigns(sql), 1);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  },
);

databaseTest(
  "recipients added and settled in one transaction, twice at once: the campaign is completed",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { recipients: 0 });
    const addSettled = async (own: Sql) => {
      await addRecipients(own, campaign.id, [{}]);
      await own`
        update public.notification_campaign_recipients r
        set status = 'skipped', skip_reason = 'duplicate'
        where r.campaign_id = ${campaign.id} and r.status = 'pending'
      `;
    };
    const [a, b] = [await session("a"), await session("b")];
    await a.begin();
    await addSettled(a.sql);
    await b.begin();
    const second = await b.blocked(addSettled);
    await a.commit();
    await second.done;
    await b.commit();
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  },
);

databaseTest(
  "a campaign resumed at the moment its last row settles is completed, by the next run at the latest",
  async ({ sql, pool }) => {
    const work = pool(2);
    for (let round = 0; round < 60; round++) {
      const campaign = await createCampaign(sql);
      const [claimed] = await claim(sql);
      assert.ok(claimed);
      await sql`select public.pause_campaign(${campaign.id})`;
      await atOnce<unknown>(shuffled([
        () => recordSendCallback(work, sentCallback(claimed, `M${round}`)),
        async () => await work`select public.resume_campaign(${campaign.id})`,
      ]));
      // neither may have seen the other; the processor sweeps up
      await finalizeCampaigns(sql);
      assert.equal((await campaignRow(sql, campaign.id)).status, "completed", `round ${round}`);
    }
  },
);
