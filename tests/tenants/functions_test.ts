import assert from "node:assert/strict";
import { databaseTest, type Sql } from "../harness/mod.ts";
import { attempt } from "./actor.ts";
import { functionsOf, relationsOf, withoutRule } from "./catalog.ts";
import { functionRules, privateRules } from "./function_rules.ts";
import { createWorld } from "./tenants.ts";

const options = { leavesDiscrepancies: true };

databaseTest("every function in public has a rule", async ({ sql }) => {
  const names = (await functionsOf(sql, "public")).map(({ name }) => name);
  assert.deepEqual(withoutRule("function", names, Object.keys(functionRules)), []);
});

databaseTest("a function without a rule is noticed", async ({ sql }) => {
  await sql`create function public.planted() returns integer language sql return 1`;
  const names = (await functionsOf(sql, "public")).map(({ name }) => name);
  assert.deepEqual(withoutRule("function", names, Object.keys(functionRules)), ["no rule for function planted"]);
});

databaseTest("every function in public is refused to everybody its rule does not name", async ({ sql }) => {
  const { actors } = await createWorld(sql);
  const wrong: string[] = [];
  for (const { name, signature, nullCall } of await functionsOf(sql, "public")) {
    const rule = functionRules[name];
    for (const actor of actors) {
      const allowed = actor.role === "service_role" || (rule !== "service" && actor.role === "authenticated");
      const granted = await mayExecute(sql, actor.role, signature);
      if (granted !== allowed) wrong.push(`${actor.name} ${granted ? "may" : "may not"} execute ${signature}`);
      if (allowed) continue;
      const found = await attempt(sql, actor, (transaction) => transaction.unsafe(nullCall));
      // the grant, not the function, must say no
      const isRefused = found.kind === "denied" && found.message.startsWith("permission denied for function");
      if (!isRefused) wrong.push(`${actor.name} called ${signature}: ${JSON.stringify(found)}`);
    }
  }
  assert.deepEqual(wrong, []);
}, options);

databaseTest("nothing in private can be reached but what policies and views ask for", async ({ sql }) => {
  const { actors } = await createWorld(sql);
  const wrong: string[] = [];
  const relations = await relationsOf(sql, "private");
  const functions = await functionsOf(sql, "private");
  assert.ok(relations.length > 0 && functions.length > 0);
  for (const actor of actors.filter(({ role }) => role !== "service_role")) {
    const isUser = actor.role === "authenticated";
    for (const relation of relations) {
      const readable = isUser && privateRules.readable.some((name) => name === relation);
      const read = await attempt(sql, actor, (tx) => tx.unsafe(`select 1 from private.${relation}`));
      if ((read.kind === "done") !== readable) wrong.push(`${actor.name} reads ${relation}: ${JSON.stringify(read)}`);
      for (const statement of [`delete from private.${relation}`, `insert into private.${relation} default values`]) {
        const written = await attempt(sql, actor, (tx) => tx.unsafe(statement));
        if (written.kind !== "denied") wrong.push(`${actor.name}: ${statement}: ${JSON.stringify(written)}`);
      }
    }
    for (const { name, signature } of functions) {
      const allowed = isUser && privateRules.executable.some((each) => each === name);
      const granted = await mayExecute(sql, actor.role, signature);
      if (granted !== allowed) wrong.push(`${actor.name} ${granted ? "may" : "may not"} execute ${signature}`);
    }
  }
  assert.deepEqual(wrong, []);
}, options);

databaseTest("deltas in private show a user the rows of their own organizations alone", async ({ sql }) => {
  const { a, b, actors } = await createWorld(sql);
  await sql`update public.notification_campaign_recipients set member_count = member_count + 1`;
  for (const actor of actors.filter(({ role }) => role === "authenticated")) {
    for (const tenant of [a, b]) {
      const found = await attempt(
        sql,
        actor,
        (tx) =>
          tx.unsafe(`select 1 from private.campaign_counter_deltas where organization_id = '${tenant.organizationId}'`),
      );
      const isOwn = actor.name === "stranger" ? false : (actor.name === "other owner") === (tenant === b);
      assert.equal(found.kind === "done" && found.rows > 0, isOwn, `${actor.name} reads deltas`);
    }
  }
}, options);

databaseTest("no sequence in public can be used by users", async ({ sql }) => {
  const usable = await sql`
    select r.role || ' has ' || p.privilege || ' on ' || c.relname as complaint
    from pg_catalog.pg_class c
    cross join unnest(array['anon', 'authenticated']) as r (role)
    cross join unnest(array['usage', 'select', 'update']) as p (privilege)
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'S'
      and has_sequence_privilege(r.role, c.oid, p.privilege)
    order by 1
  `;
  assert.deepEqual(usable.map(({ complaint }) => complaint), []);
});

async function mayExecute(sql: Sql, role: string, signature: string): Promise<boolean> {
  const [row] = await sql<{ granted: boolean }[]>`
    select has_function_privilege(${role}, ${signature}, 'execute') as granted
  `;
  return row?.granted === true;
}
