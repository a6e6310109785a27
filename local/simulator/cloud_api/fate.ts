import { type Fate, planReports } from "../contacts/fate.ts";
import type { Faults } from "../faults.ts";
import type { FaultName } from "../fault_names.ts";
import { randomFor } from "../random.ts";
import { personOf } from "./person.ts";

/** What Meta says of a message. */
export type CloudApiStatus = "sent" | "delivered" | "read" | "failed";

/** Most failures are 131026; one code says that the contact wants no more messages. */
const FAILED = ["131026", "131026", "131026", "131026", "131049", "130472", "131053", "131050"] as const;
const FAILED_AFTER_SENT = ["131026", "131049"] as const;
/** "Failed on at least one of the user's devices": it may arrive on another. */
const FAILED_ON_ONE_DEVICE = "131036";

/**
 * Decides what becomes of messages to a contact; the same for each under one seed.
 *
 * A status is lost only where one that comes implies it: what nobody reports, nobody can count.
 */
export function planFate(faults: Faults, contact: string): Fate<CloudApiStatus> {
  const rates = faults.cloudApi;
  const draw = (purpose: string) => randomFor(faults.seed, "cloudApi", contact, purpose);
  const failsAtOnce = draw("failed").chance(rates.failed);
  const failsLater = !failsAtOnce && draw("failed after sent").chance(rates.failedAfterSent);
  const arrivesYet = !failsAtOnce && !failsLater && draw("failed then delivered").chance(rates.failedThenDelivered);
  const failed = failsAtOnce || failsLater;
  const silent = draw("silent").chance(rates.silent);
  const delivered = !failed && !silent && (arrivesYet || draw("delivered").chance(faults.deliveredShare));
  const read = delivered && draw("read").chance(faults.readShare);
  const readAlone = read && draw("read alone").chance(rates.readsWithoutDelivery);
  const sentLost = delivered && draw("sent lost").chance(rates.sentLost);

  const told: CloudApiStatus[] = silent ? [] : [
    ...(failsAtOnce || sentLost ? [] : ["sent"] as const),
    ...(failed || arrivesYet ? ["failed"] as const : []),
    ...(delivered && !readAlone ? ["delivered"] as const : []),
    ...(read ? ["read"] as const : []),
  ];
  const wrong: FaultName[] = [
    ...(failed ? ["messages failed later"] as const : []),
    ...(arrivesYet ? ["failures that were none"] as const : []),
    ...(silent || sentLost ? ["reports lost"] as const : []),
    ...(readAlone ? ["reads without a delivery"] as const : []),
    ...(personOf(faults, contact).hidden ? told.map(() => "reports without a person" as const) : []),
  ];
  const reports = planReports(faults, "cloudApi", contact, told);
  return {
    failed: failed && !silent,
    delivered,
    read,
    errorCode: arrivesYet
      ? FAILED_ON_ONE_DEVICE
      : failed
      ? draw("error code").pick(failsAtOnce ? FAILED : FAILED_AFTER_SENT)
      : null,
    category: draw("category").chance(0.7) ? "marketing" : "utility",
    ...reports,
    faults: [...wrong, ...reports.faults],
  };
}
