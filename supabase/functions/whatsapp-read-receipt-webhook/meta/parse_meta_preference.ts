import { z } from "zod";
import { eventFields } from "../../_shared/event_fields.ts";
import { parseElement } from "../../_shared/parse_element.ts";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import { storable } from "../../_shared/storable.ts";
import type { MetaContext } from "./meta_context.ts";

const schema = z.object({
  wa_id: eventFields.context,
  user_id: eventFields.context,
  value: eventFields.requiredId,
  category: eventFields.context,
  timestamp: eventFields.timestamp,
});

/** Reads that a person set in the app which messages of ours they want: `stop`, `resume` or whatever Meta adds. */
export function parseMetaPreference(preference: unknown, { sessionId, contacts }: MetaContext): ParsedEvent {
  const parsed = parseElement(preference, schema, "user_preferences");
  if (!parsed.ok) return parsed;
  const { wa_id, user_id, value, category, timestamp } = parsed.value;
  const { contact, userId } = contacts(wa_id || null, user_id || null);
  if (contact === null && userId === null) {
    return { ok: false, field: "wa_id", reason: "is missing, and so is user_id" };
  }
  return {
    ok: true,
    event: {
      event: "preference_changed",
      channel: "whatsapp",
      sessionId,
      contact,
      userId,
      value,
      category,
      timestamp,
      payload: storable(preference),
    },
  };
}
