import { lockFlags } from "./lock_flags.ts";
import { killTree } from "./kill_tree.ts";
import { repositoryRoot } from "../../local/repository.ts";
import { readTotals, type TestTotals } from "./read_totals.ts";

/** One run of `deno test`. */
export interface TestRun {
  readonly files: readonly string[];
  /** More flags for `deno test`. */
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Ends the run, with everything it started. */
  readonly signal: AbortSignal;
}

/**
 * Runs test files with `deno test`, its output going where ours goes. A run that reports less than its exit code says (a
 * module that does not load, a run that was ended) counts as one failure more.
 */
export async function runTestFiles(run: TestRun): Promise<TestTotals> {
  const reportFile = await Deno.makeTempFile({ prefix: "truetick-tests-", suffix: ".xml" });
  try {
    const process = new Deno.Command(Deno.execPath(), {
      // types are checked by `deno task check`
      args: [
        "test",
        "-A",
        "--no-check",
        ...await lockFlags(),
        `--junit-path=${reportFile}`,
        ...run.flags,
        ...run.files,
      ],
      cwd: repositoryRoot,
      env: run.env,
      stdin: "null",
      // an interrupt reaches us alone, and we end it in order
      detached: true,
    }).spawn();
    const onAbort = () => void killTree(process.pid);
    run.signal.addEventListener("abort", onAbort, { once: true });
    const status = await process.status;
    run.signal.removeEventListener("abort", onAbort);
    const totals = readTotals(await Deno.readTextFile(reportFile));
    if (!status.success && totals.failed === 0) totals.failed = 1;
    return totals;
  } finally {
    await Deno.remove(reportFile);
  }
}
