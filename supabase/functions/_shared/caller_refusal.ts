import type { FailureCode } from "./failures.ts";

/**
 * What a failed call made with a user's own rights says to that user; undefined where it says nothing to them.
 *
 * @param status HTTP status of the answer: 401 for a token that the API does not take, and for nobody's rights
 * @param code SQLSTATE, or the API's own code
 */
export function callerRefusal(status: number, code: string): FailureCode | undefined {
  if (status === 401) return "unauthorized";
  // 404 alone may also be a function that is not deployed yet
  if (code === "PT404") return "not_found";
  if (code === "PT410") return "gone";
  if (code === "42501") return "forbidden";
  return undefined;
}
