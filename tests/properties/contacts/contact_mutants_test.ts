import fc from "fast-check";
import assert from "node:assert/strict";
import { openTestDatabase, type Sql, type TestDatabase } from "../../harness/mod.ts";
import { namesInLockOrder } from "../../races/names_in_lock_order.ts";
import type { Mutant } from "../mutant.ts";
import { speech, wrongSpeeches } from "./consent_runs.ts";
import { oneMessage, twoAttempts, twoMessages } from "./contact_arbitraries.ts";
import { live } from "./contact_life.ts";
import { consentMutants, contactMutants, lifeMutants, lockMutants } from "./contact_mutants.ts";
import { assertContactsAreRight, runContactBatches, shuffledContactBatches } from "./contact_runs.ts";
import { makeContacts } from "./contact_subjects.ts";

/** Fixed: whether a mutant dies must not be a matter of luck. */
const SEEDS = [20_261_122, 20_261_123, 20_261_124];
const HISTORIES_PER_SEED = 150;
const LARGEST_BATCH = 40;
const STEPS = 150;

noticed(
  "the properties of messages to contacts",
  contactMutants,
  ({ sql }) => anySeed((seed) => hasWrongContacts(sql, seed)),
);
noticed("the property of the last word", consentMutants, ({ sql }) => anySeed((seed) => hasWrongSpeeches(sql, seed)));
noticed("the race of an answer and a status", lockMutants, async (database) => !await namesInLockOrder(database));

noticed("the lives of contacts", lifeMutants, ({ sql }) => anySeed((seed) => goesWrong(sql, seed)));

/** A test for each mutant: it must be noticed. */
function noticed(
  what: string,
  mutants: readonly Mutant[],
  isNoticed: (database: TestDatabase) => Promise<boolean>,
): void {
  for (const { name, plant } of mutants) {
    Deno.test(`${what}: it is noticed that ${name}`, async () => {
      const database = await openTestDatabase();
      try {
        await plant(database.sql);
        assert.ok(await isNoticed(database), `the mutant lives: ${name}`);
      } finally {
        await database.drop();
      }
    });
  }
}

Deno.test("the properties of contacts have nothing to notice in the schema as it is", async () => {
  const database = await openTestDatabase();
  try {
    for (const seed of SEEDS) {
      const { subjects, batches } = await contactsOf(database.sql, seed);
      await assertContactsAreRight(
        database.sql,
        await runContactBatches(database.sql, subjects, batches),
        batches,
        "this test",
      );
      assert.equal(await hasWrongSpeeches(database.sql, seed), false);
    }
  } finally {
    await database.drop();
  }
});

async function anySeed(look: (seed: number) => Promise<boolean>): Promise<boolean> {
  for (const seed of SEEDS) if (await look(seed)) return true;
  return false;
}

async function contactsOf(sql: Sql, seed: number) {
  const subjects = await makeContacts(
    sql,
    fc.sample(fc.oneof(oneMessage, twoMessages, twoAttempts), { seed, numRuns: HISTORIES_PER_SEED }),
  );
  return { subjects, batches: shuffledContactBatches(subjects, seed, "mutants", LARGEST_BATCH) };
}

async function hasWrongContacts(sql: Sql, seed: number): Promise<boolean> {
  const { subjects, batches } = await contactsOf(sql, seed);
  return (await runContactBatches(sql, subjects, batches)).size > 0;
}

async function hasWrongSpeeches(sql: Sql, seed: number): Promise<boolean> {
  const wrong = await wrongSpeeches(sql, fc.sample(speech, { seed, numRuns: HISTORIES_PER_SEED }), seed, LARGEST_BATCH);
  return wrong.length > 0;
}

async function goesWrong(sql: Sql, seed: number): Promise<boolean> {
  try {
    await live(sql, seed, STEPS);
    return false;
  } catch (error) {
    if (error instanceof assert.AssertionError) return true;
    throw error;
  }
}
