// For tests: what a function hands to the database must be something that `jsonb` takes.
import assert from "node:assert/strict";

/** Fails when a text or a name anywhere in a value holds what `jsonb` refuses: NUL, or half a surrogate pair. */
export function assertStorable(value: unknown): void {
  if (typeof value === "string") {
    assert.ok(value.isWellFormed() && !value.includes("\0"), `not storable: ${JSON.stringify(value)}`);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, entry] of Object.entries(value)) {
      assertStorable(name);
      assertStorable(entry);
    }
  }
}
