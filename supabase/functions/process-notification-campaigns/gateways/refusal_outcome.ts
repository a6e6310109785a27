import type { GatewayAnswer } from "./ask_gateway.ts";
import type { SendOutcome } from "./gateway.ts";
import { retryAfterSeconds } from "./retry_after_seconds.ts";

/** The gateway's own code and words, as far as it gave any. */
export interface Reason {
  readonly code: string | null;
  readonly words: string | null;
}

/** "Not now": proves that nothing was sent. */
const NOT_NOW = new Set([425, 429, 503]);

/**
 * What a send came to by the status of its answer; undefined for a 2xx, where the body has the word.
 *
 * Every other 5xx, a 408 and a redirect prove nothing: the gateway may have sent the message before it broke.
 *
 * @param addressVariable The variable that holds the gateway's address.
 */
export function refusalOutcome(
  { status, retryAfter }: GatewayAnswer,
  reason: Reason,
  addressVariable: string,
): SendOutcome | undefined {
  if (status >= 200 && status < 300) return undefined;
  const errorCode = reason.code ?? `http_${status}`;
  const errorMessage = reason.words ?? `the gateway answered ${status}`;
  if (NOT_NOW.has(status)) {
    const seconds = retryAfterSeconds(retryAfter);
    return {
      outcome: "deferred",
      errorCode,
      errorMessage,
      ...(seconds === undefined ? {} : { retryAfterSeconds: seconds }),
    };
  }
  if (status >= 300 && status < 400) {
    const errorMessage = `the gateway redirects; ${addressVariable} must be its final address`;
    return { outcome: "unknown", errorCode: `http_${status}`, errorMessage };
  }
  return { outcome: status >= 500 || status === 408 ? "unknown" : "failed", errorCode, errorMessage };
}
