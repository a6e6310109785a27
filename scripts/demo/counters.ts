import type { Stats } from "./backend.ts";

/** One counter, from both sides. */
export interface CounterPair {
  readonly name: string;
  readonly backend: number;
  readonly truth: number;
}

/** What truly became of a campaign. */
export interface Truth {
  readonly total: number;
  readonly sent: number;
  readonly failed: number;
  readonly skipped: number;
  readonly reached: number;
  /** People. */
  readonly audience: number;
  readonly delivered: number;
  readonly read: number;
  readonly cost: number;
  /** Messages sent to somebody who had already got one. */
  readonly doubleSends: number;
}

/** Puts every counter of a campaign beside what it must come to. */
export function pairCounters(stats: Stats, doubleSends: number, truth: Truth): CounterPair[] {
  const open = truth.total - truth.sent - truth.failed - truth.skipped;
  return [
    { name: "total", backend: stats.total_count, truth: truth.total },
    { name: "pending", backend: stats.pending_count, truth: open },
    { name: "processing", backend: stats.processing_count, truth: 0 },
    { name: "unconfirmed", backend: stats.unconfirmed_count, truth: 0 },
    { name: "sent", backend: stats.sent_count, truth: truth.sent },
    { name: "failed", backend: stats.failed_count, truth: truth.failed },
    { name: "skipped", backend: stats.skipped_count, truth: truth.skipped },
    { name: "reached", backend: stats.reached_count, truth: truth.reached },
    { name: "audience", backend: stats.audience_count, truth: truth.audience },
    { name: "delivered", backend: stats.delivered_count, truth: truth.delivered },
    { name: "read", backend: stats.read_count, truth: truth.read },
    { name: "cost, USD", backend: stats.cost, truth: roundCost(truth.cost) },
    { name: "progress, %", backend: stats.progress, truth: Math.floor((100 * (truth.total - open)) / truth.total) },
    { name: "sent twice", backend: doubleSends, truth: truth.doubleSends },
  ];
}

/** An amount without what binary fractions add to it; the database keeps six decimals. */
export function roundCost(cost: number): number {
  return Math.round(cost * 1e6) / 1e6;
}

/** One line for each counter that differs. */
export function counterDifferences(counters: readonly CounterPair[]): string[] {
  return counters.filter(({ backend, truth }) => backend !== truth)
    .map(({ name, backend, truth }) => `${name}: the backend says ${backend}, the truth is ${truth}`);
}
