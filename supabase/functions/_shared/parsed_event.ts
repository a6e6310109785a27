import type { Json } from "./database.types.ts";

/** One element of a webhook's body, read: an event for the database, or the field that makes it unusable and why. */
export type ParsedEvent =
  | { readonly ok: true; readonly event: Json }
  | { readonly ok: false; readonly field: string; readonly reason: string };
