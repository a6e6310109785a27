import { z } from "zod";
import type { Json } from "../../_shared/database.types.ts";
import { eventFields } from "../../_shared/event_fields.ts";
import { isObject } from "../../_shared/is_object.ts";

const metadata = z.object({
  phone_number_id: eventFields.requiredId,
  display_phone_number: eventFields.context,
});

/**
 * Which numbers of ours a post of Meta's is about, each once, with its account and the number itself: what Meta calls them
 * by when it restricts them, and what nobody then has to fill in by hand.
 *
 * @returns `{event: "sender_seen", sessionId, accountId, displayPhoneNumber}`; nothing of what cannot be read
 */
export function seenSenders(body: unknown): Json[] {
  const senders = new Map<string, Json>();
  const entries = isObject(body) && Array.isArray(body.entry) ? body.entry : [];
  for (const entry of entries) {
    if (!isObject(entry) || !Array.isArray(entry.changes)) continue;
    const account = eventFields.requiredId.safeParse(entry.id).data ?? null;
    for (const change of entry.changes) {
      const value = isObject(change) && change.field === "messages" ? change.value : undefined;
      const sender = metadata.safeParse(isObject(value) ? value.metadata : undefined).data;
      if (sender === undefined) continue;
      senders.set(sender.phone_number_id, {
        event: "sender_seen",
        sessionId: sender.phone_number_id,
        accountId: account,
        displayPhoneNumber: sender.display_phone_number,
      });
    }
  }
  return [...senders.values()];
}
