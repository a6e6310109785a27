/**
 * JSON as Meta writes it: what is not ASCII is escaped, in lowercase hexadecimal, and so is each slash. The bytes that
 * are signed are therefore not those that `JSON.stringify` makes of the same value.
 */
export function escapeJson(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("/", "\\/")
    .replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
