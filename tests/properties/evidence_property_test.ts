import fc from "fast-check";
import { databaseTest } from "../harness/mod.ts";
import { history } from "./arbitraries.ts";
import { shuffledBatches } from "./deliver.ts";
import { assertNoFailures, runBatches } from "./run_histories.ts";
import { propertyRuns, propertySeed } from "./settings.ts";
import { assertStatsEqualRows } from "./stats.ts";
import { makeSubjects } from "./subjects.ts";

const HISTORIES = 2_000;
const LARGEST_BATCH = 250;

databaseTest(
  "any events in any order and batches leave what their set says, in rows and in counters",
  async ({ sql }) => {
    const seed = propertySeed();
    const histories = fc.sample(history, { seed, numRuns: propertyRuns(HISTORIES) });
    const one = await makeSubjects(sql, histories);
    const other = await makeSubjects(sql, histories);
    // at the same moment, from two sessions
    const failures = await Promise.all([
      runBatches(sql, one, shuffledBatches(one, seed, "one order", LARGEST_BATCH)),
      runBatches(sql, other, shuffledBatches(other, seed, "another order", LARGEST_BATCH)),
    ]);
    await assertNoFailures(sql, failures.flat(), `FAST_CHECK_SEED=${seed} TRUETICK_PROPERTY_RUNS=${histories.length}`);
    await assertStatsEqualRows(sql, one);
    await assertStatsEqualRows(sql, other);
  },
  { timeoutMs: 120_000 },
);
