import assert from "node:assert/strict";
import {
  archive,
  asRole,
  backDate,
  claim,
  createCampaign,
  createMember,
  databaseTest,
  partitionReceipts,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

const GROUPS = 12;
const READERS = 5;

/** Everything that hangs on message_receipts, but for its partitions. */
async function surroundings(sql: Sql): Promise<unknown> {
  const rows = await sql`
    select 'column' as kind, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull || a.attcollation
      || coalesce(pg_get_expr(d.adbin, d.adrelid), '') as definition
    from pg_catalog.pg_attribute a
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'public.message_receipts'::regclass and a.attnum > 0
    union all
    select 'constraint', conname || ' ' || pg_get_constraintdef(oid)
    from pg_catalog.pg_constraint where conrelid = 'public.message_receipts'::regclass and contype <> 'n'
    union all
    select 'index', regexp_replace(pg_get_indexdef(indexrelid), 'ONLY ', '')
    from pg_catalog.pg_index where indrelid = 'public.message_receipts'::regclass
    union all
    select 'trigger', pg_get_triggerdef(oid)
    from pg_catalog.pg_trigger where tgrelid = 'public.message_receipts'::regclass and not tgisinternal
    union all
    select 'policy', row(p.*)::text from pg_catalog.pg_policies p where tablename = 'message_receipts'
    union all
    select 'table', row(relowner, relrowsecurity, obj_description(oid, 'pg_class'))::text
    from pg_catalog.pg_class where oid = 'public.message_receipts'::regclass
    union all
    select 'grant', a::text
    from pg_catalog.pg_class c, aclexplode(c.relacl) a where c.oid = 'public.message_receipts'::regclass
    union all
    select 'publication', p.pubname
    from pg_catalog.pg_publication_rel r
    join pg_catalog.pg_publication p on p.oid = r.prpubid
    where r.prrelid = 'public.message_receipts'::regclass
    union all
    select 'function', pg_get_functiondef(p.oid) || p.proacl::text || obj_description(p.oid, 'pg_proc')
    from pg_catalog.pg_proc p where 'public.message_receipts'::regtype = any (p.proargtypes::oid[])
    order by 1, 2
  `;
  assert.ok(rows.length > 30);
  return [...rows];
}

/** The storage parameters of the table, or of its partitions, and how many tables that are. */
async function storage(sql: Sql): Promise<unknown> {
  return [
    ...await sql`
      select array_to_string(c.reloptions, ', ') as options, count(*) as tables
      from pg_catalog.pg_class c
      where c.relkind = 'r' and c.relname ~ '^message_receipts' and c.relrowsecurity
      group by 1
    `,
  ];
}

databaseTest(
  "partitioning a filled table changes no counter, no right and no answer, and can be taken back",
  async ({ sql }) => {
    // a run with TRUETICK_TEST_PARTITIONED begins partitioned
    await partitionReceipts(sql, 0);
    await sql`create publication truetick_test for table public.message_receipts`;
    const before = await surroundings(sql);
    const options = "fillfactor=85, autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_insert_scale_factor=0.1, " +
      "autovacuum_vacuum_cost_delay=1";
    assert.deepEqual(await storage(sql), [{ options, tables: 1 }]);

    const campaign = await createCampaign(sql, { recipients: GROUPS });
    const claims = await claim(sql);
    const receipts = claims.flatMap((_, n) =>
      Array.from({ length: READERS }, (_, reader) => receipt("message_delivered", `M${n}`, person(reader)))
    );
    // parked, to be adopted across partitions
    await recordReceipts(sql, [receipt("message_read", "M0", person(1))]);
    const half = Math.floor(claims.length / 2);
    await recordSendCallback(sql, claims.slice(0, half).map((each, n) => sentCallback(each, `M${n}`)));
    await recordReceipts(sql, receipts);

    const answer = await partitionReceipts(sql);
    assert.ok(answer !== null && typeof answer === "object" && "receipts" in answer && "changed" in answer);
    assert.deepEqual([answer.changed, answer.receipts], [true, GROUPS * READERS]);
    assert.deepEqual(await partitionReceipts(sql), { partitions: 16, changed: false });
    assert.deepEqual(await surroundings(sql), before);
    assert.deepEqual(await storage(sql), [{ options, tables: 16 }]);
    const [spread] = await sql`select count(distinct tableoid) as used from public.message_receipts`;
    assert.ok(spread?.used > 4);

    await recordSendCallback(sql, claims.slice(half).map((each, n) => sentCallback(each, `M${half + n}`)));
    const again = await recordReceipts(sql, [...receipts, ...receipts]);
    assert.deepEqual(again, { recorded: 0, duplicates: 2 * receipts.length, parked: 0, journaled: 0 });
    await recordReceipts(sql, receipts.map((each) => ({ ...each, event: "message_read" })));
    assert.equal((await stats(sql, campaign.id)).read_count, GROUPS * READERS);

    const [viewer, stranger] = [await createMember(sql, campaign.organizationId, "viewer"), crypto.randomUUID()];
    const seenBy = async (userId: string) =>
      await asRole(
        sql,
        "authenticated",
        userId,
        async (user) => (await user`select from public.message_receipts`).length,
      );
    assert.equal(await seenBy(viewer), GROUPS * READERS);
    assert.equal(await seenBy(stranger), 0);
    await assert.rejects(
      asRole(sql, "authenticated", viewer, async (user) => await user`select from private.message_receipts_000`),
      { code: "42501" },
    );

    await partitionReceipts(sql, 3);
    assert.deepEqual(await surroundings(sql), before);
    await partitionReceipts(sql, 0);
    assert.deepEqual(await surroundings(sql), before);
    assert.deepEqual(await storage(sql), [{ options, tables: 1 }]);
    assert.equal((await recordReceipts(sql, receipts)).duplicates, receipts.length);

    await partitionReceipts(sql, 16);
    await backDate(sql, campaign.id);
    await archive(sql);
    await archive(sql);
    assert.equal((await sql`select from public.message_receipts`).length, 0);
    assert.equal((await stats(sql, campaign.id)).read_count, GROUPS * READERS);
  },
);

databaseTest("partitioning does nothing by halves where something of others hangs on the table", async ({ sql }) => {
  await partitionReceipts(sql, 0);
  const before = await surroundings(sql);
  await sql`create view public.theirs as select message_id from public.message_receipts`;
  await assert.rejects(partitionReceipts(sql, 4), /public\.theirs|view theirs|depend/);
  assert.deepEqual(await surroundings(sql), before);
});

databaseTest(
  "partitioning gives up where the table is in use, and refuses numbers that cannot be meant",
  async ({ sql, session }) => {
    await partitionReceipts(sql, 0);
    for (const partitions of [-1, 1, 257]) {
      await assert.rejects(partitionReceipts(sql, partitions), /p_partitions/);
    }
    await sql`alter function partitioning.partition_receipts(integer) set lock_timeout = '50ms'`;
    const reader = await session("reader");
    await reader.begin();
    await recordReceipts(reader.sql, [receipt("message_read", "M1", person(1))]);
    await assert.rejects(sql`select partitioning.partition_receipts(4)`.execute(), { code: "55P03" });
    await reader.commit();
    assert.deepEqual([
      ...await sql`select relkind::text from pg_catalog.pg_class where oid = 'public.message_receipts'::regclass`,
    ], [
      { relkind: "r" },
    ]);
  },
);
