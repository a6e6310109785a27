import type { Json } from "./database.types.ts";
import { storableText } from "./storable_text.ts";

/** Deeper levels are replaced by a mark: Postgres refuses json that is nested some thousand levels deep. */
const MAX_DEPTH = 32;

/**
 * A parsed JSON value that `jsonb` takes for certain: characters it refuses (NUL, lone surrogates) become U+FFFD, and
 * nesting is cut. Without it one odd element would sink the whole batch it arrived in.
 */
export function storable(value: unknown, depth: number = MAX_DEPTH): Json {
  if (typeof value === "string") return storableText(value);
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value !== "object" || value === null) return null;
  if (depth === 0) return "…";
  if (Array.isArray(value)) return value.map((entry) => storable(entry, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [storableText(name), storable(entry, depth - 1)]),
  );
}
