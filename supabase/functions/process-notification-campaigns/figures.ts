/** What one run of the processor did; its answer. */
export interface Figures {
  /** Scheduled campaigns that were due. */
  started: number;
  claimed: number;
  accepted: number;
  sent: number;
  /** Not sent and never to be: recipients that cannot be one. */
  skipped: number;
  failed: number;
  /** Not sent for certain: refused connections, unknown hosts, 429, 503. */
  deferred: number;
  /** Sent or not, nothing proves it yet. */
  unknown: number;
  /** Claimed too late to be sent within the lease; left to it. */
  late: number;
  /** Attempts past their lease about which the gateway was asked. */
  looked_up: number;
  /** Of those: the gateway has never heard of them. */
  not_found: number;
  /** Of those: the gateway could not be asked; they are asked about again. */
  unanswered: number;
  /** Sent messages that nobody had reported on, about which the provider was asked. */
  polled: number;
  /** Rows given up on being asked about. */
  recovered: number;
  completed: number;
  folded: number;
  /** Results that the database did not take; their rows come back when the lease ends. */
  unrecorded: number;
}

/** A run that has not done anything yet. */
export function noFigures(): Figures {
  return {
    started: 0,
    claimed: 0,
    accepted: 0,
    sent: 0,
    skipped: 0,
    failed: 0,
    deferred: 0,
    unknown: 0,
    late: 0,
    looked_up: 0,
    not_found: 0,
    unanswered: 0,
    polled: 0,
    recovered: 0,
    completed: 0,
    folded: 0,
    unrecorded: 0,
  };
}
