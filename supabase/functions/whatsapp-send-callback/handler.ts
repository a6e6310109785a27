import { authorize } from "../_shared/authorize.ts";
import type { Deps } from "../_shared/deps.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import { receiveEvents } from "../_shared/receive_events.ts";
import { parseGatewayEvent } from "./parse_gateway_event.ts";
import { recordGatewayEvents } from "./record_gateway_events.ts";

/**
 * The gateway reports how accepted sends came out, `message_sent` or `message_failed`; and what has become of a session:
 * `session_restricted`, `session_restored`, `session_limited`. One event or an array.
 *
 * Answers `{ok: true, recorded, duplicates, unmatched, journaled}`, for a post about sessions `applied, ignored` too.
 */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  const refusal = authorize(request, deps.environment, "WEBHOOK_SECRET_KEY");
  if (refusal !== undefined) return failureResponse(refusal);
  return await receiveEvents(request, deps, {
    source: "send_callback",
    parse: parseGatewayEvent,
    record: (events) => recordGatewayEvents(deps, events),
    none: { recorded: 0, duplicates: 0, unmatched: 0, journaled: 0 },
  });
}
