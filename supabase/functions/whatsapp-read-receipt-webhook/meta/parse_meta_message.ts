import { z } from "zod";
import { eventFields } from "../../_shared/event_fields.ts";
import { parseElement } from "../../_shared/parse_element.ts";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import { storable } from "../../_shared/storable.ts";
import type { MetaContext } from "./meta_context.ts";
import { typedText } from "./typed_text.ts";

const schema = z.object({
  id: eventFields.requiredId,
  type: eventFields.context,
  timestamp: eventFields.timestamp,
  from: eventFields.context,
  from_user_id: eventFields.context,
  to: eventFields.context,
  to_user_id: eventFields.context,
  context: z.object({ id: eventFields.context }).catch({ id: null }),
});

/**
 * Reads one message of any type, reactions, edits and revocations included: each is stored and moves no counter.
 *
 * @param direction `inbound` from a person; `outbound` is the echo of one that we wrote in the app.
 */
export function parseMetaMessage(
  message: unknown,
  direction: "inbound" | "outbound",
  { sessionId, contacts }: MetaContext,
): ParsedEvent {
  const parsed = parseElement(message, schema, "messages");
  if (!parsed.ok) return parsed;
  const known = parsed.value;
  const { contact, userId, name } = direction === "inbound"
    ? contacts(known.from || null, known.from_user_id || null)
    : contacts(known.to || null, known.to_user_id || null);
  return {
    ok: true,
    event: {
      event: "message_received",
      messageId: known.id,
      direction,
      channel: "whatsapp",
      sessionId,
      contact,
      userId,
      contactName: name,
      type: known.type || "unknown",
      text: typedText(message),
      timestamp: known.timestamp,
      contextMessageId: known.context.id || null,
      payload: storable(message),
    },
  };
}
