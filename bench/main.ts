/**
 * `deno task bench`: measures Truetick against what it is held against, on a stack of its own; see docs/benchmarks.md.
 *
 * @module
 */
import pc from "picocolors";
import { removeDataFolder } from "../local/data_folder.ts";
import { type Stack, startStack } from "../local/stack.ts";
import { pause } from "../local/within.ts";
import { connect } from "./database.ts";
import type { Row } from "./measurement.ts";
import { measurements } from "./measurements/all.ts";
import { type BenchOptions, parseOptions } from "./options.ts";
import { renderJson, renderTable } from "./report.ts";

/** The whole run is over by then, whatever happens. */
const HARD_STOP_MS = 20 * 60_000;

async function main({ json, quick, only }: BenchOptions): Promise<void> {
  const began = performance.now();
  const say = (line: string) => {
    write(Deno.stderr, pc.dim(`${seconds(performance.now() - began).padStart(8)}  ${line}`));
  };
  const chosen = measurements.filter((measurement) => only === null || measurement.name === only);
  const interrupted = untilInterrupted();
  // Known to be handled even while nothing waits for it.
  interrupted.catch(() => {});
  const rows = await onStackOfItsOwn(async (stack) => {
    say("stack is up");
    const sql = connect(stack.databaseUrl, 1);
    const rows: Row[] = [];
    for (const measurement of chosen) {
      rows.push(...await Promise.race([measurement.run({ stack, sql, quick, say }), interrupted]));
    }
    await sql.end({ timeout: 5 });
    return rows;
  });
  say("done");
  write(Deno.stdout, json ? renderJson(rows) : renderTable(rows));
  if (!json) write(Deno.stdout, pc.dim("Ratios are medians over rounds in turn. How to read them: docs/benchmarks.md"));
}

/** Starts a stack on free ports and a folder of its own, and leaves nothing of it behind. */
async function onStackOfItsOwn<Result>(work: (stack: Stack) => Promise<Result>): Promise<Result> {
  const dataDir = await Deno.makeTempDir({ prefix: "truetick-bench-" });
  await Deno.chmod(dataDir, 0o755); // for the user that Postgres runs as
  try {
    const stack = await startStack({ apiPort: 0, dbPort: 0, dataDir, cronSeconds: 0 });
    try {
      return await work(stack);
    } finally {
      await stack.stop();
    }
  } finally {
    await removeDataFolder(dataDir);
  }
}

/** Never answers; throws when the run is to end early. */
async function untilInterrupted(): Promise<never> {
  const { promise, resolve } = Promise.withResolvers<string>();
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => resolve("interrupted"));
  const tooLong = pause(HARD_STOP_MS).then(() => `not done after ${HARD_STOP_MS / 60_000} minutes: gave up`);
  throw new Error(await Promise.race([promise, tooLong]));
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function write(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  to.writeSync(new TextEncoder().encode(`${text}\n`));
}

try {
  await main(parseOptions(Deno.args));
  Deno.exit(0);
} catch (error) {
  write(Deno.stderr, `${pc.red("FAILED")}  ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
