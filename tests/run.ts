import { relative } from "node:path";
import pc from "picocolors";
import { bootstrapPlatform } from "../local/bootstrap.ts";
import { removeDataFolder } from "../local/data_folder.ts";
import { applyMigrations } from "../local/migrations.ts";
import { repositoryRoot } from "../local/repository.ts";
import { type Stack, startStack } from "../local/stack.ts";
import { connect } from "./harness/connect.ts";
import { findTestFiles } from "./harness/find_test_files.ts";
import { partitionReceipts } from "./harness/partition_receipts.ts";
import type { TestTotals } from "./harness/read_totals.ts";
import { runTestFiles } from "./harness/run_test_files.ts";
import { testEnvironment } from "./harness/test_environment.ts";
import { TEST_STACK_VARIABLE, type TestStack } from "./harness/test_stack.ts";

const TIME_LIMIT_MS = 14 * 60_000;
const STOP_LIMIT_MS = 30_000;
const TEMPLATE = "truetick_template";

/** Tests that have the machine, or the one stack, to themselves: they kill servers, or bring up stacks of their own. */
const ALONE = ["tests/crash/", "tests/end_to_end/", "local/", "scripts/", "bench/"];

/** Runs of the processor that end within a test. */
const PROCESS_TIME_BUDGET_MS = "10000";

async function main(args: readonly string[]): Promise<boolean> {
  const startedAt = performance.now();
  for (const [name, value] of Object.entries(testEnvironment)) Deno.env.set(name, value);
  const { paths, flags } = readArguments(args);
  const files = await findTestFiles(repositoryRoot, paths);
  const outOfTime = AbortSignal.timeout(TIME_LIMIT_MS);
  const interrupted = new AbortController();
  const onSignal = () => interrupted.abort(new Error("interrupted"));
  Deno.addSignalListener("SIGINT", onSignal);
  Deno.addSignalListener("SIGTERM", onSignal);
  const signal = AbortSignal.any([outOfTime, interrupted.signal]);
  // what was started is stopped in order, but not for ever
  signal.addEventListener("abort", () => Deno.unrefTimer(setTimeout(() => Deno.exit(1), STOP_LIMIT_MS)));

  const dataDir = await Deno.makeTempDir({ prefix: "truetick tests " });
  const totals: TestTotals = { passed: 0, failed: 0, ignored: 0 };
  let stack: Stack | undefined;
  try {
    if (files.length === 0) {
      say(pc.red(`No test file matches ${paths.join(" ")}`));
    } else {
      stack = await startStack({
        apiPort: 0,
        dbPort: 0,
        dataDir,
        cronSeconds: 0,
        simulator: true,
        env: { PROCESS_TIME_BUDGET_MS },
      });
      const coordinates = await prepare(stack, dataDir);
      say(pc.dim(`stack up at ${stack.apiUrl} after ${seconds(startedAt)}`));
      for (const pass of passesOf(files)) {
        if (pass.files.length === 0 || signal.aborted) continue;
        say(pc.bold(`\n${pass.files.length} ${pass.files.length === 1 ? "file" : "files"}, ${pass.name}`));
        const env = { [TEST_STACK_VARIABLE]: JSON.stringify(coordinates), ...pass.env };
        const { passed, failed, ignored } = await runTestFiles({
          files: pass.files,
          flags: [...flags, ...pass.flags],
          env,
          signal,
        });
        totals.passed += passed;
        totals.failed += failed;
        totals.ignored += ignored;
      }
    }
  } catch (error) {
    say(pc.red(error instanceof Error ? error.message : String(error)));
    totals.failed++;
  } finally {
    await stack?.stop();
    await removeDataFolder(dataDir);
    Deno.removeSignalListener("SIGINT", onSignal);
    Deno.removeSignalListener("SIGTERM", onSignal);
  }

  if (outOfTime.aborted) say(pc.red(`Stopped: the tests took longer than ${TIME_LIMIT_MS / 60_000} minutes`));
  else if (interrupted.signal.aborted) say(pc.red("Stopped: interrupted"));
  else if (totals.passed + totals.failed === 0 && files.length > 0) say(pc.red("No test ran"));
  say(pc.dim(`\n${seconds(startedAt)}${totals.ignored > 0 ? `, ${totals.ignored} ignored` : ""}`));
  say(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.passed > 0 && totals.failed === 0 && !signal.aborted;
}

/** Parts of paths, and flags for `deno test`, of which `--filter` may have its value behind it. */
function readArguments(
  args: readonly string[],
): { readonly paths: readonly string[]; readonly flags: readonly string[] } {
  const joined = args.flatMap((arg, index) => {
    if (args[index - 1] === "--filter") return [];
    return arg === "--filter" ? [`--filter=${args[index + 1] ?? ""}`] : [arg];
  });
  return {
    paths: joined.filter((arg) => !arg.startsWith("-")),
    flags: joined.filter((arg) => arg.startsWith("-")),
  };
}

/**
 * A migrated, empty database beside the stack's own, for tests to copy; with TRUETICK_TEST_PARTITIONED=1 one whose receipts
 * are partitioned, which changes nothing that a test may notice.
 */
async function prepare(stack: Stack, dataDir: string): Promise<TestStack> {
  if (stack.simulatorUrl === null) throw new Error("The tests need the simulator, and the stack started without it");
  const sql = connect(stack.databaseUrl, 1);
  try {
    await sql`create database ${sql(TEMPLATE)}`;
  } finally {
    await sql.end({ timeout: 5 });
  }
  const url = new URL(stack.databaseUrl);
  url.pathname = `/${TEMPLATE}`;
  await bootstrapPlatform(url.href);
  await applyMigrations(url.href, dataDir);
  if (Deno.env.get("TRUETICK_TEST_PARTITIONED") === "1") {
    const template = connect(url.href, 1);
    try {
      await partitionReceipts(template);
    } finally {
      await template.end({ timeout: 5 });
    }
    say(pc.dim("message_receipts is partitioned"));
  }
  return {
    apiUrl: stack.apiUrl,
    databaseUrl: stack.databaseUrl,
    template: TEMPLATE,
    simulatorUrl: stack.simulatorUrl,
    publishableKey: stack.publishableKey,
    secretKey: stack.secretKey,
    env: stack.env,
  };
}

interface Pass {
  readonly name: string;
  readonly files: readonly string[];
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function passesOf(files: readonly string[]): Pass[] {
  const isAlone = (file: string) => {
    const path = relative(repositoryRoot, file).replaceAll("\\", "/");
    return ALONE.some((folder) => path.startsWith(folder));
  };
  const workers = Math.max(2, Math.min(4, navigator.hardwareConcurrency));
  return [
    {
      name: `${workers} at a time`,
      files: files.filter((file) => !isAlone(file)),
      flags: ["--parallel"],
      env: { DENO_JOBS: String(workers) },
    },
    { name: "one after the other", files: files.filter(isAlone), flags: [], env: {} },
  ];
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

const succeeded = await main(Deno.args);
Deno.exit(succeeded ? 0 : 1);
