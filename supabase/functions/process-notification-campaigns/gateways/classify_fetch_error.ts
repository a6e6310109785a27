/** Why a request got no answer, and whether the other side can have received it. */
export interface FetchFailure {
  /** `no`: the connection was never made, so nothing was sent. `perhaps`: nothing proves either. */
  readonly received: "no" | "perhaps";
  readonly code: "connection_refused" | "unknown_host" | "connection_failed" | "timeout" | "connection_lost";
  readonly message: string;
}

/**
 * Sorts what `fetch`, or the reading of its answer, threw.
 *
 * Deno says it only in words, in the message or (since 2.9) in that of the cause: `client error (Connect): tcp connect
 * error: Connection refused`, `client error (Connect): dns error`, `client error (SendRequest)`, `Connection reset by
 * peer`. Whatever failed while connecting was never sent; everything else may have arrived.
 */
export function classifyFetchError(thrown: unknown): FetchFailure {
  const text = messages(thrown);
  if (/TimeoutError|AbortError/.test(text)) {
    return { received: "perhaps", code: "timeout", message: "the gateway did not answer in time" };
  }
  const connecting = /client error \(Connect\)|error trying to connect|ECONNREFUSED|ENOTFOUND|EAI_AGAIN/.test(text);
  if (!connecting) {
    return { received: "perhaps", code: "connection_lost", message: "the connection was lost before an answer came" };
  }
  if (/dns error|ENOTFOUND|EAI_AGAIN/.test(text)) {
    return { received: "no", code: "unknown_host", message: "the gateway's host name could not be resolved" };
  }
  if (/connection refused|ECONNREFUSED/i.test(text)) {
    return { received: "no", code: "connection_refused", message: "the gateway refused the connection" };
  }
  return { received: "no", code: "connection_failed", message: "no connection to the gateway could be made" };
}

/** Names, codes and messages of an error and of its causes. */
function messages(thrown: unknown): string {
  const parts: string[] = [];
  let error: unknown = thrown;
  for (let depth = 0; depth < 5 && error instanceof Error; depth++) {
    parts.push(error.name, error.message, "code" in error ? String(error.code) : "");
    error = error.cause;
  }
  return parts.join(" ");
}
