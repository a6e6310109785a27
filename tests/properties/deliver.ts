import postgres from "postgres";
import { randomFor } from "../../local/simulator/random.ts";
import { recordReceipts, recordSendCallback, recordSendResults, type Sql } from "../harness/mod.ts";
import { describe, type Evidence, type MessageName } from "./history.ts";
import type { Subject } from "./subjects.ts";

/** One event on its way to the database. */
export interface Delivery {
  readonly subject: Subject;
  readonly event: Evidence;
}

/** An rpc that raised on one event; it must not, whatever it is given. */
export interface Refusal extends Delivery {
  readonly error: string;
}

/** The name under which the database knows a subject's message. */
export function messageId(subject: Subject, name: MessageName): string {
  return `${name}-${subject.recipientId}`;
}

/**
 * The events of all subjects in an order of chance, cut into batches of chance.
 *
 * @param order a name for the order: another name, another order
 */
export function shuffledBatches(
  subjects: readonly Subject[],
  seed: number,
  order: string,
  largest: number,
): Delivery[][] {
  const random = randomFor(seed, order);
  const all = subjects.flatMap((subject) => subject.history.events.map((event) => ({ subject, event })));
  const rest = random.shuffle(all);
  const batches: Delivery[][] = [];
  while (rest.length > 0) batches.push(rest.splice(0, random.int(1, largest)));
  return batches;
}

/**
 * Hands one batch to the rpcs, one call for each kind of event. A call that raises is halved until the events that make
 * it raise stand alone.
 */
export async function deliver(sql: Sql, batch: readonly Delivery[]): Promise<Refusal[]> {
  const refusals: Refusal[] = [];
  for (const [type, deliveries] of Map.groupBy(batch, ({ event }) => event.type)) {
    refusals.push(...await call(sql, type, deliveries));
  }
  return refusals;
}

async function call(sql: Sql, type: Evidence["type"], deliveries: readonly Delivery[]): Promise<Refusal[]> {
  try {
    await callers[type](sql, deliveries);
    return [];
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error;
    const [first] = deliveries;
    if (first === undefined) return [];
    if (deliveries.length === 1) {
      return [{ ...first, error: `${describe(first.event)}: ${error.code} ${error.message}` }];
    }
    const half = Math.ceil(deliveries.length / 2);
    return [
      ...await call(sql, type, deliveries.slice(0, half)),
      ...await call(sql, type, deliveries.slice(half)),
    ];
  }
}

const callers: Record<Evidence["type"], (sql: Sql, deliveries: readonly Delivery[]) => Promise<unknown>> = {
  callback: (sql, deliveries) => recordSendCallback(sql, deliveries.flatMap(callback)),
  result: (sql, deliveries) => recordSendResults(sql, deliveries.flatMap(result)),
  receipt: (sql, deliveries) => recordReceipts(sql, deliveries.flatMap(receipt)),
  increment: (sql, deliveries) =>
    sql`
      select public.increment_delivered_count(u.id)
      from unnest(${deliveries.map(({ subject }) => subject.recipientId)}::uuid[]) as u (id)
    `,
  confirm: (sql, deliveries) =>
    sql`
      select public.confirm_recipient(u.id, u.sent, u.message_id)
      from jsonb_to_recordset(${JSON.stringify(deliveries.flatMap(confirmation))}::text::jsonb)
        as u (id uuid, sent boolean, message_id text)
    `,
};

function callback({ subject, event }: Delivery) {
  if (event.type !== "callback") return [];
  return [{
    event: `message_${event.event}`,
    sessionId: subject.sessionId,
    groupJid: subject.groupJid,
    messageId: event.message === null ? null : messageId(subject, event.message),
    status: event.event,
    error: event.event === "failed" ? "not a participant" : null,
    timestamp: 1_790_000_000,
    ...event.attempt === null ? {} : { clientMessageId: attemptId(subject, event.attempt) },
  }];
}

function result({ subject, event }: Delivery) {
  if (event.type !== "result") return [];
  return [{
    clientMessageId: attemptId(subject, event.attempt),
    outcome: event.outcome,
    ...event.message === null ? {} : { messageId: messageId(subject, event.message) },
  }];
}

function receipt({ subject, event }: Delivery) {
  if (event.type !== "receipt") return [];
  return [{
    event: `message_${event.kind}`,
    messageId: messageId(subject, event.message),
    reader: event.reader === null ? null : spell(event.reader, event.spelling),
    sessionId: subject.sessionId,
    timestamp: 1_790_000_100,
  }];
}

function confirmation({ subject, event }: Delivery) {
  if (event.type !== "confirm") return [];
  const message_id = event.message === null ? null : messageId(subject, event.message);
  return [{ id: subject.recipientId, sent: event.sent, message_id }];
}

function spell(reader: number, spelling: Extract<Evidence, { type: "receipt" }>["spelling"]): string {
  const user = `9198700000${reader}`;
  switch (spelling) {
    case "plain":
      return `${user}@s.whatsapp.net`;
    case "device":
      return `${user}:${10 + reader}@s.whatsapp.net`;
    case "agent":
      return `${user}_1:7@s.whatsapp.net`;
    case "spaces":
      return ` ${user}@c.us `;
  }
}

function attemptId({ attempts }: Subject, name: "newest" | "older"): string {
  const id = name === "newest" ? attempts.at(-1) : attempts[0];
  if (id === undefined) throw new Error(`There is no ${name} attempt`);
  return id;
}
