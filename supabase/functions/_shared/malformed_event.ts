import type { Json } from "./database.types.ts";
import { storable } from "./storable.ts";

/** The form in which the journal keeps what could not be read, and why. */
export function malformedEvent(reason: string, payload: unknown): Json {
  return { event: "malformed", reason, payload: storable(payload) };
}
