import type { Post } from "../deliver.ts";
import type { Faults } from "../faults.ts";
import type { Random } from "../random.ts";
import type { WebhookOptions } from "../webhook.ts";
import type { Fate } from "./fate.ts";
import type { OpenMessage } from "./ledger.ts";
import type { ContactSection, RequestPlan } from "./plan.ts";
import type { InboundRecord } from "./record.ts";

/** A message that somebody wants to be sent. */
export interface Order {
  /** Digits alone. */
  readonly contact: string;
  /** The sender: a phone number id, or a number. */
  readonly sessionId: string;
  /** What the caller names it: the attempt. Null when it names none. */
  readonly clientMessageId: string | null;
}

/** A message that was taken, and all that its life depends on. */
export interface Sending<Status extends string, Wish extends Order> {
  readonly faults: Faults;
  readonly order: Wish;
  readonly message: OpenMessage;
  readonly fate: Fate<Status>;
}

/** Ways in which a send may be refused: the HTTP status, and the provider's own code. */
export type RefusalCodes = readonly [RefusalCode, ...RefusalCode[]];
type RefusalCode = readonly [status: number, code: string];

/** See the answers of the same names in a plan. */
export type RefusalReason = Exclude<RequestPlan["answer"], "accept" | "hang" | "reset">;

/** Why nothing was taken, as the provider says it. */
export interface Refusal {
  readonly code: string;
  readonly response: Response;
}

/** Something that a person does of their own accord. */
export interface Act<Event> {
  readonly event: Event;
  /** The message it leaves in the inbox; null where it leaves none, or the one that is there already. */
  readonly inbound: InboundRecord | null;
  /** Whether they want more messages from now on; null: they do not say. */
  readonly wantsMore: boolean | null;
}

/** Something that no honest provider would post. */
export type BadPost<Event> =
  /** A post of its own, and the only status that is a right answer to it. */
  | { readonly form: "post"; readonly post: Post; readonly status: number; readonly what: string }
  /** An element to travel among good ones, which must be taken all the same. */
  | { readonly form: "element"; readonly event: Event };

/** What one provider of messages to contacts does in a way of its own. */
export interface Provider<Status extends string, Event, Wish extends Order> {
  readonly section: ContactSection;
  readonly webhook: Pick<WebhookOptions<Event>, "name" | "compose" | "concurrency" | "sizing">;
  /** What becomes of messages to a contact. */
  planFate(faults: Faults, contact: string): Fate<Status>;
  /** The id of a message to or from a contact, whose digits are part of it: no two contacts share one. */
  messageId(contact: string, ids: Random): string;
  /** The answer to a send that was taken. */
  accept(sending: Sending<Status, Wish>): Response;
  /** The answer to a send of which nothing was taken; or, where it broke yet was taken, one that leaves it open. */
  refuse(why: RefusalReason, draw: Random): Refusal;
  /** True when a refusal or a failure says that the contact wants no more messages. */
  endsConsent(code: string | null): boolean;
  /** A report on a message, as it is posted; null where nobody asked for reports. */
  report(sending: Sending<Status, Wish>, status: Status): Event | null;
  /**
   * What the person does, step by step, about a message they got.
   * @param ids where message ids come from: other ones for each message, while the same is done about each
   */
  acts(sending: Sending<Status, Wish>, draw: Random, ids: Random): Act<Event>[];
  /** Something that no honest provider would post about a message; null where nobody asked for reports. */
  badPost(sending: Sending<Status, Wish>, draw: Random): BadPost<Event> | null;
}
