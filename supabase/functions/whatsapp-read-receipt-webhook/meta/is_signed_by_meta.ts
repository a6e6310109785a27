import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";

/** The header that makes a post one of Meta's. */
export const META_SIGNATURE_HEADER = "x-hub-signature-256";

const SIGNATURE = /^sha256=([0-9a-fA-F]{64})$/;

/**
 * Whether the header's value is the HMAC-SHA256 of these very bytes under one of the app secrets.
 *
 * Meta escapes characters of its JSON before it signs it, so nothing but the bytes as they arrived will do.
 */
export function isSignedByMeta(bytes: Uint8Array, header: string, secrets: readonly string[]): boolean {
  const digits = SIGNATURE.exec(header)?.[1];
  if (digits === undefined) return false;
  const given = Buffer.from(digits, "hex");
  let matches = false;
  for (const secret of secrets) {
    if (timingSafeEqual(given, createHmac("sha256", secret).update(bytes).digest())) matches = true;
  }
  return matches;
}
