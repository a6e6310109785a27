import { type Fate, planReports } from "../contacts/fate.ts";
import type { Faults } from "../faults.ts";
import type { FaultName } from "../fault_names.ts";
import { randomFor } from "../random.ts";

/** What Twilio says of a message. */
export type SmsStatus = "queued" | "sent" | "delivered" | "undelivered" | "failed";

/** The last one says that the contact blocks the sender. */
const UNDELIVERED = ["30003", "30005", "30006", "30007", "30008", "30004"] as const;
const UNKNOWN_HANDSET = "30005";

/** How a message that failed with a code ended. */
export function failureOf(errorCode: string | null): SmsStatus {
  return errorCode === "30008" ? "failed" : "undelivered";
}

/**
 * Decides what becomes of messages to a contact; the same for each under one seed. A phone that is switched off leaves
 * its message at `sent`.
 */
export function planFate(faults: Faults, contact: string): Fate<SmsStatus> {
  const rates = faults.sms;
  const draw = (purpose: string) => randomFor(faults.seed, "sms", contact, purpose);
  const disagree = draw("segments").chance(rates.segmentsDisagree);
  const failed = disagree || draw("undelivered").chance(rates.undelivered);
  const delivered = !failed && draw("delivered").chance(faults.deliveredShare);
  const errorCode = disagree ? UNKNOWN_HANDSET : failed ? draw("error code").pick(UNDELIVERED) : null;
  // what the carriers say in the end, segment by segment
  const settled: SmsStatus[] = [
    ...(delivered || disagree ? ["delivered"] as const : []),
    ...(failed ? [failureOf(errorCode)] : []),
  ];
  const silent = draw("silent").chance(rates.silent);
  const settledLost = settled.length > 0 && draw("settled lost").chance(rates.settledLost);
  const sentLost = settled.length > 0 && !settledLost && draw("sent lost").chance(rates.sentLost);

  // segments are settled in any order
  const inOrder = disagree ? draw("segment order").shuffle(settled) : settled;
  const told = silent ? [] : [...(sentLost ? [] : ["sent"] as const), ...(settledLost ? [] : inOrder)];
  const wrong: FaultName[] = [
    ...(failed ? ["messages failed later"] as const : []),
    ...(disagree ? ["segments that disagree"] as const : []),
    ...(silent || settledLost || sentLost ? ["reports lost"] as const : []),
  ];
  const reports = planReports<SmsStatus>(faults, "sms", contact, told);
  return {
    failed,
    delivered,
    read: false,
    errorCode,
    category: null,
    ...reports,
    faults: [...wrong, ...reports.faults],
  };
}
