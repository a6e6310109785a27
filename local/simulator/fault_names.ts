/**
 * Every fault that the simulator counts, for whichever gateway, in the order in which people are told of them.
 * A "report" is whatever a gateway says of a message after it took it: a callback, a status, a receipt.
 */
export const FAULT_NAMES = [
  "sends rejected",
  "sends put off (429, 503)",
  "sends answered 500",
  "answers that never came",
  "messages failed later",
  "failures that were none",
  "segments that disagree",
  "reports before the answer",
  "reports out of order",
  "reports doubled",
  "reports lost",
  "reports by other sessions too",
  "reads without a delivery",
  "reports without a person",
  "reports without our id",
  "readers with a device suffix",
  "inbound messages twice at once",
  "malformed or forged posts",
] as const;

/** One fault that the simulator counts. */
export type FaultName = (typeof FAULT_NAMES)[number];
