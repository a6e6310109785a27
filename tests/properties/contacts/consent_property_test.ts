import fc from "fast-check";
import assert from "node:assert/strict";
import { databaseTest } from "../../harness/mod.ts";
import { propertyRuns, propertySeed } from "../settings.ts";
import { hiddenSpeech, speech, wrongSpeeches } from "./consent_runs.ts";

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

databaseTest(
  "the last word of each person counts for the number, also where it is hidden now and then",
  async ({ sql }) => {
    const seed = propertySeed();
    const speeches = fc.sample(hiddenSpeech, { seed, numRuns: propertyRuns(SPEECHES / 2) })
      .toSorted((one, other) => one.length - other.length);
    assert.deepEqual((await wrongSpeeches(sql, speeches, seed, 4)).slice(0, 3), [], `FAST_CHECK_SEED=${seed}`);
  },
);
