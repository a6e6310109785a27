import { z } from "zod";
import type { Json } from "../../_shared/database.types.ts";
import { eventFields } from "../../_shared/event_fields.ts";
import { isObject } from "../../_shared/is_object.ts";
import { malformedEvent } from "../../_shared/malformed_event.ts";
import { MAX_EVENTS } from "../../_shared/max_events.ts";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import type { Result } from "../../_shared/result.ts";
import { storable } from "../../_shared/storable.ts";
import type { MetaContext } from "./meta_context.ts";
import { metaContacts } from "./meta_contacts.ts";
import { parseMetaMessage } from "./parse_meta_message.ts";
import { parseMetaPreference } from "./parse_meta_preference.ts";
import { parseMetaSignal } from "./parse_meta_signal.ts";
import { parseMetaStatus } from "./parse_meta_status.ts";

/** What a post of Meta's holds, read for the database. */
export interface MetaPost {
  /** Receipts; and, for the journal, whatever else is reported that is not about a message. */
  readonly receipts: Json[];
  /** Messages that people wrote and the preferences they set; and, for the journal, those that could not be read. */
  readonly messages: Json[];
  /** What is said about a sender: that it may not send, that it may again, how much it may send. */
  readonly signals: Json[];
  /** How many elements could not be read. */
  readonly malformed: number;
}

/** One element of a post, and where it belongs. */
interface Element {
  readonly list: "receipts" | "messages" | "signals";
  readonly parsed: ParsedEvent;
  /** What the journal keeps of it where it cannot be read. */
  readonly original: () => unknown;
}

/** How the elements of one array of a value are read. */
interface ElementReader {
  readonly list: Element["list"];
  readonly parse: (element: unknown, context: MetaContext) => ParsedEvent;
}

const READERS: ReadonlyMap<string, ElementReader> = new Map<string, ElementReader>([
  ["statuses", { list: "receipts", parse: parseMetaStatus }],
  ["messages", { list: "messages", parse: (message, context) => parseMetaMessage(message, "inbound", context) }],
  ["message_echoes", { list: "messages", parse: (message, context) => parseMetaMessage(message, "outbound", context) }],
  ["user_preferences", { list: "messages", parse: parseMetaPreference }],
]);

/** What describes the rest of a value and is no event itself. */
const DESCRIPTIVE: ReadonlySet<string> = new Set(["messaging_product", "metadata", "contacts"]);

/** More contacts than this are not kept with each element that cannot be read: a large post would grow with the square. */
const MAX_KEPT_CONTACTS = 10;

/** Messages from before the number was connected: kept, and not taken for something just said. */
const HISTORY = "history";

const metadata = z.object({ phone_number_id: eventFields.context }).catch({ phone_number_id: null });

/**
 * Reads every status, message, preference and signal of every change of every entry.
 *
 * Anything may be missing or of another type. An element that cannot be read becomes `{event: "malformed", reason,
 * payload}`, the payload being a value with this element alone, and the rest goes on; what this version does not know
 * (another field, another status, errors of the account) becomes an event named `meta …`, whole. The database journals
 * both.
 *
 * Fails with `malformed_event` when the body is none of Meta's, naming the field, and with `payload_too_large` when it
 * holds more than any post should.
 */
export function readMetaPost(body: unknown): Result<MetaPost> {
  if (!isObject(body) || !Array.isArray(body.entry)) {
    const detail = "entry: must be an array, in a JSON object";
    return { ok: false, failure: { code: "malformed_event", detail } };
  }
  const events: Record<Element["list"], Json[]> = { receipts: [], messages: [], signals: [] };
  let malformed = 0;
  for (const { list, parsed, original } of elementsOf(body.entry)) {
    if (events.receipts.length + events.messages.length + events.signals.length === MAX_EVENTS) {
      const detail = `More than ${MAX_EVENTS} events; split them.`;
      return { ok: false, failure: { code: "payload_too_large", detail } };
    }
    if (!parsed.ok) malformed++;
    events[list].push(parsed.ok ? parsed.event : malformedEvent(`${parsed.field}: ${parsed.reason}`, original()));
  }
  return { ok: true, value: { ...events, malformed } };
}

function* elementsOf(entries: readonly unknown[]): Generator<Element> {
  for (const entry of entries) {
    if (isObject(entry) && Array.isArray(entry.changes)) {
      for (const change of entry.changes) yield* elementsOfChange(change, entry);
    } else {
      yield unreadable("entry.changes", "must be an array", entry);
    }
  }
}

function* elementsOfChange(change: unknown, entry: Readonly<Record<string, unknown>>): Generator<Element> {
  if (!isObject(change) || !isObject(change.value)) {
    return yield unreadable("changes.value", "must be a JSON object", change);
  }
  const signal = parseMetaSignal(change, entry);
  if (signal !== undefined) return yield { list: "signals", parsed: signal, original: () => change };
  const { field, value } = change;
  const context: MetaContext = {
    sessionId: metadata.parse(value.metadata).phone_number_id,
    contacts: metaContacts(value.contacts),
  };
  /** What of the value is not read. */
  const rest = new Map(Object.entries(value));
  let isEmpty = true;
  for (const [name, { list, parse }] of field === HISTORY ? [] : READERS) {
    const elements = value[name];
    if (!Array.isArray(elements)) continue;
    rest.delete(name);
    for (const element of elements) {
      isEmpty = false;
      yield { list, parsed: parse(element, context), original: () => valueOf(name, element, context, value.contacts) };
    }
  }
  if (isEmpty || [...rest].some(([name, part]) => !DESCRIPTIVE.has(name) && !isNothing(part))) {
    const kind = typeof field === "string" ? field.slice(0, 64) : "change";
    const event = storable({
      event: isNothing(value.errors) ? `meta ${kind}` : `meta ${kind} errors`,
      entry: entry.id,
      time: entry.time,
      value: Object.fromEntries(rest),
    });
    yield { list: "receipts", parsed: { ok: true, event }, original: () => change };
  }
}

function isNothing(part: unknown): boolean {
  return part === undefined || part === null || (Array.isArray(part) && part.length === 0);
}

/** A value with this element alone, so that a later version can read it from the journal: it says whose it is. */
function valueOf(name: string, element: unknown, { sessionId }: MetaContext, contacts: unknown): unknown {
  const hasFew = Array.isArray(contacts) && contacts.length <= MAX_KEPT_CONTACTS;
  return { metadata: { phone_number_id: sessionId }, ...hasFew ? { contacts } : {}, [name]: [element] };
}

function unreadable(field: string, reason: string, original: unknown): Element {
  return { list: "receipts", parsed: { ok: false, field, reason }, original: () => original };
}
