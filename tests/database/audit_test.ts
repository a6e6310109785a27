import assert from "node:assert/strict";
import {
  assertAuditIsClean,
  atOnce,
  claim,
  createCampaign,
  databaseTest,
  finalizeCampaigns,
  foldCounters,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

interface Discrepancy {
  readonly counter: string;
  readonly stored: number;
  readonly actual: number;
}

async function audit(sql: Sql, campaignId: string | null = null): Promise<Discrepancy[]> {
  return [
    ...await sql<Discrepancy[]>`
    select counter, stored, actual from public.audit_campaign_counters(${campaignId}) order by counter, recipient_id nulls first
  `,
  ];
}

async function repair(sql: Sql, campaignId: string | null = null): Promise<Discrepancy[]> {
  return [
    ...await sql<Discrepancy[]>`
    select counter, stored, actual from public.repair_campaign_counters(${campaignId}) order by counter, recipient_id nulls first
  `,
  ];
}

/** A campaign to three groups of 10, sent, two of them read by four people each; its counters folded. */
async function countedCampaign(sql: Sql): Promise<string> {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const claims = await claim(sql);
  const ids = claims.map((claimed) => `M-${claimed.client_message_id}`);
  await recordSendCallback(sql, claims.map((claimed, number) => sentCallback(claimed, ids[number] ?? "")));
  await recordReceipts(
    sql,
    ids.slice(0, 2).flatMap((id) => [1, 2, 3, 4].map((number) => receipt("message_read", id, person(number)))),
  );
  await foldCounters(sql);
  return campaign.id;
}

databaseTest("an audit of counters that are right finds nothing", async ({ sql }) => {
  const id = await countedCampaign(sql);
  assert.deepEqual(await audit(sql), []);
  assert.deepEqual(await audit(sql, id), []);
  assert.deepEqual(await repair(sql), []);
});

/** Columns of a delta, and of a snapshot, but for whose they are. */
const COUNTERS =
  `total_count, pending_count, processing_count, unconfirmed_count, sent_count, failed_count, skipped_count,
  audience_count, reached_count, delivered_count, read_count, cost`;

/** Statements that break something that has triggers, and must not be noticed by them. */
const unnoticed = (statement: string) => `set local session_replication_role = 'replica'; ${statement}`;

const tampering: readonly (readonly [what: string, statement: string, expected: readonly Discrepancy[]])[] = [
  ["an inflated counter", "update public.campaign_counters set delivered_count = delivered_count + 100", [
    { counter: "delivered_count", stored: 108, actual: 8 },
  ]],
  ["a negative counter", "update public.campaign_counters set read_count = -5", [
    { counter: "read_count", stored: -5, actual: 8 },
  ]],
  [
    "rows counted in the wrong status",
    "update public.campaign_counters set sent_count = sent_count - 1, failed_count = 1",
    [
      { counter: "failed_count", stored: 1, actual: 0 },
      { counter: "sent_count", stored: 2, actual: 3 },
    ],
  ],
  ["a wrong cost", "update public.campaign_counters set cost = 0.125", [
    { counter: "cost", stored: 0.125, actual: 0 },
  ]],
  [
    "a doubled delta",
    `insert into private.campaign_counter_deltas (campaign_id, organization_id, ${COUNTERS})
     select campaign_id, organization_id, ${COUNTERS} from public.campaign_counters`,
    [
      { counter: "audience_count", stored: 60, actual: 30 },
      { counter: "delivered_count", stored: 16, actual: 8 },
      { counter: "reached_count", stored: 4, actual: 2 },
      { counter: "read_count", stored: 16, actual: 8 },
      { counter: "sent_count", stored: 6, actual: 3 },
      { counter: "total_count", stored: 6, actual: 3 },
    ],
  ],
  [
    "a lost delta",
    "update public.notification_campaign_recipients set status = 'failed' where read_count = 0; delete from private.campaign_counter_deltas",
    [
      { counter: "failed_count", stored: 0, actual: 1 },
      { counter: "sent_count", stored: 3, actual: 2 },
    ],
  ],
  ["a deleted snapshot", "delete from public.campaign_counters", [
    { counter: "audience_count", stored: 0, actual: 30 },
    { counter: "delivered_count", stored: 0, actual: 8 },
    { counter: "reached_count", stored: 0, actual: 2 },
    { counter: "read_count", stored: 0, actual: 8 },
    { counter: "sent_count", stored: 0, actual: 3 },
    { counter: "total_count", stored: 0, actual: 3 },
  ]],
  [
    "a recipient's count set by hand",
    "update public.notification_campaign_recipients set delivered_count = 9 where delivered_count = 0",
    [{ counter: "delivered_count", stored: 9, actual: 0 }],
  ],
  [
    "a recipient's evidence set by hand",
    "update public.notification_campaign_recipients set identified_read_count = 1 where read_count = 0",
    [{ counter: "identified_read_count", stored: 1, actual: 0 }],
  ],
  [
    "a delivered message that does not count as sent",
    unnoticed(
      "update public.notification_campaign_recipients set status = 'processing' where message_id = (select min(message_id) from public.message_receipts)",
    ),
    [
      { counter: "sent_count", stored: 3, actual: 2 },
      { counter: "sent_count", stored: 0, actual: 1 },
      { counter: "processing_count", stored: 0, actual: 1 },
    ],
  ],
  [
    "a cost that is not that of its receipts",
    unnoticed(
      "update public.message_receipts set cost = 0.01 where message_id = (select min(message_id) from public.message_receipts)",
    ),
    [{ counter: "cost", stored: 0, actual: 0.04 }],
  ],
];

const byCounter = (discrepancies: readonly Discrepancy[]) =>
  discrepancies.map(({ counter, stored, actual }) => `${counter} ${stored} ${actual}`).sort();

for (const [what, statement, expected] of tampering) {
  databaseTest(`an audit finds ${what} and a repair mends it`, async ({ sql }) => {
    const id = await countedCampaign(sql);
    await sql.begin(async (transaction) => await transaction.unsafe(statement).simple());
    assert.deepEqual(byCounter(await audit(sql, id)), byCounter(expected));
    assert.deepEqual(
      byCounter(await audit(sql)),
      byCounter(expected),
      "found again by the audit of all, not noted twice",
    );
    const open = await sql`select from public.counter_discrepancies where repaired_at is null`;
    assert.equal(open.length, expected.length);
    assert.deepEqual(byCounter(await repair(sql, id)), byCounter(expected));
    assert.deepEqual(await audit(sql, id), []);
    assert.deepEqual(await audit(sql), []);
    assert.deepEqual(await repair(sql), []);
    const kept = await sql`select from public.counter_discrepancies where repaired_at is not null`;
    assert.equal(kept.length, expected.length, "what was found stays on record");
    await foldCounters(sql);
    const { sent_count, failed_count, processing_count, delivered_count, read_count } = await stats(sql, id);
    assert.equal(sent_count + failed_count, 3);
    assert.deepEqual([processing_count, delivered_count, read_count], [0, 8, 8]);
  });
}

databaseTest("an audit closes what somebody mended by hand", async ({ sql }) => {
  const id = await countedCampaign(sql);
  await sql`update public.campaign_counters set sent_count = sent_count + 1, read_count = read_count + 1`;
  assert.equal((await audit(sql, id)).length, 2);
  await sql`update public.campaign_counters set sent_count = sent_count - 1`;
  assert.deepEqual((await audit(sql, id)).map(({ counter }) => counter), ["read_count"]);
  await sql`update public.campaign_counters set read_count = read_count - 1`;
  assert.deepEqual(await audit(sql), []);
  const [row] = await sql<{ open: number; closed: number }[]>`
    select count(*) filter (where repaired_at is null)::integer as open, count(repaired_at)::integer as closed
    from public.counter_discrepancies
  `;
  assert.deepEqual(row, { open: 0, closed: 2 });
});

databaseTest("an audit counts a person once who received both messages of a recipient", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await sql`
    insert into public.send_attempts (recipient_id, attempt_number, message_id, outcome)
    values (${campaign.only.id}, 1, 'M1', 'sent'), (${campaign.only.id}, 2, 'M2', 'sent')
  `;
  await sql`update public.notification_campaign_recipients set attempt_count = 2, status = 'sent', message_id = 'M1'`;
  await recordReceipts(sql, [
    receipt("message_read", "M1", person(1)),
    receipt("message_delivered", "M2", person(1)),
    receipt("message_delivered", "M2", person(2)),
  ]);
  const { delivered_count, read_count } = await stats(sql, campaign.id);
  assert.deepEqual([delivered_count, read_count], [2, 1]);
  assert.deepEqual(await audit(sql, campaign.id), []);
  assert.deepEqual(await audit(sql), []);
});

databaseTest(
  "an audit of one campaign reads by index what it holds, whatever statistics say",
  async ({ sql, session }) => {
    const id = await countedCampaign(sql);
    for (let other = 0; other < 3; other++) await createCampaign(sql, { recipients: 500 });
    for (const statistics of ["none", "of an empty table"]) {
      if (statistics !== "none") {
        await sql`
        update pg_catalog.pg_class set reltuples = 0, relpages = 1
        where oid = any (array['public.notification_campaign_recipients', 'public.message_receipts', 'private.message_ids',
          'private.campaign_counter_deltas', 'public.campaign_counters']::regclass[])
      `;
      }
      const a = await session(`statistics ${statistics}`);
      await a.begin();
      assert.deepEqual(await audit(a.sql, id), []);
      const read = await a.sql<{ relname: string; seq_scan: number; read: number }[]>`
      select relname, seq_scan::integer as seq_scan, idx_tup_fetch::integer as read
      from pg_catalog.pg_stat_xact_user_tables
      where relname in ('notification_campaign_recipients', 'message_receipts', 'message_ids', 'campaign_counter_deltas', 'campaign_counters')
    `;
      await a.rollback();
      assert.equal(read.length, 5);
      for (const { relname, seq_scan, read: rows } of read) {
        assert.equal(seq_scan, 0, `${relname} with statistics ${statistics}`);
        assert.ok(rows <= 20, `${rows} rows of ${relname} with statistics ${statistics}`);
      }
    }
  },
);

databaseTest("an audit under way holds up nobody who writes, completes or deletes", async ({ sql, session }) => {
  const id = await countedCampaign(sql);
  const other = await countedCampaign(sql);
  const third = await countedCampaign(sql);
  await sql`update public.campaign_counters set sent_count = sent_count + 1`;
  // noted before, so that the audit under way writes again what is there
  assert.equal((await audit(sql, other)).length, 1);
  const auditor = await session("auditor");
  await auditor.begin();
  assert.equal((await audit(auditor.sql)).length, 3);
  const writer = await session("writer");
  await writer.sql`set lock_timeout = '1s'`;
  await recordReceipts(writer.sql, [receipt("message_delivered", "nobody's yet", person(9))]);
  await writer.sql`update public.notification_campaign_recipients set status = 'failed' where campaign_id = ${id}`;
  await writer.sql`update public.notification_campaigns set status = 'processing' where id = ${id}`;
  assert.equal(await finalizeCampaigns(writer.sql), 1);
  await foldCounters(writer.sql);
  await writer.sql`delete from public.notification_campaigns where id = any (${[other, third]})`;
  await auditor.commit();
  await audit(sql);
  const orphans = await sql`
    select campaign_id from public.counter_discrepancies where campaign_id = any (${[other, third]})
    union all
    select campaign_id from private.campaign_audits where campaign_id = any (${[other, third]})
  `;
  assert.equal(orphans.length, 0, "the next audit of all forgets what deleted campaigns left");
  await repair(sql);
});

databaseTest(
  "a second auditor of a campaign waits for the first, one of another does not",
  async ({ sql, session }) => {
    const one = await countedCampaign(sql);
    const two = await countedCampaign(sql);
    const [a, b] = [await session("a"), await session("b")];
    await a.begin();
    await audit(a.sql, one);
    assert.deepEqual(await audit(b.sql, two), []);
    const waiting = await b.blocked((sql) => audit(sql, one));
    await a.commit();
    assert.deepEqual(await waiting.done, []);
  },
);

databaseTest("two repairs at once add what is missing once", async ({ sql, pool }) => {
  const id = await countedCampaign(sql);
  const work = pool(4);
  for (let round = 0; round < 5; round++) {
    await sql`update public.campaign_counters set sent_count = sent_count - 2, failed_count = failed_count + 2`;
    await atOnce([
      () => repair(work, id),
      () => repair(work),
      () => repair(work, id),
      () => repair(work),
    ]);
    assert.deepEqual(await audit(sql), []);
  }
});

databaseTest("a repair in one snapshot is refused", async ({ sql, session }) => {
  await countedCampaign(sql);
  const a = await session("a");
  await a.sql`begin isolation level repeatable read`;
  await assert.rejects(() => repair(a.sql), { code: "25000" });
  await a.rollback();
});

databaseTest("a repair of one campaign leaves the others as they are", async ({ sql }) => {
  const one = await countedCampaign(sql);
  const two = await countedCampaign(sql);
  await sql`update public.campaign_counters set sent_count = 50`;
  await repair(sql, one);
  assert.deepEqual([(await stats(sql, one)).sent_count, (await stats(sql, two)).sent_count], [3, 50]);
  assert.equal((await audit(sql)).length, 1);
  await repair(sql);
});

databaseTest("an audit under traffic raises no false alarm", async ({ sql, pool }) => {
  const campaign = await createCampaign(sql, { recipients: 50, memberCount: 1000 });
  const claims = await claim(sql);
  const work = pool(6);
  let writing = true;
  const writer = async (part: number) => {
    for (const [number, claimed] of claims.entries()) {
      await recordSendCallback(work, sentCallback(claimed, `M${number}`));
      const readers = Array.from({ length: 10 }, (_, reader) => person(part * 100 + reader));
      await recordReceipts(work, readers.map((reader) => receipt("message_read", `M${number}`, reader)));
    }
  };
  const auditor = async () => {
    while (writing) assert.deepEqual(await audit(work, campaign.id), []);
  };
  const folder = async () => {
    while (writing) await foldCounters(work);
  };
  const background = [auditor(), auditor(), folder()];
  await Promise.all([writer(1), writer(2), writer(3)]).finally(() => writing = false);
  await Promise.all(background);
  assert.equal((await stats(sql, campaign.id)).read_count, 50 * 30);
});

databaseTest(
  "a repair under traffic mends what was wrong and disturbs nothing that is counted meanwhile",
  async ({ sql, pool }) => {
    const campaign = await createCampaign(sql, { recipients: 50, memberCount: 1000 });
    const claims = await claim(sql);
    await foldCounters(sql);
    const work = pool(6);
    let writing = true;
    const writer = async (part: number) => {
      for (const [number, claimed] of claims.entries()) {
        await recordSendCallback(work, sentCallback(claimed, `M${number}`));
        await recordReceipts(work, [
          receipt("message_read", `M${number}`, person(part)),
          receipt("message_delivered", `M${number}`, person(99)),
        ]);
      }
    };
    const vandal = async () => {
      while (writing) {
        await work`
        insert into private.campaign_counter_deltas (
          campaign_id, organization_id, total_count, pending_count, processing_count, unconfirmed_count, sent_count, failed_count,
          skipped_count, audience_count, reached_count, delivered_count, read_count, cost
        )
        values (${campaign.id}, ${campaign.organizationId}, 0, 0, 0, 0, 3, -2, 0, 0, 0, 7, 1, 0)
      `;
        await repair(work, campaign.id);
      }
    };
    const folder = async () => {
      while (writing) await foldCounters(work);
    };
    const background = [vandal(), folder()];
    await Promise.all([writer(1), writer(2), writer(3)]).finally(() => writing = false);
    await Promise.all(background);
    await repair(sql);
    await assertAuditIsClean({ sql });
    const { sent_count, delivered_count, read_count } = await stats(sql, campaign.id);
    assert.deepEqual({ sent_count, delivered_count, read_count }, {
      sent_count: 50,
      delivered_count: 200,
      read_count: 150,
    });
  },
);
