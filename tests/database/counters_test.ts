import assert from "node:assert/strict";
import {
  addRecipients,
  claim,
  createCampaign,
  databaseTest,
  foldCounters,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  type Sql,
  stats,
  until,
} from "../harness/mod.ts";

async function deltas(sql: Sql): Promise<number> {
  const [row] = await sql<{ n: number }[]>`select count(*) as n from private.campaign_counter_deltas`;
  return row?.n ?? -1;
}

// ---- whoever changes the rows ----

databaseTest("counters follow rows that a person inserts, updates and deletes in psql", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 10, memberCount: 7 });
  const counted = async () => {
    const { total_count, pending_count, processing_count, sent_count, failed_count, skipped_count, audience_count } =
      await stats(
        sql,
        campaign.id,
      );
    return { total_count, pending_count, processing_count, sent_count, failed_count, skipped_count, audience_count };
  };
  const none = {
    total_count: 10,
    pending_count: 0,
    processing_count: 0,
    sent_count: 0,
    failed_count: 0,
    skipped_count: 0,
    audience_count: 70,
  };
  assert.deepEqual(await counted(), { ...none, pending_count: 10 });
  await sql`update public.notification_campaign_recipients set status = 'sent'`;
  assert.deepEqual(await counted(), { ...none, sent_count: 10 });
  await sql`update public.notification_campaign_recipients set status = 'failed'`;
  assert.deepEqual(await counted(), { ...none, failed_count: 10 });
  await sql`update public.notification_campaign_recipients set status = 'skipped', skip_reason = 'by hand'`;
  assert.deepEqual(await counted(), { ...none, skipped_count: 10 });
  await sql`update public.notification_campaign_recipients set status = 'processing', member_count = null`;
  assert.deepEqual(await counted(), { ...none, processing_count: 10, audience_count: 0 });
  await sql`delete from public.notification_campaign_recipients where id = ${campaign.only.id}`;
  assert.deepEqual(await counted(), { ...none, total_count: 9, processing_count: 9, audience_count: 0 });
});

databaseTest("one update over rows of two campaigns counts for each its own", async ({ sql }) => {
  const one = await createCampaign(sql, { recipients: 3 });
  const two = await createCampaign(sql, { recipients: 5 });
  await sql`update public.notification_campaign_recipients set status = 'failed'`;
  assert.deepEqual([(await stats(sql, one.id)).failed_count, (await stats(sql, two.id)).failed_count], [3, 5]);
});

databaseTest("a row moved to another campaign takes its counts along", async ({ sql }) => {
  const one = await createCampaign(sql, { recipients: 2, memberCount: 10 });
  const two = await createCampaign(sql, { recipients: 0 });
  const [claimed] = await claim(sql, { limit: 1 });
  assert.ok(claimed);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
  await sql`update public.notification_campaign_recipients set campaign_id = ${two.id} where message_id = 'M1'`;
  const pick = async (id: string) => {
    const { total_count, sent_count, audience_count, delivered_count, read_count, reached_count } = await stats(
      sql,
      id,
    );
    return [total_count, sent_count, audience_count, delivered_count, read_count, reached_count];
  };
  assert.deepEqual(await pick(one.id), [1, 0, 10, 0, 0, 0]);
  assert.deepEqual(await pick(two.id), [1, 1, 10, 1, 1, 1]);
});

databaseTest("a statement that is rolled back leaves no trace in the counters", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const before = [await stats(sql, campaign.id), await deltas(sql)];
  const steps = await session("a");
  await steps.begin();
  await steps.sql`update public.notification_campaign_recipients set status = 'failed'`;
  await steps.rollback();
  assert.deepEqual([await stats(sql, campaign.id), await deltas(sql)], before);
});

databaseTest(
  "a savepoint that is rolled back takes its counts with it and leaves the others",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { recipients: 3 });
    const steps = await session("a");
    await steps.begin();
    await steps
      .sql`update public.notification_campaign_recipients set status = 'failed' where id = ${campaign.only.id}`;
    await steps.sql`savepoint s`;
    await steps.sql`update public.notification_campaign_recipients set status = 'failed'`;
    await steps.sql`rollback to s`;
    await steps.commit();
    const { failed_count, pending_count } = await stats(sql, campaign.id);
    assert.deepEqual([failed_count, pending_count], [1, 2]);
  },
);

databaseTest("an upsert counts what it inserts and what it updates", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: [{ recipient: "a" }, { recipient: "b" }] });
  const upsert = async () =>
    await sql`
      insert into public.notification_campaign_recipients (campaign_id, recipient, member_count)
      select ${campaign.id}, name, 4 from unnest(array['a', 'b', 'c']) as name
      on conflict (campaign_id, recipient) do update set member_count = excluded.member_count
    `;
  await upsert();
  await upsert();
  const { total_count, pending_count, audience_count } = await stats(sql, campaign.id);
  assert.deepEqual([total_count, pending_count, audience_count], [3, 3, 12]);
});

databaseTest("a merge that inserts, updates and deletes counts all three", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: [{ recipient: "a" }, { recipient: "b" }] });
  await sql`
    merge into public.notification_campaign_recipients r
    using (values ('a'), ('c'), ('d')) as wanted (name) on r.recipient = wanted.name and r.campaign_id = ${campaign.id}
    when matched then update set member_count = 1
    when not matched by target then insert (campaign_id, recipient, member_count) values (${campaign.id}, wanted.name, 2)
    when not matched by source then delete
  `;
  const { total_count, audience_count } = await stats(sql, campaign.id);
  assert.deepEqual([total_count, audience_count], [3, 5]);
});

databaseTest("rows copied in count like any others", async ({ sql }) => {
  const campaign = await createCampaign(sql, { status: "draft", recipients: 0 });
  const copy = await sql`copy public.notification_campaign_recipients (campaign_id, recipient, member_count) from stdin`
    .writable();
  await new Promise<void>((resolve, reject) => {
    copy.on("finish", resolve).on("error", reject);
    for (let number = 0; number < 500; number++) copy.write(`${campaign.id}\tgroup ${number}\t3\n`);
    copy.end();
  });
  const { total_count, audience_count } = await stats(sql, campaign.id);
  assert.deepEqual([total_count, audience_count], [500, 1500]);
});

databaseTest("an update that changes nothing appends no delta", async ({ sql }) => {
  await createCampaign(sql, { recipients: 3 });
  const before = await deltas(sql);
  await sql`update public.notification_campaign_recipients set variables = '{"name": "x"}'`;
  assert.equal(await deltas(sql), before);
});

databaseTest("cost is added up and taken away with its rows", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 4 });
  await sql`update public.notification_campaign_recipients set cost = 0.0125, currency = 'EUR'`;
  assert.equal((await stats(sql, campaign.id)).cost, 0.05);
  await sql`delete from public.notification_campaign_recipients where id = ${campaign.only.id}`;
  assert.equal((await stats(sql, campaign.id)).cost, 0.0375);
});

databaseTest("a deleted campaign takes its rows, receipts and counters along", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const kept = await createCampaign(sql, { recipients: 2 });
  for (const [number, claimed] of (await claim(sql)).entries()) {
    await recordSendCallback(sql, sentCallback(claimed, `M${number}`));
    await recordReceipts(sql, [receipt("message_read", `M${number}`, person(number))]);
  }
  await foldCounters(sql);
  await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  await foldCounters(sql);
  for (
    const left of [
      await sql`select from public.campaign_counters where campaign_id = ${campaign.id}`,
      await sql`select from private.campaign_counter_deltas where campaign_id = ${campaign.id}`,
      await sql`select from public.notification_campaign_recipients where campaign_id = ${campaign.id}`,
      await sql`select from public.message_receipts m where not exists (select from public.notification_campaign_recipients r where r.id = m.recipient_id)`,
      await sql`select from private.message_ids where recipient_id is null`,
    ]
  ) assert.equal(left.length, 0);
  assert.equal((await stats(sql, kept.id)).sent_count, 2);
});

databaseTest("a deleted organization takes everything along", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  await claim(sql);
  await sql`delete from public.organizations where id = ${campaign.organizationId}`;
  const left = await sql`
    select from public.notification_campaign_recipients
    union all select from public.notification_campaigns
    union all select from public.gateway_sessions
    union all select from public.campaign_counters
  `;
  assert.equal(left.length, 0);
});

databaseTest("truncating the recipients empties the counters", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  await foldCounters(sql);
  await addRecipients(sql, campaign.id, [{}]);
  await sql`truncate public.notification_campaign_recipients cascade`;
  assert.equal((await stats(sql, campaign.id)).total_count, 0);
});

databaseTest("a campaign's own counts of an old system count as anonymous deliveries", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 0 });
  await sql`
    insert into public.notification_campaign_recipients (campaign_id, recipient, status, member_count, delivered_count, read_count)
    values (${campaign.id}, 'old@g.us', 'sent', 50, 20, 5)
  `;
  const { delivered_count, read_count, reached_count } = await stats(sql, campaign.id);
  assert.deepEqual([delivered_count, read_count, reached_count], [20, 5, 1]);
});

for (
  const [what, change] of [
    ["a read above delivered", "read_count = delivered_count + 1"],
    ["a delivered above the members", "delivered_count = member_count + 1, anonymous_delivered_count = 0"],
    ["a negative count", "delivered_count = -1, read_count = -1"],
    ["a skipped row without a reason", "status = 'skipped'"],
    ["a blank recipient", "recipient = ' '"],
    ["a negative member count", "member_count = -1"],
  ] as const
) {
  databaseTest(`${what} cannot be stored`, async ({ sql }) => {
    await createCampaign(sql);
    await assert.rejects(async () => await sql.unsafe(`update public.notification_campaign_recipients set ${change}`), {
      code: "23514",
    });
  });
}

// ---- folding ----

databaseTest("folding empties the deltas and changes no counter", async ({ sql }) => {
  const one = await createCampaign(sql, { recipients: 20 });
  const two = await createCampaign(sql, { recipients: 10 });
  for (const [number, claimed] of (await claim(sql)).entries()) {
    await recordSendCallback(sql, sentCallback(claimed, `M${number}`));
    await recordReceipts(sql, [receipt("message_read", `M${number}`, person(number))]);
  }
  for (let rounds = 0; rounds < 3; rounds++) {
    const before = [await stats(sql, one.id), await stats(sql, two.id)];
    const waiting = await deltas(sql);
    assert.equal(await foldCounters(sql), waiting);
    assert.equal(await deltas(sql), 0);
    assert.deepEqual([await stats(sql, one.id), await stats(sql, two.id)], before);
    await addRecipients(sql, one.id, [{}]);
  }
});

databaseTest("folding with nothing to fold answers 0", async ({ sql }) => {
  assert.equal(await foldCounters(sql), 0);
});

databaseTest("a second folder leaves it to the first and does not wait", async ({ sql, session }) => {
  await createCampaign(sql, { recipients: 3 });
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  assert.ok(await foldCounters(a.sql) > 0);
  assert.equal(await foldCounters(b.sql), 0);
  await a.commit();
  assert.equal(await deltas(sql), 0);
});

databaseTest("a fold that is rolled back loses nothing", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const before = await stats(sql, campaign.id);
  const a = await session("a");
  await a.begin();
  await foldCounters(a.sql);
  await a.rollback();
  assert.deepEqual(await stats(sql, campaign.id), before);
  await foldCounters(sql);
  assert.deepEqual(await stats(sql, campaign.id), before);
});

databaseTest("readers never see a counter go backwards while others count and fold", async ({ sql, pool }) => {
  const campaign = await createCampaign(sql, { recipients: 40, memberCount: 1000 });
  const claims = await claim(sql);
  await recordSendCallback(sql, claims.map((claimed, number) => sentCallback(claimed, `M${number}`)));
  const work = pool(8);
  let writing = true;
  const reads = { count: 0 };

  const reader = async () => {
    let last = await stats(work, campaign.id);
    while (writing) {
      const now = await stats(work, campaign.id);
      for (
        const counter of [
          "delivered_count",
          "read_count",
          "reached_count",
          "sent_count",
          "total_count",
          "progress",
        ] as const
      ) {
        assert.ok(now[counter] >= last[counter], `${counter} went from ${last[counter]} to ${now[counter]}`);
      }
      last = now;
      reads.count++;
    }
  };
  const folder = async () => {
    while (writing) await foldCounters(work);
  };
  const writer = async (part: number) => {
    for (let round = 0; round < 120; round++) {
      const events = claims.map((_, number) => receipt("message_read", `M${number}`, person(part * 1000 + round)));
      await recordReceipts(work, events);
    }
  };
  const background = [reader(), reader(), folder(), folder()];
  // a reader that fails must be seen before the writers end, not after
  await Promise.race([
    Promise.all([writer(1), writer(2)]).finally(() => writing = false),
    ...background.map((task) => task.then(() => {})),
  ]).finally(() => writing = false);
  await Promise.all(background);
  await until("the deltas to be folded", async () => (await foldCounters(sql), await deltas(sql) === 0));
  assert.ok(reads.count > 20, `${reads.count} reads`);
  const { delivered_count, read_count } = await stats(sql, campaign.id);
  assert.deepEqual([delivered_count, read_count], [40 * 240, 40 * 240]);
});
