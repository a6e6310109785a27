import type { ContactsRecord } from "../../local/simulator/record.ts";
import type { Audience } from "./audience.ts";
import type { BackendContact, Stats } from "./backend.ts";
import type { Comparison } from "./compare.ts";
import { counterDifferences, pairCounters, roundCost } from "./counters.ts";

/** Everything the backend says about a campaign to contacts. */
export interface ContactAccount {
  /** The campaign's. */
  readonly status: string;
  readonly stats: Stats;
  readonly contacts: readonly BackendContact[];
  readonly doubleSends: number;
  readonly discrepancies: readonly unknown[];
}

type ContactTruth = ContactsRecord["contacts"][number];

/**
 * Holds the backend's account of a campaign to contacts against the simulator's record: whoever was to get the message
 * got it once, nobody else got it, and every counter is what it must be.
 * @param costOf what the messages to a contact cost
 */
export function compareContacts(
  account: ContactAccount,
  record: ContactsRecord,
  audience: Audience,
  costOf: (contact: ContactTruth) => number,
): Comparison {
  const { status, stats, contacts, doubleSends, discrepancies } = account;
  const { totals } = record;
  const counters = pairCounters(stats, doubleSends, {
    ...totals,
    total: audience.recipients.length,
    skipped: audience.skipped.size,
    audience: audience.recipients.length,
    reached: totals.delivered,
    cost: record.contacts.reduce((sum, contact) => sum + costOf(contact), 0),
  });
  const due = new Set(audience.due.values());
  return {
    counters,
    differences: [
      ...(status === "completed" ? [] : [`the campaign is ${status}, and should be completed`]),
      ...counterDifferences(counters),
      ...(totals.doubleSends > 0 ? [`${totals.doubleSends} messages were sent twice`] : []),
      ...record.contacts.filter(({ contact }) => !due.has(contact))
        .map(({ contact }) => `${contact}: was sent to, and should not have been`),
      ...contactDifferences(contacts, record, audience, costOf),
      ...discrepancies.map((row) => `the recount found ${JSON.stringify(row)}`),
    ],
  };
}

function contactDifferences(
  contacts: readonly BackendContact[],
  record: ContactsRecord,
  audience: Audience,
  costOf: (contact: ContactTruth) => number,
): string[] {
  const accounts = new Map(contacts.map((contact) => [contact.recipient, contact]));
  const truths = new Map(record.contacts.map((contact) => [contact.contact, contact]));
  return audience.recipients.flatMap((recipient) => {
    const account = accounts.get(recipient);
    if (account === undefined) return [`${recipient}: missing from the campaign`];
    const truth = truths.get(audience.due.get(recipient) ?? "");
    const skipped = audience.skipped.get(recipient) ?? null;
    const sentIds = truth?.messages.filter((message) => message.status === "sent").map(({ messageId }) => messageId) ??
      [];
    const failure = truth?.status === "failed" ? truth.messages.at(-1)?.errorCode ?? truth.rejectedWith : null;
    const pairs = [
      ["status", account.status, skipped === null ? truth?.status ?? "pending" : "skipped"],
      ["skip reason", account.skip_reason, skipped],
      ["message id", sentIds.length === 0 ? null : account.message_id, sentIds[0] ?? null],
      ["error code", account.status === "failed" ? account.error_code : null, failure],
      ["delivered", account.delivered_count, truth?.delivered ?? 0],
      ["read", account.read_count, truth?.read ?? 0],
      ["cost", account.cost ?? 0, truth === undefined ? 0 : roundCost(costOf(truth))],
    ] as const;
    return pairs.filter(([, backend, actual]) => backend !== actual)
      .map(([field, backend, actual]) => `${recipient}: ${field} is ${backend}, the truth is ${actual}`);
  });
}
