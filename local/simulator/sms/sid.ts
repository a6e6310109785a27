import type { Random } from "../random.ts";

/** A message id as Twilio makes them: 32 hexadecimal digits, the last of which are the number's. */
export function sid(prefix: "SM" | "MM", contact: string, ids: Random): string {
  return prefix + ids.hex(17).toLowerCase() + contact.padStart(15, "0");
}
