import pc from "picocolors";
import { removeDataFolder } from "../local/data_folder.ts";
import { type Stack, startStack } from "../local/stack.ts";
import { type DemoOptions, parseOptions } from "./demo/options.ts";
import { type Outcome, runCampaigns } from "./demo/run.ts";
import { say, sayCounters, sayDifferences, sayDone, sayFaults, seconds, thousands } from "./demo/screen.ts";

/** The whole demo, downloads and clearing up included, is over by then, whatever happens. */
const HARD_STOP_MS = 120_000;
const STOP_MS = 15_000;

/** What the functions are told, whatever the environment says. */
const FUNCTIONS_ENVIRONMENT = {
  /** A send without an answer is looked into after so many seconds. */
  PROCESS_LEASE_SECONDS: "4",
  /** Twilio is asked about a message that nobody reported on after so many seconds. */
  PROCESS_POLL_SECONDS: "2",
  PROCESS_CONCURRENCY: "64",
  PROCESS_SESSION_CONCURRENCY: "24",
} as const;

/** Runs the demo; true when every counter came out equal to what truly happened. */
async function main(options: DemoOptions): Promise<boolean> {
  const beganAt = performance.now();
  const { seed, groups, contacts } = options;
  const rerun = `npx -y deno task demo --seed ${seed} --groups ${groups} --contacts ${contacts}`;
  say();
  say(
    pc.bold("Truetick demo") +
      `: campaigns to ${thousands(groups)} groups and ${thousands(contacts)} contacts, with every fault on`,
  );
  say(pc.dim(`seed ${options.seed}; to see the same again: ${rerun}`));
  say();

  const interruption = new AbortController();
  const interrupt = () => interruption.abort(new Error("interrupted"));
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, interrupt);
  const signal = AbortSignal.any([interruption.signal, hardStop()]);

  const log: string[] = [];
  const dataDir = options.dataDir === null ? await temporaryFolder() : await emptyFolder(options.dataDir);
  const starting = startStack({
    apiPort: 0,
    dbPort: 0,
    dataDir,
    cronSeconds: 0,
    // never the real ones, whatever is configured: nobody wants these messages
    simulator: true,
    env: FUNCTIONS_ENVIRONMENT,
    log: (line) => log.push(line),
  });
  try {
    const stack = await unless(signal, starting);
    sayDone("stack is up: Postgres, data and auth API, functions, gateways simulated", beganAt);
    const outcome = await unless(signal, runCampaigns(stack, options, signal));
    const equal = report(outcome, performance.now() - beganAt, rerun);
    if (!equal) await keepLog(log);
    return equal;
  } catch (error) {
    sayFailure(error);
    if (!interruption.signal.aborted) {
      say(`        run it again: ${rerun}`);
      await keepLog(log);
    }
    return false;
  } finally {
    await clearUp(starting, options.dataDir === null ? dataDir : null);
    for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, interrupt);
  }
}

function report({ record, comparisons, kills }: Outcome, elapsedMs: number, rerun: string): boolean {
  const { groups, whatsapp, sms } = comparisons;
  const differences = [groups, whatsapp, sms].flatMap((comparison) => comparison.differences);
  say();
  sayFaults(record, kills);
  say();
  sayCounters([["groups", groups], ["WhatsApp", whatsapp], ["SMS", sms]]);
  say();
  if (differences.length > 0) {
    sayDifferences(differences);
    say();
    say(`${pc.red(pc.bold("FAILED"))}  the backend differs from what truly happened, after ${seconds(elapsedMs)}`);
    say(`        run it again: ${rerun}`);
    return false;
  }
  const contacts = record.cloudApi.contacts.length + record.sms.contacts.length;
  const inbound = record.cloudApi.inbound.length + record.sms.inbound.length;
  const posts = Object.values(record.posts);
  const sum = (figure: "posts" | "events" | "retries") => posts.reduce((total, each) => total + each[figure], 0);
  const again = sum("retries") === 0 ? "" : `, ${thousands(sum("retries"))} of them tried again`;
  say(
    `  All ${thousands(record.groups.length)} groups and ${thousands(contacts)} contacts are equal one by one, ` +
      `each of ${thousands(inbound)} inbound messages is there once,`,
  );
  say(`  and a recount from rows and receipts finds nothing.`);
  say(`  The webhooks took ${thousands(sum("events"))} events in ${thousands(sum("posts"))} posts${again}.`);
  say();
  say(`${pc.green(pc.bold("PASSED"))}  every counter equals what truly happened, in ${seconds(elapsedMs)}`);
  return true;
}

/** What the stack said, for whoever looks into a failure. */
async function keepLog(lines: readonly string[]): Promise<void> {
  const file = await Deno.makeTempFile({ prefix: "truetick-demo-", suffix: ".log" });
  await Deno.writeTextFile(file, lines.map((line) => `${line}\n`).join(""));
  say(`        log of the stack: ${file}`);
}

/** Readable for the user that Postgres runs as. */
async function temporaryFolder(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "truetick-demo-" });
  await Deno.chmod(folder, 0o755);
  return folder;
}

/** The folder, made if need be. Throws when there is something in it: another campaign would spoil the comparison. */
async function emptyFolder(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  for await (const _ of Deno.readDir(folder)) throw new Error(`${folder} is not empty; name a new folder`);
  return folder;
}

function hardStop(): AbortSignal {
  const controller = new AbortController();
  const reason = new Error(`not done after ${HARD_STOP_MS / 1000} s: gave up`);
  Deno.unrefTimer(setTimeout(() => controller.abort(reason), HARD_STOP_MS));
  return controller.signal;
}

/** The result of the work; throws the reason as soon as the signal says to give up. */
async function unless<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(signal.reason);
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** Stops the stack, one that is still starting included, and removes its temporary data. */
async function clearUp(starting: Promise<Stack>, temporaryFolder: string | null): Promise<void> {
  const stopped = starting.then((stack) => stack.stop(), () => {});
  await unless(AbortSignal.timeout(STOP_MS), stopped).catch((error) => {
    say(pc.red(`the stack did not stop within ${STOP_MS / 1000} s: ${error}`));
  });
  if (temporaryFolder === null) return;
  await removeDataFolder(temporaryFolder);
}

function sayFailure(error: unknown): void {
  say();
  say(`${pc.red(pc.bold("FAILED"))}  ${error instanceof Error ? error.message : error}`);
}

const options = parseOptions(Deno.args);
try {
  Deno.exitCode = await main(options) ? 0 : 1;
} catch (error) {
  sayFailure(error);
  Deno.exitCode = 1;
}
