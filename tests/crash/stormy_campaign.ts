import assert from "node:assert/strict";
import { SimulatorClient } from "../../local/simulator/client.ts";
import { storm } from "../../local/simulator/faults.ts";
import { randomFor } from "../../local/simulator/random.ts";
import type { SimulatorRecord } from "../../local/simulator/record.ts";
import type { Stack } from "../../local/stack.ts";
import { auditCounters, countDoubleSends, readGroups, readStats, readStatus } from "../../scripts/demo/backend.ts";
import { compare } from "../../scripts/demo/compare.ts";
import { startCampaign, type StartedCampaign } from "../../scripts/demo/crm.ts";
import { Cron } from "../../scripts/demo/cron.ts";
import { until } from "../harness/until.ts";

const GROUPS = 60;
const SETTLE_MS = 60_000;

/**
 * Every fault but two: a receipt without a reader has nothing to tell a repetition by, and a gateway whose post was
 * stored but never answered, because the server died in between, posts again.
 */
const faults = {
  ...storm,
  anonymousGroups: 0,
  sessionsWithoutNames: 0,
  answerMs: [20, 150],
  callbackMs: [20, 500],
  receiptMs: [0, 1500],
  hangMs: [1500, 2000],
} satisfies Partial<typeof storm>;

/**
 * Runs a campaign under every fault and lets things break on the way; then every counter must equal what the simulator
 * did, and no group have got its message twice.
 *
 * @param at the shares of the groups after which something breaks
 */
export async function runThrough(stack: Stack, seed: number, at: readonly number[], breakThings: () => Promise<void>) {
  assert.ok(stack.simulatorUrl !== null);
  const simulator = new SimulatorClient(stack.simulatorUrl);
  await simulator.reset();
  await simulator.setFaults({ ...faults, seed });
  const memberCounts = Object.fromEntries(Array.from({ length: GROUPS }, (_, index) => {
    const groupJid = `120363${seed}${`${index + 1}`.padStart(10, "0")}@g.us`;
    return [groupJid, randomFor(seed, groupJid).int(3, 40)];
  }));
  await simulator.registerGroups(memberCounts);
  const campaign = await startCampaign(stack, memberCounts);
  const cron = new Cron(stack);
  try {
    for (const share of at) {
      await until(
        `${share} of the groups to be tried`,
        async () => (await simulator.record()).totals.groups >= share * GROUPS,
        SETTLE_MS,
      );
      await breakThings();
    }
    await until("the dust to settle", async () => await isCompleted(campaign) && await simulator.idle(), SETTLE_MS);
    await assertEqual(campaign, await simulator.record(), memberCounts, seed);
  } finally {
    cron.stop();
  }
}

/** False while the database is away. */
async function isCompleted(campaign: StartedCampaign): Promise<boolean> {
  try {
    return await readStatus(campaign) === "completed";
  } catch {
    return false;
  }
}

async function assertEqual(
  campaign: StartedCampaign,
  record: SimulatorRecord,
  memberCounts: Readonly<Record<string, number>>,
  seed: number,
): Promise<void> {
  const [status, stats, groups, doubleSends, discrepancies] = await Promise.all([
    readStatus(campaign),
    readStats(campaign),
    readGroups(campaign),
    countDoubleSends(campaign),
    auditCounters(campaign),
  ]);
  const { differences } = compare({ status, stats, groups, doubleSends, discrepancies }, record, memberCounts);
  assert.deepEqual(differences, [], `seed ${seed}`);
  assert.equal(record.totals.doubleSends, 0);
  assert.equal(stats.progress, 100);
  assert.ok(stats.delivered_count > 0 && stats.read_count > 0);
}
