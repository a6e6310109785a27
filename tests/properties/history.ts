import type { Situation } from "./situation.ts";

/** Which attempt an event names by `clientMessageId`: the newest claimed, the first of two, or none. */
export type AttemptName = "newest" | "older" | null;

/**
 * A message id, as one recipient's events name it: two that the newest attempt may have got, two of the older attempt,
 * and one that nothing but receipts ever names.
 */
export type MessageName = "new1" | "new2" | "old1" | "old2" | "unknown";

/** What a provider, a gateway or a person says about one recipient's message. */
export type Evidence =
  | {
    readonly type: "callback";
    readonly event: "sent" | "failed";
    readonly attempt: AttemptName;
    readonly message: MessageName | null;
  }
  | {
    readonly type: "result";
    readonly outcome: "accepted" | "unknown" | "deferred" | "not_found" | "failed" | "sent";
    readonly attempt: "newest" | "older";
    readonly message: MessageName | null;
  }
  | {
    readonly type: "receipt";
    readonly kind: "delivered" | "read" | "played" | "sent" | "failed";
    readonly message: MessageName;
    /** A person; null: nobody is named. */
    readonly reader: number | null;
    /** How the reader is spelt. */
    readonly spelling: "plain" | "device" | "agent" | "spaces";
  }
  | { readonly type: "increment" }
  | { readonly type: "confirm"; readonly sent: boolean; readonly message: MessageName | null };

/** All that will be heard of one recipient, in no order. An event that stands twice is heard twice. */
export interface History {
  readonly situation: Situation;
  /** null: unknown. */
  readonly memberCount: number | null;
  readonly events: readonly Evidence[];
}

/** One line for one event. */
export function describe(event: Evidence): string {
  switch (event.type) {
    case "callback":
      return `callback ${event.event} ${event.message ?? "without id"} ${
        event.attempt === null ? "by group" : `of the ${event.attempt} attempt`
      }`;
    case "result":
      return `result ${event.outcome} ${event.message ?? "without id"} of the ${event.attempt} attempt`;
    case "receipt":
      return `receipt ${event.kind} of ${event.message} by ${
        event.reader === null ? "nobody" : `reader ${event.reader} (${event.spelling})`
      }`;
    case "increment":
      return "increment_delivered_count";
    case "confirm":
      return `confirm_recipient ${event.sent} ${event.message ?? "without id"}`;
  }
}
