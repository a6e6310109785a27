import type { SimulatorRecord } from "../../local/simulator/record.ts";
import type { BackendGroup, Stats } from "./backend.ts";
import { counterDifferences, type CounterPair, pairCounters } from "./counters.ts";

/** Everything the backend says about a campaign to groups. */
export interface BackendAccount {
  /** The campaign's. */
  readonly status: string;
  readonly stats: Stats;
  readonly groups: readonly BackendGroup[];
  readonly doubleSends: number;
  readonly discrepancies: readonly unknown[];
}

/** What the simulator's record says of groups. */
export type GroupsTruth = Pick<SimulatorRecord, "totals" | "groups" | "unexpected">;

/** How the backend's account differs from what truly happened. */
export interface Comparison {
  readonly counters: readonly CounterPair[];
  /** One line for each thing that differs, counters included. Empty: all is equal. */
  readonly differences: readonly string[];
}

/**
 * Holds the backend's account of a campaign to groups against the simulator's record.
 * @param memberCounts the groups the campaign was started with
 */
export function compare(
  account: BackendAccount,
  record: GroupsTruth,
  memberCounts: Readonly<Record<string, number>>,
): Comparison {
  const { status, stats, groups, doubleSends, discrepancies } = account;
  const { totals } = record;
  const counters = pairCounters(stats, doubleSends, {
    ...totals,
    total: Object.keys(memberCounts).length,
    skipped: 0,
    audience: Object.values(memberCounts).reduce((sum, count) => sum + count, 0),
    cost: 0,
  });
  return {
    counters,
    differences: [
      ...(status === "completed" ? [] : [`the campaign is ${status}, and should be completed`]),
      ...counterDifferences(counters),
      ...(totals.doubleSends > 0 ? [`${totals.doubleSends} messages were sent twice`] : []),
      ...groupDifferences(groups, record),
      ...discrepancies.map((row) => `the recount found ${JSON.stringify(row)}`),
      ...record.unexpected,
    ],
  };
}

function groupDifferences(groups: readonly BackendGroup[], record: GroupsTruth): string[] {
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
