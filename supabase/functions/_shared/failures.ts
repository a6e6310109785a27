/**
 * Every failure that a function can answer, each written once: its code, its status and its message.
 *
 * The message is for the caller: it says what was refused and what to do, and nothing of the inside.
 */
export const failures = {
  method_not_allowed: { status: 405, message: "This method is not allowed here; see the Allow header." },
  forbidden: { status: 403, message: "Forbidden." },
  unauthorized: { status: 401, message: "Unauthorized." },
  not_found: { status: 404, message: "There is no such thing, or it is not yours to see." },
  gone: { status: 410, message: "It was archived: its details are deleted, its counters remain." },
  malformed_query: { status: 400, message: "The query of the address is malformed." },
  unsupported_media_type: { status: 415, message: "Send the body as application/json, without a content encoding." },
  payload_too_large: { status: 413, message: "The body is too large; split it." },
  body_timeout: { status: 408, message: "The body did not arrive in time; send it again." },
  malformed_json: { status: 400, message: "The body is not valid JSON." },
  malformed_event: { status: 400, message: "The event is malformed." },
  misconfigured: { status: 500, message: "The server is not configured; its log says what is missing." },
  internal: { status: 500, message: "Internal error; the log has it under the request id of this answer." },
  database_unavailable: { status: 503, message: "The database is unavailable; send the request again later." },
} as const;

/** The name of a failure, as it stands in an answer. */
export type FailureCode = keyof typeof failures;
