import type { StatusKind } from "../../harness/mod.ts";

/**
 * A message id, as one contact's events name it: two that the newest attempt may have got, one of the attempt before, and
 * one that nothing ever ties to the contact.
 */
export type ContactMessage = "new1" | "new2" | "old1" | "lost";

/** Which attempt is meant: the newest, or the one before. */
export type Attempt = "newest" | "older";

/** What a provider says about a message to one contact. */
export type ContactEvent =
  /** The answer to a send. */
  | {
    readonly type: "answer";
    readonly attempt: Attempt;
    readonly outcome: "sent" | "accepted" | "failed" | "unknown";
    readonly message: ContactMessage | null;
  }
  /** A status, which may carry the id of the attempt, and may name the cost. */
  | {
    readonly type: "status";
    readonly kind: StatusKind;
    readonly message: ContactMessage;
    readonly carries: Attempt | "garbage" | null;
    readonly hasCost: boolean;
  };

/** All that will be heard of one message to a contact, in no order. An event that stands twice is heard twice. */
export interface ContactHistory {
  readonly channel: "whatsapp" | "sms";
  /** How often the contact was claimed; after the first time nothing was heard, and it was claimed again. */
  readonly claims: 1 | 2;
  readonly events: readonly ContactEvent[];
}

/** What one message costs. */
export const MESSAGE_COST = 0.05;

/** One line for one event. */
export function describeContactEvent(event: ContactEvent): string {
  if (event.type === "answer") {
    return `answer ${event.outcome} ${event.message ?? "without id"} to the ${event.attempt} attempt`;
  }
  const carries = event.carries === null
    ? ""
    : ` carrying ${event.carries === "garbage" ? "garbage" : `the ${event.carries} attempt`}`;
  return `status ${event.kind} of ${event.message}${carries}${event.hasCost ? " with its cost" : ""}`;
}
