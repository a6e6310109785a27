import { z } from "zod";
import { eventFields } from "../../_shared/event_fields.ts";
import { isObject } from "../../_shared/is_object.ts";
import { parseElement } from "../../_shared/parse_element.ts";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import { storable } from "../../_shared/storable.ts";
import type { MetaContext } from "./meta_context.ts";

const EVENTS: ReadonlyMap<unknown, string> = new Map([
  ["sent", "message_sent"],
  ["delivered", "message_delivered"],
  ["read", "message_read"],
  ["played", "message_played"],
  ["failed", "message_failed"],
]);

/** What is billed is the delivery: a category on other statuses names what it would cost. */
const BILLED: ReadonlySet<unknown> = new Set(["delivered", "read", "played"]);

/** The reader of a message to a single contact, whoever that is. */
const RECIPIENT = "recipient";

const error = z.object({
  code: eventFields.code,
  title: eventFields.message,
  message: eventFields.message,
  error_data: z.object({ details: eventFields.message }).catch({ details: null }),
});

const pricing = z.object({
  billable: z.unknown(),
  type: eventFields.context,
  category: eventFields.context,
  cost: eventFields.cost,
  amount: eventFields.cost,
  price: eventFields.cost,
  currency: eventFields.currency,
});

const schema = z.object({
  id: eventFields.requiredId,
  status: z.string(),
  timestamp: eventFields.timestamp,
  recipient_type: eventFields.context,
  recipient_participant_id: eventFields.context,
  participant_recipient_id: eventFields.context,
  recipient_participant_user_id: eventFields.context,
  biz_opaque_callback_data: eventFields.context,
  errors: z.tuple([error], z.unknown()).nullable().catch(null).default(null),
  pricing: pricing.nullable().catch(null).default(null),
});

type Status = z.output<typeof schema>;

/**
 * Reads what Meta reports about one message that we sent.
 *
 * A status that is none of those a message goes through, or that is about something else (`type: "call"`, a payment), goes
 * on whole for the journal. No number of a person is needed: since 2026 it may be absent.
 */
export function parseMetaStatus(status: unknown, { sessionId }: MetaContext): ParsedEvent {
  if (!isObject(status)) {
    return { ok: false, field: "statuses", reason: "each status must be a JSON object" };
  }
  const event = EVENTS.get(status.status);
  if (event === undefined || (status.type ?? "message") !== "message") {
    return typeof status.status === "string"
      ? { ok: true, event: storable({ event: "meta status", sessionId, value: status }) }
      : { ok: false, field: "status", reason: "must be a text" };
  }
  const parsed = parseElement(status, schema, "statuses");
  if (!parsed.ok) return parsed;
  const known = parsed.value;
  return {
    ok: true,
    event: {
      event,
      messageId: known.id,
      reader: readerOf(known),
      sessionId,
      timestamp: known.timestamp,
      clientMessageId: known.biz_opaque_callback_data,
      ...event === "message_failed" ? reasonOf(known) : {},
      ...costOf(known),
    },
  };
}

/** Of a group each participant is a reader, and null is the group as a whole. */
function readerOf(status: Status): string | null {
  const participant = status.recipient_participant_id || status.participant_recipient_id ||
    status.recipient_participant_user_id || null;
  return participant === null && status.recipient_type !== "group" ? RECIPIENT : participant;
}

function reasonOf({ errors }: Status): { errorCode: string | null; errorMessage: string | null } {
  if (errors === null) return { errorCode: null, errorMessage: null };
  const [{ code, title, message, error_data: { details } }] = errors;
  // often the same words two or three times
  const texts = new Set([title, message, details].filter((text) => text !== null && text !== ""));
  return { errorCode: code, errorMessage: texts.size === 0 ? null : [...texts].join(": ") };
}

/** What the message cost, or what the database finds its cost by: Meta's own pricing names a category and no amount. */
function costOf({ status, pricing }: Status): Readonly<Record<string, string | number | null>> {
  if (pricing === null) return {};
  const { billable, type, category, currency } = pricing;
  const amount = pricing.cost ?? pricing.amount ?? pricing.price;
  if (amount !== null) return { cost: amount, currency };
  if (billable === false || type?.startsWith("free")) return { cost: 0 };
  return BILLED.has(status) && category ? { pricingCategory: category } : {};
}
