import assert from "node:assert/strict";
import { inRepository } from "../../local/repository.ts";
import { databaseTest, type TestDatabase } from "../harness/mod.ts";
import { addTarget, runScript } from "./adopt.ts";
import { createCrm, insertMessages, messages } from "./legacy.ts";

const TIMEOUT_MS = 30_000;

async function runPsql(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command("psql", {
    args,
    env: { PGSSLMODE: "disable" },
    stdin: "null",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Runs make_unique.sql as a person would. */
function runMakeUnique(url: string) {
  return runPsql("--no-psqlrc", "-f", inRepository("supabase", "adopt", "make_unique.sql"), url);
}

const hasPsql = await runPsql("--version").then(() => true, () => false);

/** A test that needs psql; where there is none it is ignored. What the script does is tested without psql, too. */
function psqlTest(name: string, body: (database: TestDatabase) => Promise<void>): void {
  if (hasPsql) databaseTest(name, body);
  else Deno.test.ignore(name, () => {});
}

psqlTest("make_unique.sql makes every target unique, and again does nothing", async ({ sql, url }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await insertMessages(sql, ["A", "B", "A"].map((id) => ({ wa_message_id: id })));
  await addTarget(sql, "crm.chat_messages", "wa_message_id");
  const first = await runMakeUnique(url);
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /\ncreate unique index concurrently .*\nCREATE INDEX\nEvery target is unique\.\n$/);
  assert.deepEqual(await messages(sql), [[1, "A"], [2, "B"]]);
  const second = await runMakeUnique(url);
  assert.equal(second.code, 0);
  assert.equal(second.out, "SET\nCALL\nEvery target is unique.\n");
});

psqlTest("make_unique.sql takes the way through the guard, and drops an index that failed", async ({ sql, url }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await insertMessages(sql, [{ wa_message_id: "A" }, { wa_message_id: "A" }]);
  await addTarget(sql, "crm.chat_messages", "wa_message_id");
  await sql`update adopt.targets set vain_steps = 3`;
  const making =
    "create unique index concurrently chat_messages_wa_message_id_unique on crm.chat_messages (wa_message_id)";
  await assert.rejects(async () => void await sql.unsafe(making).simple(), { code: "23505" });
  const run = await runMakeUnique(url);
  assert.equal(run.code, 0, run.err);
  const steps = run.out.split("\n").filter((line) => /^(call|create|drop|select) /.test(line));
  assert.deepEqual(steps.map((step) => step.replace(/ on crm.*/, "")), [
    "drop index concurrently crm.chat_messages_wa_message_id_unique",
    "create index concurrently chat_messages_wa_message_id_lookup",
    "select adopt.guard(1)",
    "create unique index concurrently chat_messages_wa_message_id_unique",
    "select adopt.unguard(1)",
    "drop index concurrently crm.chat_messages_wa_message_id_lookup",
  ]);
  assert.deepEqual(await messages(sql), [[1, "A"]]);
});

psqlTest("make_unique.sql fails, and says why, when a duplicate cannot be removed", async ({ sql, url }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await insertMessages(sql, [{ wa_message_id: "A" }, { wa_message_id: "A" }]);
  await sql`insert into crm.reactions (message_id, user_id) values (1, 1), (2, 1)`;
  await addTarget(sql, "crm.chat_messages", "wa_message_id");
  const run = await runMakeUnique(url);
  assert.equal(run.code, 3);
  assert.match(run.err, /1 of the duplicates of crm\.chat_messages\.wa_message_id cannot be removed\s+HINT:/);
});

psqlTest("make_unique.sql stops at a step that cannot be done", async ({ sql, url }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await insertMessages(sql, [{ wa_message_id: "A" }]);
  await addTarget(sql, "crm.chat_messages", "wa_message_id");
  await sql`create table crm.chat_messages_wa_message_id_unique ()`;
  const run = await runMakeUnique(url);
  assert.equal(run.code, 3);
  assert.match(run.err, /already exists[\s\S]*mend what it says/);
});
