import { z } from "zod";
import { eventFields } from "../../_shared/event_fields.ts";
import { parseElement } from "../../_shared/parse_element.ts";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import { SMS_READER } from "../sms_reader.ts";
import type { TwilioForm } from "./twilio_form.ts";

const EVENTS: ReadonlyMap<string, string> = new Map([
  ["sent", "message_sent"],
  ["delivered", "message_delivered"],
  ["read", "message_read"],
  ["undelivered", "message_failed"],
  ["failed", "message_failed"],
  ["canceled", "message_failed"],
]);

const schema = z.object({
  MessageSid: eventFields.optionalId,
  SmsSid: eventFields.optionalId,
  From: eventFields.context,
  MessagingServiceSid: eventFields.context,
  ErrorCode: eventFields.code,
  ErrorMessage: eventFields.message,
});

/**
 * Reads the status of a message that we sent, in Twilio's words. A status that is none of those goes on whole for the
 * journal.
 *
 * @param attempt What we had put into the address that Twilio calls: the id of the attempt to send.
 */
export function parseTwilioStatus({ status, fields, payload }: TwilioForm, attempt: string | null): ParsedEvent {
  if (status === "") {
    return { ok: false, field: "MessageStatus", reason: "is missing" };
  }
  const clientMessageId = eventFields.context.parse(attempt);
  const event = EVENTS.get(status);
  if (event === undefined) {
    return { ok: true, event: { event: "twilio status", clientMessageId, payload } };
  }

  const parsed = parseElement(fields, schema, "MessageSid");
  if (!parsed.ok) return parsed;
  const { MessageSid, SmsSid, From, MessagingServiceSid, ErrorCode, ErrorMessage } = parsed.value;
  const messageId = MessageSid ?? SmsSid;
  if (messageId === null) {
    return { ok: false, field: "MessageSid", reason: "is missing" };
  }
  return {
    ok: true,
    event: {
      event,
      messageId,
      reader: SMS_READER,
      sessionId: From || MessagingServiceSid || null,
      timestamp: null,
      clientMessageId,
      ...event === "message_failed" ? { errorCode: ErrorCode || null, errorMessage: ErrorMessage || status } : {},
    },
  };
}
