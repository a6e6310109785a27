import fc from "fast-check";
import assert from "node:assert/strict";
import { databaseTest } from "../../harness/mod.ts";
import { propertyRuns, propertySeed } from "../settings.ts";
import { speech, wrongSpeeches } from "./consent_runs.ts";

const SPEECHES = 500;

for (const [how, largest] of [["one by one, or nearly", 3], ["in batches", 80]] as const) {
  databaseTest(
    `the last word of each person counts, in whatever order words are posted and repeated, ${how}`,
    async ({ sql }) => {
      const seed = propertySeed();
      const speeches = fc.sample(speech, { seed, numRuns: propertyRuns(largest === 3 ? SPEECHES / 4 : SPEECHES) });
      assert.deepEqual(await wrongSpeeches(sql, speeches, seed, largest), [], `FAST_CHECK_SEED=${seed}`);
    },
  );
}
