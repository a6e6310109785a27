import type { Counts } from "./counts.ts";
import { failureResponse } from "./failure_response.ts";
import type { Result } from "./result.ts";

/** The answer of a webhook: `{ok: true, ...counts}`, or the failure. */
export function countsResponse(result: Result<Counts>): Response {
  return result.ok ? Response.json({ ok: true, ...result.value }) : failureResponse(result.failure);
}
