import assert from "node:assert/strict";
import { readTotals } from "./read_totals.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="6" failures="1" errors="0" time="0.007">
    <testsuite name="./a_test.ts" tests="5" disabled="1" errors="0" failures="1">
        <testcase name="one" classname="./a_test.ts" time="0.000" line="1" col="6">
        </testcase>
        <testcase name="three" classname="./a_test.ts" time="0.000" line="3" col="11">
            <skipped/>
        </testcase>
    </testsuite>
    <testsuite name="./b_test.ts" tests="1" disabled="1" errors="0" failures="0">
    </testsuite>
</testsuites>`;

Deno.test("totals of a test run say what passed, what failed and what did not run", () => {
  assert.deepEqual(readTotals(REPORT), { passed: 3, failed: 1, ignored: 2 });
});

Deno.test("totals of a run without a report are zero", () => {
  assert.deepEqual(readTotals(""), { passed: 0, failed: 0, ignored: 0 });
});
