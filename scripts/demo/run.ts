import { setTimeout as delay } from "node:timers/promises";
import { SimulatorClient } from "../../local/simulator/client.ts";
import { storm } from "../../local/simulator/faults.ts";
import { randomFor } from "../../local/simulator/random.ts";
import type { SimulatorRecord } from "../../local/simulator/record.ts";
import type { Stack } from "../../local/stack.ts";
import { auditCounters, countDoubleSends, readGroups, readStats, readStatus } from "./backend.ts";
import { compare, type Comparison } from "./compare.ts";
import { startCampaign, type StartedCampaign } from "./crm.ts";
import { Cron } from "./cron.ts";
import type { DemoOptions } from "./options.ts";
import { type Moment, Progress, sayDone, thousands } from "./screen.ts";

/** How a run came out. */
export interface Outcome {
  readonly record: SimulatorRecord;
  readonly comparison: Comparison;
  readonly kills: number;
}

const PROCESSOR = "process-notification-campaigns";
/**
 * The processor is killed when so many of the groups have been tried. Early: one killed while it asks the gateway about
 * earlier sends costs half a minute, after which another asks again.
 */
const KILL_AT = [0.2, 0.45] as const;
const LOOK_EVERY_MS = 100;
/** How long the backend may take to put down what the simulator had posted, and had been answered, already. */
const SETTLE_MS = 5_000;

/** Pace of the demo: slow enough for kills to hit, quick enough to watch. */
const pace = { answerMs: [40, 200], callbackMs: [20, 600], receiptMs: [0, 2500], hangMs: [1500, 2500] } as const;

/**
 * Runs a campaign under every fault, kills its processor on the way, and compares.
 * @param signal gives up; the reason is thrown
 */
export async function runCampaign(stack: Stack, options: DemoOptions, signal: AbortSignal): Promise<Outcome> {
  if (stack.simulatorUrl === null) {
    throw new Error("the stack has no simulator: unset WHATSAPP_VPS_URL and start again");
  }
  const simulator = new SimulatorClient(stack.simulatorUrl);
  const memberCounts = groupsOf(options);
  await simulator.setFaults({
    ...storm,
    seed: options.seed,
    answerMs: [...pace.answerMs],
    callbackMs: [...pace.callbackMs],
    receiptMs: [...pace.receiptMs],
    hangMs: [...pace.hangMs],
  });
  await simulator.registerGroups(memberCounts);

  const beganAt = performance.now();
  const campaign = await startCampaign(stack, memberCounts);
  const people = Object.values(memberCounts).reduce((sum, count) => sum + count, 0);
  sayDone(`campaign started: ${thousands(options.groups)} groups, ${thousands(people)} people`, beganAt);

  const cron = new Cron(stack);
  try {
    const { record, kills } = await watch(stack, simulator, campaign, options.groups, signal);
    const comparison = await settle(campaign, record, memberCounts, signal);
    return { record, comparison, kills };
  } finally {
    cron.stop();
  }
}

/** Groups of 5 to 256 people. */
function groupsOf({ seed, groups }: DemoOptions): Record<string, number> {
  return Object.fromEntries(Array.from({ length: groups }, (_, index) => {
    const groupJid = `120363${`${index + 1}`.padStart(12, "0")}@g.us`;
    return [groupJid, randomFor(seed, groupJid, "size").int(5, 256)];
  }));
}

/** Until nothing is left to send and the simulator has nothing more to post. */
async function watch(
  stack: Stack,
  simulator: SimulatorClient,
  campaign: StartedCampaign,
  groups: number,
  signal: AbortSignal,
): Promise<{ record: SimulatorRecord; kills: number }> {
  const progress = new Progress();
  let moment: Moment | null = null;
  let kills = 0;
  try {
    while (true) {
      signal.throwIfAborted();
      const [stats, status] = await Promise.all([readStats(campaign), readStatus(campaign)]);
      const record = await simulator.record();
      moment = { stats, record, kills };
      progress.show(moment);
      const open = stats.pending_count + stats.processing_count;
      if (record.idle && (status === "completed" || open === 0)) return { record, kills };
      const killAt = KILL_AT[kills];
      if (killAt !== undefined && record.totals.groups >= killAt * groups) {
        kills++;
        await stack.functions.kill(PROCESSOR);
      }
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  } finally {
    progress.end(signal.aborted ? null : moment);
  }
}

/** Compares until all is equal, or for as long as anything may still change. */
async function settle(
  campaign: StartedCampaign,
  record: SimulatorRecord,
  memberCounts: Readonly<Record<string, number>>,
  signal: AbortSignal,
): Promise<Comparison> {
  const deadline = performance.now() + SETTLE_MS;
  while (true) {
    const [status, stats, groups, doubleSends, discrepancies] = await Promise.all([
      readStatus(campaign),
      readStats(campaign),
      readGroups(campaign),
      countDoubleSends(campaign),
      auditCounters(campaign),
    ]);
    const comparison = compare({ status, stats, groups, doubleSends, discrepancies }, record, memberCounts);
    if (comparison.differences.length === 0 || performance.now() > deadline) return comparison;
    await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}
