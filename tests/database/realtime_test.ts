import assert from "node:assert/strict";
import { createCampaign, createOrganization, databaseTest, foldCounters, stats } from "../harness/mod.ts";

databaseTest("Realtime is told of campaigns and folded counters, and of nothing else", async ({ sql }) => {
  const published = await sql<{ table: string; identity: string; secured: boolean }[]>`
    select t.schemaname || '.' || t.tablename as table, c.relreplident as identity, c.relrowsecurity as secured
    from pg_catalog.pg_publication_tables t
    join pg_catalog.pg_class c on c.oid = (t.schemaname || '.' || t.tablename)::regclass
    where t.pubname = 'supabase_realtime'
    order by 1
  `;
  assert.deepEqual([...published], [
    // by primary key: what is deleted is told without its contents
    { table: "public.campaign_counters", identity: "d", secured: true },
    { table: "public.notification_campaigns", identity: "d", secured: true },
  ]);
});

databaseTest(
  "publishing twice is publishing once, and none is missed where there is no publication",
  async ({ sql }) => {
    const migration = await Deno.readTextFile(
      new URL("../../supabase/migrations/20261101000950_realtime.sql", import.meta.url),
    );
    const published = async () => (await sql`select from pg_catalog.pg_publication_tables`).length;
    await sql.unsafe(migration).simple();
    assert.equal(await published(), 2);
    await sql`drop publication supabase_realtime`;
    await sql.unsafe(migration).simple();
    await sql`create publication supabase_realtime for table public.campaign_counters`;
    await sql.unsafe(migration).simple();
    assert.equal(await published(), 2);
  },
);

databaseTest("a fold writes the counters of what changed, once each, and says when", async ({ sql }) => {
  const changed = await createCampaign(sql, { recipients: 5 });
  const untouched = await createCampaign(sql, { recipients: 5 });
  await foldCounters(sql);
  await sql`update public.campaign_counters set folded_at = now() - interval '1 day'`;
  await sql`update public.notification_campaign_recipients set status = 'failed' where campaign_id = ${changed.id}`;
  await foldCounters(sql);
  const rows = await sql<{ id: string; failed_count: number; recent: boolean }[]>`
    select campaign_id as id, failed_count::integer as failed_count, folded_at > now() - interval '1 minute' as recent
    from public.campaign_counters
  `;
  assert.deepEqual(rows.find(({ id }) => id === changed.id), { id: changed.id, failed_count: 5, recent: true });
  assert.deepEqual(rows.find(({ id }) => id === untouched.id), { id: untouched.id, failed_count: 0, recent: false });
});

databaseTest(
  "counters of a campaign that moved to another organization are folded, and move along",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { recipients: 3, sessionId: null });
    const organizationId = await createOrganization(sql);
    await sql`update public.notification_campaigns set organization_id = ${organizationId} where id = ${campaign.id}`;
    await sql`update public.notification_campaign_recipients set status = 'failed' where id = ${campaign.only.id}`;
    assert.equal(await foldCounters(sql), 2);
    const [row] = await sql`select organization_id from public.campaign_counters where campaign_id = ${campaign.id}`;
    assert.equal(row?.organization_id, organizationId);
    const { total_count, failed_count } = await stats(sql, campaign.id);
    assert.deepEqual([total_count, failed_count], [3, 1]);
  },
);
