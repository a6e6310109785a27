import type { SimulatorRecord } from "../../local/simulator/record.ts";
import type { BackendGroup, Stats } from "./backend.ts";

/** One counter, from both sides. */
export interface CounterPair {
  readonly name: string;
  readonly unit: "groups" | "people" | "messages" | "%" | "";
  readonly backend: number;
  readonly truth: number;
}

/** Everything the backend says about the campaign. */
export interface BackendAccount {
  /** The campaign's. */
  readonly status: string;
  readonly stats: Stats;
  readonly groups: readonly BackendGroup[];
  readonly doubleSends: number;
  readonly discrepancies: readonly unknown[];
}

/** How the backend's account differs from what truly happened. */
export interface Comparison {
  readonly counters: readonly CounterPair[];
  /** One line for each thing that differs, counters included. Empty: all is equal. */
  readonly differences: readonly string[];
}

/**
 * Holds the backend's account against the simulator's record.
 * @param memberCounts the groups the campaign was started with
 */
export function compare(
  account: BackendAccount,
  record: SimulatorRecord,
  memberCounts: Readonly<Record<string, number>>,
): Comparison {
  const { status, stats, groups, doubleSends, discrepancies } = account;
  const { totals } = record;
  const total = Object.keys(memberCounts).length;
  const audience = Object.values(memberCounts).reduce((sum, count) => sum + count, 0);
  const open = total - totals.sent - totals.failed;

  const counters: CounterPair[] = [
    { name: "total", unit: "groups", backend: stats.total_count, truth: total },
    { name: "pending", unit: "groups", backend: stats.pending_count, truth: open },
    { name: "processing", unit: "groups", backend: stats.processing_count, truth: 0 },
    { name: "unconfirmed", unit: "groups", backend: stats.unconfirmed_count, truth: 0 },
    { name: "sent", unit: "groups", backend: stats.sent_count, truth: totals.sent },
    { name: "failed", unit: "groups", backend: stats.failed_count, truth: totals.failed },
    { name: "skipped", unit: "groups", backend: stats.skipped_count, truth: 0 },
    { name: "reached", unit: "groups", backend: stats.reached_count, truth: totals.reached },
    { name: "audience", unit: "people", backend: stats.audience_count, truth: audience },
    { name: "delivered", unit: "people", backend: stats.delivered_count, truth: totals.delivered },
    { name: "read", unit: "people", backend: stats.read_count, truth: totals.read },
    { name: "cost", unit: "", backend: stats.cost, truth: 0 },
    { name: "progress", unit: "%", backend: stats.progress, truth: Math.floor((100 * (total - open)) / total) },
    { name: "sent twice", unit: "messages", backend: doubleSends, truth: totals.doubleSends },
  ];
  return {
    counters,
    differences: [
      ...(status === "completed" ? [] : [`the campaign is ${status}, and should be completed`]),
      ...counters.filter(({ backend, truth }) => backend !== truth)
        .map(({ name, backend, truth }) => `${name}: the backend says ${backend}, the truth is ${truth}`),
      ...(totals.doubleSends > 0 ? [`${totals.doubleSends} messages were sent twice`] : []),
      ...groupDifferences(groups, record),
      ...discrepancies.map((row) => `the recount found ${JSON.stringify(row)}`),
      ...record.unexpected,
    ],
  };
}

function groupDifferences(groups: readonly BackendGroup[], record: SimulatorRecord): string[] {
  const accounts = new Map(groups.map((group) => [group.group_jid, group]));
  return record.groups.flatMap((truth) => {
    const account = accounts.get(truth.groupJid);
    if (account === undefined) return [`${truth.groupJid}: missing from the campaign`];
    const sentIds = truth.sends.filter((send) => send.status === "sent").map((send) => send.messageId);
    const pairs = [
      ["status", account.status, truth.status],
      ["delivered", account.delivered_count, truth.delivered],
      ["read", account.read_count, truth.read],
      ["message id", account.message_id, sentIds.find((id) => id === account.message_id) ?? sentIds[0] ?? null],
    ] as const;
    return pairs.filter(([, backend, actual]) => backend !== actual)
      .map(([field, backend, actual]) => `${truth.groupJid}: ${field} is ${backend}, the truth is ${actual}`);
  });
}
