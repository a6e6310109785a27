import assert from "node:assert/strict";
import { inRepository } from "../../local/repository.ts";
import { asRole, databaseTest } from "../harness/mod.ts";
import { shoutedKeywords, unexplainedDefiners } from "../schema/migration_text.ts";
import { addTarget, makeUnique, runScript, scripts } from "./adopt.ts";
import { createCrm, insertMessages, messages } from "./legacy.ts";

databaseTest("nobody but the owner may use anything of adopt", async ({ sql }) => {
  for (const name of scripts) await runScript(sql, name);
  const usable = await sql`
    select r.role, p.oid::regprocedure::text as what
    from pg_catalog.pg_proc p
    cross join unnest(array['anon', 'authenticated', 'service_role']) as r (role)
    where p.pronamespace = 'adopt'::regnamespace and has_function_privilege(r.role, p.oid, 'execute')
    union all
    select r.role, c.oid::regclass::text
    from pg_catalog.pg_class c
    cross join unnest(array['anon', 'authenticated', 'service_role']) as r (role)
    where c.relnamespace = 'adopt'::regnamespace and c.relkind in ('r', 'v')
      and has_table_privilege(r.role, c.oid, 'select, insert, update, delete, truncate')
  `;
  assert.deepEqual([...usable], []);
  for (const role of ["anon", "authenticated", "service_role"] as const) {
    await assert.rejects(() => asRole(sql, role, null, async (own) => await own`select * from adopt.report()`), {
      code: "42501",
    });
  }
});

databaseTest("everything of adopt is explained, pins its names and has row level security", async ({ sql }) => {
  for (const name of scripts) await runScript(sql, name);
  const complaints = await sql`
    select p.oid::regprocedure || ' has no comment' as complaint
    from pg_catalog.pg_proc p
    where p.pronamespace = 'adopt'::regnamespace and coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '\\w{3}'
    union all
    select c.oid::regclass || ' has no comment'
    from pg_catalog.pg_class c
    where c.relnamespace = 'adopt'::regnamespace and c.relkind in ('r', 'v')
      and coalesce(obj_description(c.oid, 'pg_class'), '') !~ '\\w{3}'
    union all
    -- a procedure that commits cannot pin them, and writes them out
    select p.oid::regprocedure || ' has no search path'
    from pg_catalog.pg_proc p
    where p.pronamespace = 'adopt'::regnamespace and p.prokind = 'f'
      and not coalesce('search_path=""' = any (p.proconfig), false)
    union all
    select c.oid::regclass || ' has no row level security'
    from pg_catalog.pg_class c
    where c.relnamespace = 'adopt'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
  `;
  assert.deepEqual([...complaints], []);
  for (const name of scripts) {
    const text = await Deno.readTextFile(inRepository("supabase", "adopt", name));
    assert.deepEqual([...shoutedKeywords({ name, text }), ...unexplainedDefiners({ name, text })], []);
  }
});

databaseTest("an owner who is no superuser can do it all, as on a hosted project", async ({ sql, pool }) => {
  const [row] = await sql<{ name: string }[]>`select current_database() as name`;
  await sql.unsafe(`
    create role crm_owner nologin nosuperuser noinherit bypassrls;
    create role crm_writer nologin nosuperuser noinherit;
    grant create on database ${row?.name} to crm_owner;
  `).simple();
  const [owner, writer] = [pool(1), pool(1)];
  await owner`set role crm_owner`;
  await writer`set role crm_writer`;
  await runScript(owner, "duplicates.sql");
  await createCrm(owner);
  await owner`grant usage on schema crm to crm_writer`;
  await owner`grant insert, select on crm.chat_messages to crm_writer`;
  await insertMessages(writer, ["A", "B", "A"].map((id) => ({ wa_message_id: id })));
  await addTarget(owner, "crm.chat_messages", "wa_message_id");
  await owner`update adopt.targets set vain_steps = 3`;
  for (let step = 0; step < 2; step++) {
    const [next] = await owner<{ step: string }[]>`select adopt.next_step() as step`;
    await owner.unsafe(next?.step ?? "").simple();
  }
  // by a CRM that may not write to the archive
  await writer`insert into crm.chat_messages (wa_message_id) values ('B'), ('C')`;
  await makeUnique(owner);
  assert.deepEqual(await messages(sql), [[1, "A"], [2, "B"], [5, "C"]]);
});
