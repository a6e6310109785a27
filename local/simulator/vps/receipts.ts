import type { Faults } from "../faults.ts";
import type { Audience } from "./members.ts";
import { type Random, randomFor } from "../random.ts";

/** One event for whatsapp-read-receipt-webhook. */
export interface ReceiptEvent {
  readonly event: "message_delivered" | "message_read";
  readonly sessionId: string;
  readonly groupJid: string;
  readonly messageId: string;
  readonly reader: string | null;
  readonly timestamp: number | string;
}

/** A message whose receipts are to be reported. */
export interface ReportedMessage {
  readonly sessionId: string;
  readonly groupJid: string;
  readonly messageId: string;
}

/** The events to post, in order, and how many of them are odd in which way. */
export interface ReceiptPlan {
  readonly events: readonly ReceiptEvent[];
  readonly repeated: number;
  readonly readsBeforeDelivery: number;
  readonly readsWithoutDelivery: number;
  readonly deviceSuffixes: number;
  readonly anonymous: number;
}

/** Writes down every receipt of one message, as each of the sessions in the group reports it. */
export function planReceipts(faults: Faults, message: ReportedMessage, audience: Audience, now: number): ReceiptPlan {
  const draw = randomFor(faults.seed, message.groupJid, "receipts");
  const at = () => timestamp(draw, faults.oddTimestamps, now);

  if (audience.anonymous) {
    const events = Array.from({ length: audience.anonymousDeliveries }, () => (
      { event: "message_delivered", ...message, reader: null, timestamp: at() } as const
    ));
    return {
      events,
      repeated: 0,
      readsBeforeDelivery: 0,
      readsWithoutDelivery: 0,
      deviceSuffixes: 0,
      anonymous: events.length,
    };
  }

  let deviceSuffixes = 0;
  function reader(jid: string): string {
    if (!draw.chance(faults.deviceSuffixes)) return jid;
    deviceSuffixes++;
    return jid.replace("@", `:${draw.int(1, 99)}@`);
  }

  const facts = audience.members.flatMap(({ jid, received, read, deliveryReported }) => [
    ...(received && deliveryReported ? [{ event: "message_delivered", jid } as const] : []),
    ...(read ? [{ event: "message_read", jid } as const] : []),
  ]);
  const reports: ReceiptEvent[][] = Array.from({ length: faults.receiptSessions }, (_, session) => {
    const sessionId = session === 0 ? message.sessionId : `${message.sessionId}_${session + 1}`;
    const ordered = faults.receiptsShuffled ? draw.shuffle(facts) : facts;
    return ordered.map(({ event, jid }) => ({ event, ...message, sessionId, reader: reader(jid), timestamp: at() }));
  });
  const unnamed = unnamedReport(faults, message, audience).map((event) => ({ ...event, timestamp: at() }));
  reports.push(unnamed);
  const events = faults.receiptsShuffled ? draw.shuffle(reports.flat()) : reports.flat();

  return {
    events,
    repeated: events.length - facts.length - unnamed.length,
    readsBeforeDelivery: countReadsBeforeDelivery(events),
    readsWithoutDelivery: audience.members.filter((member) => member.read && !member.deliveryReported).length,
    deviceSuffixes,
    anonymous: unnamed.length,
  };
}

/**
 * Deliveries that one more session reports without names. The people are already reported by name: the larger count
 * is the true one, and half stays the smaller even when a post is made twice.
 */
function unnamedReport(faults: Faults, message: ReportedMessage, { members }: Audience) {
  if (!randomFor(faults.seed, message.groupJid, "session without names").chance(faults.sessionsWithoutNames)) return [];
  const delivered = members.filter((member) => member.received).length;
  const event = "message_delivered" as const;
  const sessionId = `${message.sessionId}_unnamed`;
  return Array.from({ length: Math.floor(delivered / 2) }, () => ({ event, ...message, sessionId, reader: null }));
}

/** People whose reading is reported before their delivery, by whichever session speaks first. */
function countReadsBeforeDelivery(events: readonly ReceiptEvent[]): number {
  const first = new Map<string, ReceiptEvent["event"]>();
  const early = new Set<string>();
  for (const { event, reader } of events) {
    if (reader === null) continue;
    const person = reader.replace(/:\d+@/, "@");
    if (event === "message_delivered" && first.get(person) === "message_read") early.add(person);
    if (!first.has(person)) first.set(person, event);
  }
  return early.size;
}

/** Unix seconds, as gateways send them; or one of the other ways they have been seen to write a time. */
function timestamp(draw: Random, oddShare: number, now: number): number | string {
  if (!draw.chance(oddShare)) return Math.floor(now / 1000);
  return draw.pick<number | string>([now, `${Math.floor(now / 1000)}`, new Date(now).toISOString()]);
}
