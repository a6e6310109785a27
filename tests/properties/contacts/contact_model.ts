import { type ContactEvent, type ContactHistory, type ContactMessage, MESSAGE_COST } from "./contact_history.ts";

/** What the rows of one contact must say once everything was heard. */
export interface ContactOutcome {
  readonly status: "processing" | "failed" | "sent";
  readonly delivered: 0 | 1;
  readonly read: 0 | 1;
  readonly cost: number;
  /** Message ids that are known to be this contact's, sorted. */
  readonly messages: readonly ContactMessage[];
  /** Those that went out and did not fail; a sent row carries one of them. */
  readonly alive: readonly ContactMessage[];
  /** Those that were said to be sent, sorted: each must be seen as an attempt. */
  readonly sentMessages: readonly ContactMessage[];
}

type Status = Extract<ContactEvent, { type: "status" }>;

/**
 * The laws, as a function of the set of events alone: no state, no order.
 *
 * - A message is the contact's when the answer to one of its attempts names it, or a status that carries one.
 * - A message is delivered when a status says so; read and played imply it. Of a text message in segments one that
 *   failed outweighs the others, so it is not delivered, nor read.
 * - A message has failed when a status says so and it is not delivered.
 * - A message is sent when the provider took it, which an answer says, or a status of it; unless it has failed.
 * - The contact is sent when one of its messages is; else failed when the newest attempt was refused, or a message of it
 *   has failed; what became of an older attempt says nothing about one that is under way.
 * - A contact is one person, counted once. Each message has its cost, once.
 */
export function contactOutcomeOf({ channel, events }: ContactHistory): ContactOutcome {
  const statuses = events.filter((event) => event.type === "status");
  const answers = events.filter((event) => event.type === "answer");
  const isCarried = ({ carries }: Status) => carries === "newest" || carries === "older";
  const bound = new Set([
    ...answers.flatMap(({ message }) => message === null ? [] : [message]),
    ...statuses.filter(isCarried).map(({ message }) => message),
  ]);

  const kindsOf = (message: ContactMessage) =>
    new Set(statuses.filter((status) => status.message === message).map(({ kind }) => kind));
  const isSpoilt = (message: ContactMessage) => channel === "sms" && kindsOf(message).has("failed");
  const isRead = (message: ContactMessage) =>
    !isSpoilt(message) && (["read", "played"] as const).some((kind) => kindsOf(message).has(kind));
  const isDelivered = (message: ContactMessage) =>
    !isSpoilt(message) && (kindsOf(message).has("delivered") || isRead(message));
  const isFailed = (message: ContactMessage) => kindsOf(message).has("failed") && !isDelivered(message);
  const isSaidSent = (message: ContactMessage) =>
    kindsOf(message).has("sent") || isDelivered(message) ||
    answers.some((answer) => answer.outcome === "sent" && answer.message === message) ||
    statuses.some((status) => status.message === message && isCarried(status));

  const messages = [...bound].sort();
  const alive = messages.filter((message) => isSaidSent(message) && !isFailed(message));
  const hasFailed = answers.some(({ attempt, outcome }) => attempt === "newest" && outcome === "failed") ||
    messages.some((message) => message !== "old1" && isFailed(message));
  const costs = messages.filter((message) => statuses.some((status) => status.message === message && status.hasCost));
  return {
    status: alive.length > 0 ? "sent" : hasFailed ? "failed" : "processing",
    delivered: messages.some(isDelivered) ? 1 : 0,
    read: messages.some(isRead) ? 1 : 0,
    cost: Math.round(costs.length * MESSAGE_COST * 1e6) / 1e6,
    messages,
    alive,
    sentMessages: alive,
  };
}
