import type { FailureCode } from "./failures.ts";

/** An expected failure, as a value. */
export interface Failure {
  readonly code: FailureCode;
  /** Put in place of the catalogue's message where a field or a limit can be named. For the caller's eyes. */
  readonly detail?: string;
  /** Headers that belong to the answer, such as `allow` or `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>;
}
