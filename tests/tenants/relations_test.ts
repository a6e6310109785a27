import assert from "node:assert/strict";
import { databaseTest, type Sql } from "../harness/mod.ts";
import { type Actor, type ActorName, type Attempt, attempt } from "./actor.ts";
import { columnsOf, relationsOf, withoutRule } from "./catalog.ts";
import { type RelationRule, relationRules } from "./relation_rules.ts";
import { createWorld, type Tenant } from "./tenants.ts";

// the fixture holds a discrepancy, and receipts of its own making
const options = { leavesDiscrepancies: true };

databaseTest("every table and view in public has a rule", async ({ sql }) => {
  assert.deepEqual(withoutRule("table or view", await relationsOf(sql, "public"), Object.keys(relationRules)), []);
});

databaseTest("a table and a view without a rule are noticed", async ({ sql }) => {
  await sql`create table public.planted_table (id integer)`;
  await sql`create view public.planted_view as select 1 as one`;
  await sql`create materialized view public.planted_copy as select 1 as one`;
  assert.deepEqual(withoutRule("table or view", await relationsOf(sql, "public"), Object.keys(relationRules)), [
    "no rule for table or view planted_copy",
    "no rule for table or view planted_table",
    "no rule for table or view planted_view",
  ]);
});

for (const [relation, rule] of Object.entries(relationRules)) {
  databaseTest(`${relation} lets everybody do what its rule says, and no more`, async ({ sql }) => {
    const { a, b, actors } = await createWorld(sql);
    const columns = await columnsOf(sql, "public", relation);
    const wrong: string[] = [];
    await Promise.all(actors.map(async (actor) => {
      // organization A is the actor's own, as far as it has one there; B is a stranger's to all but its own owner
      for (const [tenant, whose] of [[a, "A"], [b, "B"]] as const) {
        const may = (who: readonly ActorName[]) => isAllowed(actor.name, who, whose);
        const mayWrite = (who: readonly ActorName[]) => may(who) && rule.isReadOnly !== true;
        const check = (what: string, allowed: boolean, found: Attempt) => {
          const complaint = complaintOf(allowed, found, rule);
          if (complaint !== undefined) wrong.push(`${actor.name} ${what} of organization ${whose}: ${complaint}`);
        };
        check("selects", may(rule.select), await select(sql, actor, relation, rule.rowOf(tenant)));
        check("inserts", mayWrite(rule.insert.by), await insert(sql, actor, relation, rule, tenant));
        for (const column of columns) {
          const by = rule.update.columns.includes(column) ? rule.update.by : [];
          check(
            `updates ${column}`,
            mayWrite(by) && !rule.computed?.includes(column),
            await update(sql, actor, relation, column, rule.rowOf(tenant)),
          );
        }
        check("deletes", mayWrite(rule.delete), await remove(sql, actor, relation, rule.rowOf(tenant)));
      }
    }));
    assert.deepEqual(wrong.sort(), []);
  }, options);
}

/** The owner of B is to B what the owner of A is to A. */
function isAllowed(name: ActorName, who: readonly ActorName[], whose: "A" | "B"): boolean {
  if (name === "service_role") return true;
  return whose === "A" ? who.includes(name) : name === "other owner" && who.includes("owner");
}

function complaintOf(allowed: boolean, found: Attempt, rule: RelationRule): string | undefined {
  if (found.kind === "refused") {
    return !allowed && rule.refusals?.includes(found.code) ? undefined : `${found.code} ${found.message}`;
  }
  const isDone = found.kind === "done" && found.rows > 0;
  if (isDone && !allowed) return `must not, but ${found.rows} rows were`;
  if (!isDone && allowed) return `must be able to, but ${found.kind === "denied" ? found.message : "no row was"}`;
  return undefined;
}

function select(sql: Sql, actor: Actor, relation: string, where: string): Promise<Attempt> {
  return attempt(sql, actor, (transaction) => transaction.unsafe(`select * from public.${relation} where ${where}`));
}

function update(sql: Sql, actor: Actor, relation: string, column: string, where: string): Promise<Attempt> {
  return attempt(
    sql,
    actor,
    (transaction) => transaction.unsafe(`update public.${relation} set ${column} = ${column} where ${where}`),
  );
}

function remove(sql: Sql, actor: Actor, relation: string, where: string): Promise<Attempt> {
  return attempt(sql, actor, (transaction) => transaction.unsafe(`delete from public.${relation} where ${where}`));
}

function insert(sql: Sql, actor: Actor, relation: string, rule: RelationRule, tenant: Tenant): Promise<Attempt> {
  const row = rule.insert.row(tenant);
  return attempt(
    sql,
    actor,
    (transaction) => transaction`insert into public.${transaction(relation)} ${transaction(row)}`,
  );
}
