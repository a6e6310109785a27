import { authorize } from "../_shared/authorize.ts";
import type { Deps } from "../_shared/deps.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import { receiveEvents } from "../_shared/receive_events.ts";
import { parseSendCallback } from "./parse_send_callback.ts";
import { recordSendCallbacks } from "./record_send_callbacks.ts";

/**
 * The gateway reports how accepted sends came out: `message_sent` or `message_failed`, one or an array.
 *
 * Answers `{ok: true, recorded, duplicates, unmatched, journaled}`.
 */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  const refusal = authorize(request, deps.environment, "WEBHOOK_SECRET_KEY");
  if (refusal !== undefined) return failureResponse(refusal);
  return await receiveEvents(request, deps, {
    source: "send_callback",
    parse: parseSendCallback,
    record: (events) => recordSendCallbacks(deps, events),
    none: { recorded: 0, duplicates: 0, unmatched: 0, journaled: 0 },
  });
}
