import { createHash, timingSafeEqual } from "node:crypto";

const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest();

/**
 * Whether a text is one of the secrets.
 *
 * Digests are compared, all of them and in constant time, so that neither the length of a secret, nor how much of it was
 * guessed, nor which one of a rotation matched can be told from the time it takes.
 */
export function matchesSecret(text: string, secrets: readonly string[]): boolean {
  const given = digest(text);
  let matches = false;
  for (const secret of secrets) {
    if (timingSafeEqual(given, digest(secret))) matches = true;
  }
  return matches;
}
