import type { FaultName } from "../fault_names.ts";
import type { Faults } from "../faults.ts";
import { randomFor } from "../random.ts";
import type { ContactSection } from "./plan.ts";

/** Something that a provider reports of a message. */
export interface Report<Status extends string> {
  readonly status: Status;
  /** How long after the request was answered. */
  readonly afterMs: number;
  /** It is reported again, so much later; null: it is not. */
  readonly againAfterMs: number | null;
}

/** What becomes of a message to a contact, and what is told of it. What is never told did not happen. */
export interface Fate<Status extends string> {
  /** It reaches nobody. */
  readonly failed: boolean;
  readonly delivered: boolean;
  /** Never true without `delivered`. */
  readonly read: boolean;
  /** Why a failure is reported; null where none is. */
  readonly errorCode: string | null;
  /** What it is billed as; null where the provider names no category. */
  readonly category: string | null;
  /** In the order in which they are posted. */
  readonly reports: readonly Report<Status>[];
  /** When the message goes out, after the request was answered. */
  readonly outMs: number;
  /** What is wrong with all this. */
  readonly faults: readonly FaultName[];
}

/**
 * Decides when, in which order and how often things are told.
 * @param told in the order in which they happened
 */
export function planReports<Status extends string>(
  faults: Faults,
  section: ContactSection,
  contact: string,
  told: readonly Status[],
): Pick<Fate<Status>, "reports" | "outMs" | "faults"> {
  const rates = faults[section];
  const draw = (purpose: string) => randomFor(faults.seed, section, contact, purpose);
  const order = draw("shuffled").chance(rates.reportsShuffled) ? draw("order").shuffle(told) : told;
  const [times, again] = [draw("report times"), draw("doubled")];
  const outMs = times.int(...faults.callbackMs);
  const laterMs = order.slice(1).map(() => outMs + times.int(...faults.receiptMs)).sort((one, other) => one - other);
  const reports = order.map((status, place) => ({
    status,
    afterMs: [outMs, ...laterMs][place] ?? outMs,
    againAfterMs: again.chance(rates.reportsDoubled) ? again.pick([0, again.int(1, 400)]) : null,
  }));
  return {
    reports,
    outMs,
    faults: [
      ...(order.some((status, place) => status !== told[place]) ? ["reports out of order"] as const : []),
      ...reports.flatMap(({ againAfterMs }) => againAfterMs === null ? [] : ["reports doubled"] as const),
    ],
  };
}
