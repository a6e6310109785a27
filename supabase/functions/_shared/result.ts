import type { Failure } from "./failure.ts";

/** Either a value or the failure that stands in its place. */
export type Result<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly failure: Failure };
