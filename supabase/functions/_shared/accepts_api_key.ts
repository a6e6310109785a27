import { createHash, timingSafeEqual } from "node:crypto";

const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest();

/**
 * Whether the request carries one of the keys in its `X-API-Key` header.
 *
 * Digests are compared, all of them and in constant time, so that neither the length of a key, nor how much of it was
 * guessed, nor which key of a rotation matched can be told from the time it takes.
 */
export function acceptsApiKey(request: Request, keys: readonly string[]): boolean {
  const given = digest(request.headers.get("x-api-key") ?? "");
  let accepted = false;
  for (const key of keys) {
    if (timingSafeEqual(given, digest(key))) accepted = true;
  }
  return accepted;
}
