import { recordReceipts, recordSendResults, type Sql, statusOf } from "../../harness/mod.ts";
import { type Attempt, type ContactEvent, type ContactMessage, MESSAGE_COST } from "./contact_history.ts";
import type { ContactSubject } from "./contact_subjects.ts";

/** One event on its way to the database. */
export interface ContactDelivery {
  readonly subject: ContactSubject;
  readonly event: ContactEvent;
}

/** The name under which the database knows a contact's message. */
export function messageId({ recipientId }: ContactSubject, name: ContactMessage): string {
  return `${name}-${recipientId}`;
}

/** Hands one batch to the rpcs: the answers in one call, the statuses in another, whichever kind comes first. */
export async function deliverToContacts(sql: Sql, batch: readonly ContactDelivery[]): Promise<void> {
  for (const [type, deliveries] of Map.groupBy(batch, ({ event }) => event.type)) {
    if (type === "answer") await recordSendResults(sql, deliveries.flatMap(answer));
    else await recordReceipts(sql, deliveries.flatMap(status));
  }
}

function answer({ subject, event }: ContactDelivery) {
  if (event.type !== "answer") return [];
  return [{
    clientMessageId: attemptId(subject, event.attempt),
    outcome: event.outcome,
    ...event.message === null ? {} : { messageId: messageId(subject, event.message) },
  }];
}

function status({ subject, event }: ContactDelivery) {
  if (event.type !== "status") return [];
  return [statusOf(event.kind, messageId(subject, event.message), {
    reader: subject.history.channel === "sms" ? "sms" : "recipient",
    ...event.carries === null
      ? {}
      : { clientMessageId: event.carries === "garbage" ? "garbage" : attemptId(subject, event.carries) },
    ...event.hasCost ? { cost: MESSAGE_COST, currency: "EUR" } : {},
  })];
}

function attemptId({ attempts }: ContactSubject, attempt: Attempt): string {
  const id = attempt === "newest" ? attempts.at(-1) : attempts[0];
  if (id === undefined) throw new Error(`There is no ${attempt} attempt`);
  return id;
}
