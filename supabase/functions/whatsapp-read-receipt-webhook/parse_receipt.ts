import { z } from "zod";
import { eventFields } from "../_shared/event_fields.ts";
import { parseEvent } from "../_shared/parse_event.ts";
import type { ParsedEvent } from "../_shared/parsed_event.ts";

const EVENTS = ["message_delivered", "message_read", "message_played", "message_sent", "message_failed"] as const;
const known: ReadonlySet<string> = new Set(EVENTS);

/** What gateways call the messages that change another message: their receipts say nothing about a campaign. */
const CHANGES_OF_MESSAGES: ReadonlySet<unknown> = new Set([
  "reaction",
  "reactionMessage",
  "edit",
  "edited",
  "editedMessage",
  "protocolMessage",
]);

const schema = z.object({
  event: z.enum(EVENTS),
  messageId: eventFields.requiredId,
  reader: eventFields.optionalId,
  sessionId: eventFields.context,
  timestamp: eventFields.timestamp,
  error: eventFields.error,
  errorCode: eventFields.code,
  errorMessage: eventFields.message,
}).transform(({ error, errorCode, errorMessage, ...receipt }) => {
  if (receipt.event !== "message_failed") return receipt;
  const given = typeof error === "string" ? { code: null, message: error } : error;
  return {
    ...receipt,
    errorCode: errorCode ?? given?.code ?? null,
    errorMessage: errorMessage ?? given?.message ?? null,
  };
});

/**
 * Reads one receipt of the VPS gateway. No `reader` (missing, null or blank) is an anonymous receipt.
 *
 * Receipts of somebody else's message (`fromMe: false`), of a reaction or of an edit are set aside.
 */
export function parseReceipt(element: unknown): ParsedEvent {
  return parseEvent(element, known, schema, countsNothing);
}

function countsNothing(element: Readonly<Record<string, unknown>>): string | undefined {
  if (element.fromMe === false || fromMe(element.key) === false) return "fromMe: false";
  if (CHANGES_OF_MESSAGES.has(element.type) || CHANGES_OF_MESSAGES.has(element.messageType)) return "reaction or edit";
  return undefined;
}

function fromMe(key: unknown): unknown {
  return typeof key === "object" && key !== null && "fromMe" in key ? key.fromMe : undefined;
}
