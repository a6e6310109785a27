import fc from "fast-check";
import assert from "node:assert/strict";
import { openTestDatabase, type Sql } from "../harness/mod.ts";
import { history } from "./arbitraries.ts";
import { shuffledBatches } from "./deliver.ts";
import { mutants } from "./mutants.ts";
import { assertNoFailures, type Failure, runBatches } from "./run_histories.ts";
import { assertStatsEqualRows } from "./stats.ts";
import { makeSubjects, type Subject } from "./subjects.ts";

/** Fixed: whether a mutant dies must not be a matter of luck. */
const SEEDS = [20_261_122, 20_261_123, 20_261_124, 20_261_125, 20_261_126, 20_261_127];
const HISTORIES_PER_SEED = 300;
const LARGEST_BATCH = 100;

for (const { name, plant } of mutants) {
  Deno.test(`the evidence property notices when ${name}`, async () => {
    const database = await openTestDatabase();
    try {
      await plant(database.sql);
      assert.ok(await isNoticed(database.sql), `the mutant lives: ${name}`);
    } finally {
      await database.drop();
    }
  });
}

Deno.test("the evidence property has nothing to notice in the schema as it is", async () => {
  const database = await openTestDatabase();
  try {
    for (const seed of SEEDS) {
      const { subjects, failures } = await run(database.sql, seed);
      await assertNoFailures(database.sql, failures, "this test");
      await assertStatsEqualRows(database.sql, subjects);
    }
  } finally {
    await database.drop();
  }
});

async function isNoticed(sql: Sql): Promise<boolean> {
  for (const seed of SEEDS) {
    const { subjects, failures } = await run(sql, seed);
    if (failures.length > 0) return true;
    try {
      await assertStatsEqualRows(sql, subjects);
    } catch (error) {
      if (error instanceof assert.AssertionError) return true;
      throw error;
    }
  }
  return false;
}

async function run(sql: Sql, seed: number): Promise<{ subjects: Subject[]; failures: Failure[] }> {
  const subjects = await makeSubjects(sql, fc.sample(history, { seed, numRuns: HISTORIES_PER_SEED }));
  const failures = await runBatches(sql, subjects, shuffledBatches(subjects, seed, "mutants", LARGEST_BATCH));
  return { subjects, failures };
}
