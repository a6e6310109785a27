import { z } from "zod";
import { eventFields } from "../_shared/event_fields.ts";
import { parseEvent } from "../_shared/parse_event.ts";
import type { ParsedEvent } from "../_shared/parsed_event.ts";

const EVENTS = ["message_sent", "message_failed"] as const;
const known: ReadonlySet<string> = new Set(EVENTS);

const schema = z.object({
  event: z.enum(EVENTS),
  // an id that we never gave is no reason to refuse: the database goes on to the other two
  clientMessageId: eventFields.optionalId,
  groupJid: eventFields.optionalId,
  messageId: eventFields.optionalId,
  sessionId: eventFields.context,
  status: eventFields.context,
  error: eventFields.error,
  errorCode: eventFields.code,
  timestamp: eventFields.timestamp,
}).refine((event) => event.clientMessageId !== null || event.groupJid !== null || event.messageId !== null, {
  path: ["clientMessageId"],
  message: "one of clientMessageId, groupJid and messageId is needed to find the message",
});

/** Reads one callback of the VPS gateway: how a send that it had accepted came out. */
export function parseSendCallback(element: unknown): ParsedEvent {
  return parseEvent(element, known, schema);
}
