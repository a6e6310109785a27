import { z } from "zod";
import type { Json } from "../../_shared/database.types.ts";
import { eventFields } from "../../_shared/event_fields.ts";
import { type ParsedElement, parseElement } from "../../_shared/parse_element.ts";
import type { TwilioForm } from "./twilio_form.ts";

const schema = z.object({
  MessageSid: eventFields.optionalId,
  SmsSid: eventFields.optionalId,
  From: eventFields.context,
  To: eventFields.context,
  ExternalUserId: eventFields.context,
  ProfileName: eventFields.context,
  MessageType: eventFields.context,
  NumMedia: eventFields.context,
  Body: z.string().default(""),
  ButtonText: z.string().default(""),
  OriginalRepliedMessageSid: eventFields.context,
  OptOutType: eventFields.context,
});

const WHATSAPP_PREFIX = "whatsapp:";

/** A number with its country's code, or a short code. */
const NUMBER = /^\+?\d{3,}$/;

/** What Twilio makes of a keyword of its own opt-out service, in the words of Meta's preferences. */
const PREFERENCES: ReadonlyMap<string | null, string> = new Map([["STOP", "stop"], ["START", "resume"]]);

/**
 * Reads a message that came in, over SMS or, from an address with `whatsapp:` before it, over WhatsApp.
 *
 * @returns the message; and after it the preference, where Twilio recognised a keyword of its opt-out service, which may be
 * a word that only Twilio's console knows
 */
export function parseTwilioMessage({ fields, payload }: TwilioForm): ParsedElement<Json[]> {
  const parsed = parseElement(fields, schema, "MessageSid");
  if (!parsed.ok) return parsed;
  const known = parsed.value;
  const messageId = known.MessageSid ?? known.SmsSid;
  if (messageId === null) {
    return { ok: false, field: "MessageSid", reason: "is missing" };
  }

  const from = withoutPrefix(known.From);
  const isNumber = NUMBER.test(from);
  const who = {
    channel: [known.From, known.To].some((address) => address?.startsWith(WHATSAPP_PREFIX)) ? "whatsapp" : "sms",
    sessionId: withoutPrefix(known.To) || null,
    contact: isNumber ? from : null,
    // whoever has no number is known by a name that Twilio gives them
    userId: known.ExternalUserId || (isNumber ? null : from || null),
  };
  const message = {
    event: "message_received",
    messageId,
    direction: "inbound",
    ...who,
    contactName: known.ProfileName || null,
    type: known.MessageType?.toLowerCase() || (Number(known.NumMedia) > 0 ? "media" : "text"),
    text: known.Body || known.ButtonText || null,
    timestamp: null,
    contextMessageId: known.OriginalRepliedMessageSid || null,
    payload,
  };
  const value = PREFERENCES.get(known.OptOutType);
  if (value === undefined) return { ok: true, value: [message] };
  // with its message's id: it counts once, when that message is stored
  const preference = {
    event: "preference_changed",
    messageId,
    ...who,
    value,
    category: null,
    timestamp: null,
    payload,
  };
  return { ok: true, value: [message, preference] };
}

function withoutPrefix(address: string | null): string {
  return (address ?? "").replace(WHATSAPP_PREFIX, "").trim();
}
