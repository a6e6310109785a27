import { z } from "zod";
import { eventFields } from "../_shared/event_fields.ts";
import { parseEvent } from "../_shared/parse_event.ts";
import type { ParsedEvent } from "../_shared/parsed_event.ts";

/**
 * What each event of a session means, and why. That a session is disconnected is not among them: gateways reconnect by
 * themselves, and refuse what they cannot send.
 */
const MEANINGS = {
  session_restricted: { event: "sender_restricted", cause: "restriction" },
  session_restored: { event: "sender_restored", cause: "restriction" },
  session_limited: { event: "sender_limited", cause: "limit" },
} as const;

const EVENTS = ["session_restricted", "session_restored", "session_limited"] as const;
const known: ReadonlySet<string> = new Set(EVENTS);

const schema = z.object({
  event: z.enum(EVENTS),
  sessionId: eventFields.requiredId,
  reason: eventFields.message,
  error: eventFields.error,
  timestamp: eventFields.timestamp,
  /** Of `session_limited`: messages a day; null is unlimited. */
  dailyLimit: z.number().int().min(1).max(999_999_999).nullish(),
}).refine(({ event, dailyLimit }) => event !== "session_limited" || dailyLimit !== undefined, {
  path: ["dailyLimit"],
  message: "is missing: how many messages a day, or null for no limit",
}).transform(({ event, sessionId, reason, error, timestamp, dailyLimit }) => {
  const words = reason ?? (typeof error === "string" ? error : error?.message ?? error?.code ?? null);
  return {
    ...MEANINGS[event],
    sessionId,
    reason: words === null ? `the gateway reported ${event}` : `the gateway reported ${event}: ${words}`,
    timestamp,
    ...(event === "session_limited" ? { dailyLimit: dailyLimit ?? null } : {}),
  };
});

/** Reads what the VPS gateway says of one of its sessions: whether it may send, and how much. */
export function parseSessionSignal(element: unknown): ParsedEvent {
  return parseEvent(element, known, schema);
}
