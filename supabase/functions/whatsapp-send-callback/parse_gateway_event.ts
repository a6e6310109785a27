import { isObject } from "../_shared/is_object.ts";
import type { ParsedEvent } from "../_shared/parsed_event.ts";
import { parseSendCallback } from "./parse_send_callback.ts";
import { parseSessionSignal } from "./parse_session_signal.ts";

/** Reads one event of the VPS gateway: how a send came out, or what has become of a session. */
export function parseGatewayEvent(element: unknown): ParsedEvent {
  const isAboutSession = isObject(element) && typeof element.event === "string" && element.event.startsWith("session_");
  return isAboutSession ? parseSessionSignal(element) : parseSendCallback(element);
}
