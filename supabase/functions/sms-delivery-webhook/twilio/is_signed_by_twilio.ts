import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";

/** The header in which Twilio signs its posts. */
export const TWILIO_SIGNATURE_HEADER = "x-twilio-signature";

/** 20 bytes in base64. */
const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/;

/**
 * Whether the header's value is the base64 of the HMAC-SHA1, under one of the auth tokens, of the address that Twilio
 * called followed by all parameters: sorted by name, of a repeated one each value once and sorted, name before value.
 *
 * @param address The address as it is known outside, its query as it arrived. Twilio is not of one mind whether the
 * port belongs to it: both are tried.
 */
export function isSignedByTwilio(
  address: string,
  params: URLSearchParams,
  header: string,
  tokens: readonly string[],
): boolean {
  if (!SIGNATURE.test(header)) return false;
  const given = Buffer.from(header);
  const fields = signedFields(params);
  let matches = false;
  for (const token of tokens) {
    for (const called of [withPort(address), withoutPort(address)]) {
      const expected = createHmac("sha1", token).update(called + fields).digest("base64");
      if (timingSafeEqual(given, Buffer.from(expected))) matches = true;
    }
  }
  return matches;
}

function signedFields(params: URLSearchParams): string {
  const values = new Map<string, Set<string>>();
  for (const [name, value] of params) {
    const known = values.get(name);
    if (known === undefined) values.set(name, new Set([value]));
    else known.add(value);
  }
  return [...values.keys()].sort().map((name) =>
    [...values.get(name) ?? []].sort().map((value) => name + value).join("")
  ).join("");
}

/** Scheme and host of an address, its port, and the rest, which is left as it is. */
const PARTS = /^(https?:\/\/(?:\[[^\]]*\]|[^/:?#]*))(:\d+)?(.*)$/s;

function withPort(address: string): string {
  return address.replace(
    PARTS,
    (_, host: string, port: string | undefined, rest: string) =>
      `${host}${port ?? (host.startsWith("https:") ? ":443" : ":80")}${rest}`,
  );
}

function withoutPort(address: string): string {
  return address.replace(PARTS, "$1$3");
}
