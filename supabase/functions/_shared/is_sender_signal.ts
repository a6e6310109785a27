import type { Json } from "./database.types.ts";
import { isObject } from "./is_object.ts";

/** That a sender may not send, that it may again, how much it may send in a day. */
const EVENTS: ReadonlySet<unknown> = new Set(["sender_restricted", "sender_restored", "sender_limited"]);

/** Whether an event for the database is about a sender, and not about a message. */
export function isSenderSignal(event: Json): boolean {
  return isObject(event) && EVENTS.has(event.event);
}
