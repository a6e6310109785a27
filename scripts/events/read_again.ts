import type { Json } from "../../supabase/functions/_shared/database.types.ts";
import type { EventSource } from "../../supabase/functions/_shared/event_source.ts";
import { isObject } from "../../supabase/functions/_shared/is_object.ts";
import { isSenderSignal } from "../../supabase/functions/_shared/is_sender_signal.ts";
import type { ParsedEvent } from "../../supabase/functions/_shared/parsed_event.ts";
import { parseSmsReport } from "../../supabase/functions/sms-delivery-webhook/parse_sms_report.ts";
import { parseTwilioMessage } from "../../supabase/functions/sms-delivery-webhook/twilio/parse_twilio_message.ts";
import { parseTwilioStatus } from "../../supabase/functions/sms-delivery-webhook/twilio/parse_twilio_status.ts";
import { type TwilioForm, twilioForm } from "../../supabase/functions/sms-delivery-webhook/twilio/twilio_form.ts";
import { metaContacts } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/meta_contacts.ts";
import type { MetaContext } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/meta_context.ts";
import { parseMetaMessage } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/parse_meta_message.ts";
import { parseMetaPreference } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/parse_meta_preference.ts";
import { parseMetaStatus } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/parse_meta_status.ts";
import { readMetaPost } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/read_meta_post.ts";
import { parseReceipt } from "../../supabase/functions/whatsapp-read-receipt-webhook/parse_receipt.ts";
import { parseGatewayEvent } from "../../supabase/functions/whatsapp-send-callback/parse_gateway_event.ts";

/** Events for the database, of one source. */
export interface Reading {
  readonly source: EventSource;
  readonly events: readonly Json[];
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a journaled event once more, with the parsers of this version of the functions.
 *
 * The journal keeps what could not be read as it came, in `{event: "malformed", payload}`, and what was of an unknown kind
 * whole: an event of a gateway, a form of Twilio's, a part of a post of Meta's.
 *
 * @returns what to record; nothing where it still cannot be read. Whether the database knows its kind is not said.
 */
export function readAgain(source: string, payload: unknown): readonly Reading[] {
  const original = isObject(payload) && payload.event === "malformed" ? payload.payload : payload;
  switch (source) {
    case "send_callback":
      return readGatewayEvent(original);
    case "receipt":
      return readReceipt(original);
    case "sms_delivery":
      return reading(source, readSmsReport(original));
    case "inbound":
      return readInbound(original);
    case "signal":
      return readSignal(original);
    default:
      return [];
  }
}

function readGatewayEvent(original: unknown): readonly Reading[] {
  const parsed = parseGatewayEvent(original);
  return reading(parsed.ok && isSenderSignal(parsed.event) ? "signal" : "send_callback", parsed);
}

function readSignal(original: unknown): readonly Reading[] {
  const post = metaPost(original);
  return post === undefined ? readGatewayEvent(original) : readPost(post);
}

function readReceipt(original: unknown): readonly Reading[] {
  const post = metaPost(original);
  if (post !== undefined) return readPost(post);
  if (isObject(original) && original.event === "meta status") {
    return reading("receipt", parseMetaStatus(original.value, { ...NOBODY, sessionId: textOf(original.sessionId) }));
  }
  // a gateway names its event, Meta its status
  return reading(
    "receipt",
    isObject(original) && original.event === undefined ? parseMetaStatus(original, NOBODY) : parseReceipt(original),
  );
}

function readSmsReport(original: unknown): ParsedEvent {
  const isKept = isObject(original) && original.event === "twilio status";
  const form = twilioFormOf(isKept ? original.payload : original);
  return form === undefined
    ? parseSmsReport(original)
    : parseTwilioStatus(form, isKept ? textOf(original.clientMessageId) : null);
}

function readInbound(original: unknown): readonly Reading[] {
  const post = metaPost(original);
  if (post !== undefined) return readPost(post);
  const isRead = isObject(original) &&
    (original.event === "message_received" || original.event === "preference_changed");
  const form = twilioFormOf(isRead ? original.payload : original);
  if (form !== undefined) {
    const messages = parseTwilioMessage(form);
    return messages.ok ? [{ source: "inbound", events: messages.value }] : [];
  }
  // a message of Meta's by itself does not say which of our numbers it was sent to: nobody would ever see it
  if (!isRead) return [];
  const context = contextOf(original);
  return reading(
    "inbound",
    original.event === "preference_changed"
      ? parseMetaPreference(original.payload, context)
      : parseMetaMessage(original.payload, original.direction === "outbound" ? "outbound" : "inbound", context),
  );
}

/** The post that a part of one was taken from, holding this part alone; undefined for what is no such part. */
function metaPost(part: unknown): Fields | undefined {
  if (!isObject(part)) return undefined;
  if (Array.isArray(part.entry)) return part;
  if (Array.isArray(part.changes)) return { entry: [part] };
  if (typeof part.event === "string" && part.event.startsWith("meta ") && "entry" in part) {
    const field = part.event.slice("meta ".length).replace(/ errors$/, "");
    return { entry: [{ id: part.entry, time: part.time, changes: [{ field, value: part.value }] }] };
  }
  if (typeof part.field === "string" && isObject(part.value)) return { entry: [{ changes: [part] }] };
  if (isObject(part.metadata)) return { entry: [{ changes: [{ field: "messages", value: part }] }] };
  return undefined;
}

function readPost(post: Fields): readonly Reading[] {
  const read = readMetaPost(post);
  if (!read.ok) return [];
  const readings: readonly Reading[] = [
    { source: "receipt", events: read.value.receipts },
    { source: "inbound", events: read.value.messages },
    { source: "signal", events: read.value.signals },
  ];
  return readings.filter(({ events }) => events.length > 0);
}

/** A form of Twilio's as the journal keeps it, if it is one. */
function twilioFormOf(payload: unknown): TwilioForm | undefined {
  if (!isObject(payload) || !TWILIO_IDS.some((name) => name in payload)) return undefined;
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(payload)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (typeof each === "string") params.append(name, each);
    }
  }
  return twilioForm(params);
}

const TWILIO_IDS = ["MessageSid", "SmsSid", "SmsMessageSid", "AccountSid", "MessageStatus", "SmsStatus"] as const;

const NOBODY: MetaContext = { sessionId: null, contacts: metaContacts([]) };

/** Who wrote to whom, as it was read the last time. */
function contextOf(event: Fields): MetaContext {
  return {
    sessionId: textOf(event.sessionId),
    contacts: (contact, userId) => ({
      contact: contact ?? textOf(event.contact),
      userId: userId ?? textOf(event.userId),
      name: textOf(event.contactName),
    }),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function reading(source: EventSource, parsed: ParsedEvent): readonly Reading[] {
  return parsed.ok ? [{ source, events: [parsed.event] }] : [];
}
