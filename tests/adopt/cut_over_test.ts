import assert from "node:assert/strict";
import { assertAuditIsClean, createOrganization, databaseTest, type Sql, stats } from "../harness/mod.ts";
import { addTarget, makeUnique, moveChatMessages, moveSendQueue, runScript } from "./adopt.ts";
import { withUnmigratedDatabase } from "./unmigrated_database.ts";

/** A CRM with tables of Truetick's names in its own shapes, what hangs on them, and duplicates. */
async function createCrm(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create type public.campaign_status as enum ('new', 'done');
    create table public.campaigns (
      id uuid primary key default gen_random_uuid(),
      title text,
      state public.campaign_status
    );
    create table public.send_queue (
      id serial primary key,
      campaign_id uuid references public.campaigns (id),
      phone text,
      status text,
      whatsapp_message_id text,
      actual_sent_at timestamp
    );
    create table public.conversations (
      id serial primary key,
      phone text unique,
      instance text
    );
    create table public.chat_messages (
      id serial primary key,
      conversation_id integer references public.conversations (id),
      wa_message_id text,
      from_me boolean,
      body text,
      created_at timestamptz default now()
    );
    create table public.message_labels (
      message_id integer references public.chat_messages (id) on delete cascade,
      label text
    );
    create index chat_messages_conversation on public.chat_messages (conversation_id);
    alter table public.chat_messages enable row level security;
    create policy "everybody reads" on public.chat_messages for select to authenticated using (true);
    create view public.duplicate_sends as select phone, count(*) from public.send_queue group by phone;
    create function public.increment_delivered_count(p_group_id uuid) returns integer language sql as 'select 1';

    insert into public.campaigns (title, state) values ('Diwali', 'done');
    insert into public.send_queue (campaign_id, phone, status, whatsapp_message_id, actual_sent_at)
    select c.id, '91987000' || 1000 + n, case when n <= 40 then 'sent' else 'failed' end, case when n <= 40 then 'wamid.sent.' || n end, '2026-01-01'
    from public.campaigns c, generate_series(1, 50) n;
    -- the same callback, stored twice
    insert into public.send_queue (campaign_id, phone, status, whatsapp_message_id, actual_sent_at)
    select campaign_id, phone, status, whatsapp_message_id, actual_sent_at from public.send_queue where id <= 5;

    insert into public.conversations (phone, instance) values ('919870001001', 'wa_1'), ('919870001002', 'wa_1');
    insert into public.chat_messages (conversation_id, wa_message_id, from_me, body)
    select 1 + n % 2, 'wamid.in.' || n % 30, n % 3 = 0, 'message ' || n % 30 from generate_series(1, 45) n;
    insert into public.message_labels select id, 'label ' || id from public.chat_messages;
  `).simple();
}

Deno.test("a CRM comes over: unique, set aside, migrated, moved, and once more without effect", async () => {
  await withUnmigratedDatabase(async ({ sql, migrate }) => {
    await createCrm(sql);
    await runScript(sql, "duplicates.sql");
    await addTarget(sql, "public.chat_messages", "wa_message_id");
    await addTarget(sql, "public.send_queue", "whatsapp_message_id");
    await makeUnique(sql);
    assert.equal((await sql`select from public.chat_messages`).length, 30);
    assert.equal((await sql`select from public.message_labels`).length, 45);

    await runScript(sql, "set_aside.sql");
    const aside = await sql<{ name: string }[]>`select adopt.set_aside() as name`;
    assert.deepEqual(aside.map((row) => row.name), [
      "function public.increment_delivered_count(uuid)",
      "table public.chat_messages",
      "table public.conversations",
      "table public.send_queue",
      "type public.campaign_status",
      "view public.duplicate_sends",
    ]);
    await migrate();

    await runScript(sql, "moving.sql");
    const organizationId = await createOrganization(sql);
    await sql`insert into public.gateway_sessions (id, organization_id) values ('wa_1', ${organizationId})`;
    await sql`
      insert into public.notification_campaigns (id, organization_id, name, channel, status)
      select id, ${organizationId}, title, 'whatsapp', 'completed' from public.campaigns
      on conflict (id) do nothing
    `;
    await sql`
      create view legacy.chat_messages_to_move as
      select m.id, c.instance as session_id, c.phone as contact, case when m.from_me then 'outbound' else 'inbound' end as direction,
        m.wa_message_id, m.body as content, m.created_at
      from legacy.chat_messages m
      join legacy.conversations c on c.id = m.conversation_id
    `;
    for (let time = 0; time < 2; time++) {
      await moveSendQueue(sql, "legacy.send_queue");
      await moveChatMessages(sql, "legacy.chat_messages_to_move");
      assert.deepEqual([...await sql`select * from adopt.unmoved_rows`], []);
      const [campaign] = await sql<
        { id: string; status: string }[]
      >`select id, status from public.notification_campaigns`;
      assert.ok(campaign);
      const { total_count, sent_count, failed_count } = await stats(sql, campaign.id);
      assert.deepEqual([campaign.status, total_count, sent_count, failed_count], ["completed", 50, 40, 10]);
      assert.equal((await sql`select from public.chat_messages`).length, 30);
      assert.equal((await sql`select from public.conversations where organization_id = ${organizationId}`).length, 2);
    }
    const ready = await sql`select whatsapp_message_id from public.send_queue where phone = '919870001007'`;
    assert.deepEqual([...ready], [{ whatsapp_message_id: "wamid.sent.7" }], "under the name that it had");
    assert.equal(
      (await sql`select from public.message_labels l join legacy.chat_messages m on m.id = l.message_id`).length,
      45,
    );
    await assertAuditIsClean({ sql });
  });
});

Deno.test("a push that stopped at a name goes on when that is set aside by hand", async () => {
  await withUnmigratedDatabase(async ({ sql, migrate }) => {
    await sql`create table public.send_queue (id integer primary key)`;
    await assert.rejects(migrate, /"send_queue".*already exists/);
    await runScript(sql, "set_aside.sql");
    await assert.rejects(async () => await sql`select adopt.set_aside()`, { code: "55000", hint: /set schema legacy/ });
    await sql`create schema legacy`;
    await sql`alter table public.send_queue set schema legacy`;
    await migrate();
  });
});

databaseTest("set_aside refuses when Truetick is there", async ({ sql }) => {
  await runScript(sql, "set_aside.sql");
  await assert.rejects(async () => await sql`select adopt.set_aside()`, {
    code: "55000",
    message: /Truetick is here already/,
  });
});

databaseTest("set_aside knows every name that the migrations make", async ({ sql }) => {
  await runScript(sql, "set_aside.sql");
  const named = await sql<{ name: string }[]>`select kind || ' ' || name as name from adopt.colliding_names()`;
  const made = await sql<{ name: string }[]>`
    select case c.relkind when 'v' then 'view ' else 'table ' end || c.oid::regclass as name
    from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
    union all
    select 'type ' || t.oid::regtype from pg_catalog.pg_type t where t.typnamespace = 'public'::regnamespace and t.typtype in ('e', 'd')
    union all
    select 'function ' || p.oid::regprocedure from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace
  `;
  const bare = (rows: readonly { name: string }[]) => rows.map(({ name }) => name.replace(" public.", " ")).sort();
  assert.deepEqual(bare(named), bare(made));
});
