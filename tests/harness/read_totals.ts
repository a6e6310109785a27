/** How many tests ended how. */
export interface TestTotals {
  passed: number;
  failed: number;
  ignored: number;
}

/** The sums of the suites of a JUnit report as `deno test` writes it; all zero when there is none. What a filter left out counts as ignored. */
export function readTotals(report: string): TestTotals {
  const totals: TestTotals = { passed: 0, failed: 0, ignored: 0 };
  for (const [suite] of report.matchAll(/<testsuite [^>]*>/g)) {
    const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    const failed = number("failures") + number("errors");
    const ignored = number("disabled");
    totals.passed += number("tests") - failed - ignored;
    totals.failed += failed;
    totals.ignored += ignored;
  }
  return totals;
}
