import type { Random } from "../random.ts";

/** A message id as Meta makes them: the number and more, in base64, slashes and all. */
export function wamid(contact: string, ids: Random): string {
  return `wamid.${btoa(`\x1d\x0a${contact}\xff\xff${ids.hex(10)}`)}`;
}
