import type { Json } from "../../supabase/functions/_shared/database.types.ts";
import { isObject } from "../../supabase/functions/_shared/is_object.ts";
import type { Sql, Transaction } from "../command/connect.ts";
import { inTransaction } from "../command/in_transaction.ts";
import { readAgain, type Reading } from "./read_again.ts";
import type { JournaledEvent } from "./tally.ts";

const PAGE = 500;
/** A page ends where it would hold more: a body may have megabytes. */
const PAGE_BYTES = 4_000_000;

/** An event of the journal, and what it reads as now. */
export interface ReadEvent extends JournaledEvent {
  /** Empty where there is still no use for it. */
  readonly readings: readonly Reading[];
}

interface Row extends JournaledEvent {
  readonly payload: Json;
}

/**
 * Reads the next page of events that were malformed or of an unknown kind, after an event; and of bundles of events that
 * were refused together, each of which is read as it is.
 */
export async function readPage(sql: Sql, after: string, source: string | null): Promise<readonly ReadEvent[]> {
  return await inTransaction(sql, async (transaction) => {
    const read = (await selectPage(transaction, after, source)).map(({ payload, ...event }) => ({
      ...event,
      readings: event.reason === "error" ? bundle(event.source, payload) : readAgain(event.source, payload),
    }));
    const useful = await usefulOf(transaction, read);
    return { keep: true, value: read.map((event) => useful.has(event.id) ? event : { ...event, readings: [] }) };
  });
}

function selectPage(transaction: Transaction, after: string, source: string | null): PromiseLike<readonly Row[]> {
  return transaction<Row[]>`
    select p.id::text as id, p.source, p.reason, p.received_at, p.payload
    from (
      select n.*, sum(n.bytes) over (order by n.id) - n.bytes as bytes_before
      from (
        select e.*, octet_length(e.payload::text) as bytes
        from private.webhook_events e
        where e.replayed_at is null
          and (e.reason in ('malformed', 'unknown_event') or (e.reason = 'error' and e.payload ->> 'event' = 'refused'))
          and e.id > ${after}::bigint
          and (${source}::text is null or e.source = ${source})
        order by e.id
        limit ${PAGE}
      ) as n
    ) as p
    where p.bytes_before < ${PAGE_BYTES}
    order by p.id
  `;
}

/** Events that were read long ago, and refused together. */
function bundle(source: string, payload: unknown): readonly Reading[] {
  const events: readonly Json[] = isObject(payload) && Array.isArray(payload.events) ? payload.events : [];
  switch (source) {
    case "send_callback":
    case "receipt":
    case "inbound":
    case "sms_delivery":
    case "signal":
      return events.map((event) => ({ source, events: [event] }));
    default:
      return [];
  }
}

/** The ids of those of which the database can apply any part: that is for it to say, not for us. */
async function usefulOf(transaction: Transaction, read: readonly ReadEvent[]): Promise<ReadonlySet<string>> {
  const events = read.flatMap(({ id, readings }) =>
    readings.flatMap(({ source, events }) => events.map((event) => ({ id, source, event })))
  );
  if (events.length === 0) return new Set();
  const rows = await transaction<{ id: string }[]>`
    select distinct n.id
    from jsonb_to_recordset(${transaction.json(events)}) as n (id text, source text, event jsonb)
    where case n.source
      when 'send_callback' then private.is_send_callback(n.event)
      when 'signal' then private.is_sender_signal(n.event)
      when 'inbound' then private.is_chat_message(n.event) or private.is_preference(n.event)
      else private.is_receipt(n.event)
    end
  `;
  return new Set(rows.map(({ id }) => id));
}
