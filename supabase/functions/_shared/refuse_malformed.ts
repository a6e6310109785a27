import type { Deps } from "./deps.ts";
import type { EventSource } from "./event_source.ts";
import type { Failure } from "./failure.ts";
import { malformedEvent } from "./malformed_event.ts";
import type { Result } from "./result.ts";

/**
 * The failure that answers an authentic body of which nothing can be made, after the journal has got it.
 *
 * Best effort: whether it was kept changes nothing for the caller, and the log says when it was not.
 */
export async function refuseMalformed(
  deps: Deps,
  source: EventSource,
  failure: Failure,
  payload: unknown,
): Promise<Result<never>> {
  const kept = await deps.rpc("journal_webhook_event", {
    p_source: source,
    p_reason: "malformed",
    p_payload: malformedEvent(failure.detail ?? "malformed JSON", payload),
  });
  deps.log.warn("malformed_body", { journaled: kept.ok });
  return { ok: false, failure };
}
