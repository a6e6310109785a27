import type { ContactMessage, ContactRecord, Contacts, ContactTotals, InboundRecord } from "./record.ts";

type Writable<Shape> = { -readonly [Key in keyof Shape]: Shape[Key] };

/** One message taken, while it is being played. */
export type OpenMessage = Writable<ContactMessage>;

/** One contact, while messages to it are being played. */
export interface OpenContact {
  readonly contact: string;
  requests: number;
  rejectedWith: string | null;
  /** Every message that was taken, whether or not there should have been one. */
  readonly messages: OpenMessage[];
}

/** Where a provider of contacts writes down what became of each, as it happens. */
export class ContactLedger {
  readonly #contacts = new Map<string, OpenContact>();
  readonly #inbound: InboundRecord[] = [];
  readonly #optedOut = new Set<string>();

  /**
   * The entry of a contact, made at its first request.
   * @param contact digits alone
   */
  contact(contact: string): OpenContact {
    const known = this.#contacts.get(contact);
    if (known !== undefined) return known;
    const made = { contact, requests: 0, rejectedWith: null, messages: [] };
    this.#contacts.set(contact, made);
    return made;
  }

  /** Writes down what a person wrote. */
  wrote(inbound: InboundRecord): void {
    this.#inbound.push(inbound);
  }

  /** Writes down whether a contact wants more messages. The last word counts. */
  wants(contact: string, more: boolean): void {
    if (more) this.#optedOut.delete(contact);
    else this.#optedOut.add(contact);
  }

  /** The sums of everything written down so far. */
  get totals(): ContactTotals {
    const contacts = [...this.#contacts.values()].map(contactRecord);
    const sum = (figure: (contact: ContactRecord) => number) =>
      contacts.reduce((total, contact) => total + figure(contact), 0);
    return {
      contacts: contacts.length,
      requests: sum((contact) => contact.requests),
      messages: sum((contact) => contact.messages.length),
      doubleSends: sum((contact) => Math.max(0, contact.messages.length - 1)),
      sent: sum((contact) => Number(contact.status === "sent")),
      failed: sum((contact) => Number(contact.status === "failed")),
      delivered: sum((contact) => contact.delivered),
      read: sum((contact) => contact.read),
      inbound: this.#inbound.length,
      optedOut: this.#optedOut.size,
    };
  }

  /** Everything written down so far. */
  get record(): Contacts {
    return {
      contacts: [...this.#contacts.values()].map(contactRecord),
      inbound: [...this.#inbound],
      optedOut: [...this.#optedOut].sort(),
    };
  }
}

function contactRecord({ contact, requests, rejectedWith, messages }: OpenContact): ContactRecord {
  return {
    contact,
    status: statusOf(requests, messages),
    requests,
    rejectedWith,
    messages: messages.map((message) => ({ ...message })),
    delivered: Number(messages.some((message) => message.delivered)),
    read: Number(messages.some((message) => message.read)),
  };
}

function statusOf(requests: number, messages: readonly ContactMessage[]): ContactRecord["status"] {
  for (const status of ["sent", "queued"] as const) {
    if (messages.some((message) => message.status === status)) return status;
  }
  return requests > 0 ? "failed" : "none";
}
