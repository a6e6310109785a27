import assert from "node:assert/strict";
import { type Sql, stats } from "../harness/mod.ts";
import { type Outcome, outcomeOf } from "./model.ts";
import type { Subject } from "./subjects.ts";

/** Compares the counters of every campaign with sums over what the model says of its recipients. */
export async function assertStatsEqualRows(sql: Sql, subjects: readonly Subject[]): Promise<void> {
  for (const [campaignId, own] of Map.groupBy(subjects, (subject) => subject.campaignId)) {
    const outcomes = own.map(({ history }) => outcomeOf(history));
    const count = (status: Outcome["status"]) => outcomes.filter((outcome) => outcome.status === status).length;
    const sum = (figure: (outcome: Outcome) => number) =>
      outcomes.reduce((total, outcome) => total + figure(outcome), 0);
    const settled = count("sent") + count("failed");
    assert.deepEqual(await stats(sql, campaignId), {
      total_count: own.length,
      pending_count: count("pending"),
      processing_count: count("processing"),
      unconfirmed_count: count("unconfirmed"),
      sent_count: count("sent"),
      failed_count: count("failed"),
      skipped_count: 0,
      audience_count: own.reduce((total, { history }) => total + (history.memberCount ?? 0), 0),
      reached_count: outcomes.filter(({ delivered }) => delivered > 0).length,
      delivered_count: sum(({ delivered }) => delivered),
      read_count: sum(({ read }) => read),
      cost: 0,
      progress: Math.floor((100 * settled) / own.length),
    }, `the counters of a campaign of recipients that were ${own[0]?.history.situation.name}`);
  }
}
