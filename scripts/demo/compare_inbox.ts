import type { ContactsRecord } from "../../local/simulator/record.ts";
import type { BackendMessage, BackendOptOut } from "./backend.ts";
import type { Comparison } from "./compare.ts";
import { counterDifferences } from "./counters.ts";

/** Everything the backend says about what people wrote by one channel. */
export interface InboxAccount {
  readonly messages: readonly BackendMessage[];
  readonly optOuts: readonly BackendOptOut[];
}

/**
 * Holds what is in the inbox of one channel against the simulator's record: each message once, and everybody opted out
 * who asked for it, and nobody else.
 * @param before digits of those who had opted out before
 */
export function compareInbox(
  account: InboxAccount,
  record: Pick<ContactsRecord, "inbound" | "optedOut">,
  before: readonly string[],
): Comparison {
  const optedOut = new Set([...before, ...record.optedOut].map((digits) => `+${digits}`));
  const addresses = new Set(account.optOuts.map(({ address }) => address));
  const counters = [
    { name: "inbox", backend: account.messages.length, truth: record.inbound.length },
    { name: "opted out", backend: addresses.size, truth: optedOut.size },
  ];
  return {
    counters,
    differences: [
      ...counterDifferences(counters),
      ...messageDifferences(account.messages, record),
      ...[...optedOut.difference(addresses)].map((address) => `${address}: opted out, and the backend does not know`),
      ...[...addresses.difference(optedOut)].map((address) => `${address}: did not opt out, and the backend says so`),
    ],
  };
}

function messageDifferences(
  messages: readonly BackendMessage[],
  { inbound }: Pick<ContactsRecord, "inbound">,
): string[] {
  const stored = Map.groupBy(messages, (message) => message.wa_message_id);
  return inbound.flatMap((truth) => {
    const copies = stored.get(truth.messageId) ?? [];
    const [message] = copies;
    if (message === undefined) return [`${truth.messageId}: written, and not in the inbox`];
    const pairs = [
      ["copies", copies.length, 1],
      ["direction", message.direction, "inbound"],
      ["sender", message.session_id, truth.sessionId],
      ["contact", message.contact, truth.contact === null ? truth.userId : `+${truth.contact}`],
      ["text", truth.text === null ? null : message.content, truth.text],
    ] as const;
    return pairs.filter(([, backend, actual]) => backend !== actual)
      .map(([field, backend, actual]) => `${truth.messageId}: ${field} is ${backend}, the truth is ${actual}`);
  });
}
