import type { Evidence, History, MessageName } from "./history.ts";

/** What the rows of one recipient must say once everything was heard. */
export interface Outcome {
  readonly status: "pending" | "processing" | "unconfirmed" | "failed" | "sent";
  readonly delivered: number;
  readonly read: number;
  /** People named by receipts, each once. */
  readonly identifiedDelivered: number;
  readonly identifiedRead: number;
  /** Message ids that are known to be this recipient's, sorted. */
  readonly messages: readonly MessageName[];
  /** Those of them that were said to be sent, sorted: each must be seen as an attempt. */
  readonly sentMessages: readonly MessageName[];
  /** Somebody named the id of a message that was sent: the row must carry one of `messages`. */
  readonly carriesMessage: boolean;
}

const UNKNOWN_GROUP_CAP = 999_999;

/**
 * The laws, as a function of the set of events alone: no state, no order.
 *
 * - A send is proved by any word of it: a callback, a result, a person, a delivered, read, played or sent receipt of a
 *   message that is known to be this recipient's, or an anonymous delivery. Nothing takes a proof back.
 * - Without proof a failure that is the newest attempt's counts; one of an older attempt says nothing about the newest.
 * - Identified people count once each, whatever messages and spellings named them. Anonymous reports have nothing to
 *   tell one from its repetition: every copy counts, so they are part of the multiset, not of the set. The larger of
 *   the two counts, no more than there are members. Read implies delivered.
 *
 * What is not here, because it does depend on order: the wording of errors (the latest word wins), the time of sending
 * (the first word wins), which of several ids the row carries (the first), and a gateway that contradicts itself about
 * one attempt (`deferred` and `not_found`), where the first takes the row out of reach of the second. Histories hold no
 * such contradiction.
 */
export function outcomeOf({ situation, memberCount, events }: History): Outcome {
  const cap = memberCount ?? UNKNOWN_GROUP_CAP;
  const bound = new Set(events.flatMap((event) => boundBy(event, situation.claims)));
  const receipts = events.filter((event) => event.type === "receipt").filter((event) => bound.has(event.message));

  const delivered = receipts.filter((receipt) => isDelivery(receipt.kind));
  const read = delivered.filter((receipt) => receipt.kind !== "delivered");
  const identifiedDelivered = people(delivered);
  const identifiedRead = people(read);
  const anonymousRead = read.filter((receipt) => receipt.reader === null).length;
  const anonymousDelivered = delivered.filter((receipt) => receipt.reader === null).length - anonymousRead +
    events.filter((event) => event.type === "increment").length;

  const heard = events.filter((event) => speaks(event, situation.claims));
  const isProved = heard.some(claimsSent) || receipts.some((receipt) => receipt.kind !== "failed");
  const isFailed = heard.some(claimsFailure) || receipts.some(provesFailure);
  const sentMessages = new Set(
    heard.filter(claimsSent).flatMap((event) =>
      event.type === "increment" || event.message === null ? [] : [event.message]
    ),
  );
  const carriesMessage = sentMessages.size > 0 ||
    receipts.some((receipt) => receipt.kind !== "failed");

  return {
    status: isProved ? "sent" : isFailed ? "failed" : unsettledStatus(situation, events),
    delivered: Math.min(cap, Math.max(identifiedDelivered, anonymousDelivered, identifiedRead, anonymousRead)),
    read: Math.min(cap, Math.max(identifiedRead, anonymousRead)),
    identifiedDelivered,
    identifiedRead,
    messages: [...bound].sort(),
    sentMessages: [...sentMessages].sort(),
    carriesMessage,
  };
}

type Receipt = Extract<Evidence, { type: "receipt" }>;

/** A callback that names no attempt finds only what was claimed before. */
function speaks(event: Evidence, claims: number): boolean {
  return event.type !== "callback" || event.attempt !== null || claims > 0;
}

/** Ids are bound by whoever names them along with the recipient; receipts name no recipient. */
function boundBy(event: Evidence, claims: number): MessageName[] {
  const names = event.type === "callback" || event.type === "result" || (event.type === "confirm" && event.sent);
  return names && event.message !== null && speaks(event, claims) ? [event.message] : [];
}

function claimsSent(event: Evidence): event is Exclude<Evidence, Receipt> {
  switch (event.type) {
    case "callback":
      return event.event === "sent";
    case "result":
      return event.outcome === "sent";
    case "confirm":
      return event.sent;
    case "increment":
      return true;
    case "receipt":
      return false;
  }
}

function claimsFailure(event: Evidence): boolean {
  switch (event.type) {
    case "callback":
      return event.event === "failed" && event.attempt !== "older";
    case "result":
      return event.outcome === "failed" && event.attempt === "newest";
    case "confirm":
      return !event.sent;
    default:
      return false;
  }
}

/** One participant's failure is not the group's; an older message's is not the newest's. */
function provesFailure({ kind, reader, message }: Receipt): boolean {
  return kind === "failed" && reader === null && (message === "new1" || message === "new2");
}

function unsettledStatus(situation: History["situation"], events: readonly Evidence[]): Outcome["status"] {
  if (situation.status !== "processing") return situation.status;
  const heard = (outcome: string) =>
    events.some((event) => event.type === "result" && event.attempt === "newest" && event.outcome === outcome);
  const hasAttemptsLeft = situation.claims < situation.maxAttempts;
  if (heard("deferred")) return situation.onTransientError === "retry" && hasAttemptsLeft ? "pending" : "failed";
  if (heard("not_found")) {
    // the gateway itself says that nothing was sent
    return situation.unconfirmedPolicy === "hold" ? "unconfirmed" : hasAttemptsLeft ? "pending" : "failed";
  }
  return "processing";
}

function isDelivery(kind: Receipt["kind"]): boolean {
  return kind === "delivered" || kind === "read" || kind === "played";
}

function people(receipts: readonly Receipt[]): number {
  return new Set(receipts.flatMap(({ reader }) => reader === null ? [] : [reader])).size;
}
