import type { Failure } from "./failure.ts";
import { failures } from "./failures.ts";

/** The answer for a failure: its status and `{error: {code, message}}`. */
export function failureResponse(failure: Failure): Response {
  const { status, message } = failures[failure.code];
  return Response.json(
    { error: { code: failure.code, message: failure.detail ?? message } },
    failure.headers === undefined ? { status } : { status, headers: failure.headers },
  );
}
