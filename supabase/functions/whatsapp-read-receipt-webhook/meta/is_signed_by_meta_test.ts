import fc from "fast-check";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { signatureVectors } from "../../_shared/signature_vectors.ts";
import { isSignedByMeta } from "./is_signed_by_meta.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

function sign(bytes: Uint8Array, secret: string, algorithm = "sha256"): string {
  return `${algorithm}=${createHmac(algorithm, secret).update(bytes).digest("hex")}`;
}

const secret = "1f2e3d4c";
// as Meta writes it: the slash and characters beyond ASCII escaped
const body = bytesOf('{"entry":[{"changes":[{"value":{"text":"caf\\u00e9 \\ud83d\\ude00 https:\\/\\/x.y"}}]}]}');
const signature = sign(body, secret);

Deno.test("Meta's signature is verified as OpenSSL makes it", () => {
  // printf '{}' | openssl dgst -sha256 -hmac key
  const hex = "a777724d943eb48dc69bca8a4a6d57a04db3f9ec7e1de4e581e860265bdf3032";
  assert.ok(isSignedByMeta(bytesOf("{}"), `sha256=${hex}`, ["key"]));
});

Deno.test("Meta's signature is verified over the bytes as they arrived, not over the same JSON written anew", () => {
  assert.ok(isSignedByMeta(body, signature, [secret]));
  const anew = bytesOf(JSON.stringify(JSON.parse(new TextDecoder().decode(body))));
  assert.ok(!isSignedByMeta(anew, signature, [secret]));
});

Deno.test("Meta's signature may have digits of either case, for the bytes decide", () => {
  const digits = signature.slice("sha256=".length);
  assert.ok(isSignedByMeta(body, `sha256=${digits.toUpperCase()}`, [secret]));
});

Deno.test("Meta's signature is refused when the body is empty and unsigned, or signed with nothing", () => {
  for (const header of ["", "sha256=", sign(body, "")]) {
    assert.ok(!isSignedByMeta(body, header, [secret]));
  }
  assert.ok(!isSignedByMeta(new Uint8Array(), "", [secret]));
  assert.ok(!isSignedByMeta(body, signature, []));
});

Deno.test("Meta's signature is refused when it is cut, longer, doubled, or of another algorithm", () => {
  const digits = signature.slice("sha256=".length);
  const forged = [
    digits,
    `sha1=${digits}`,
    sign(body, secret, "sha1"),
    sign(body, secret, "sha512"),
    `SHA256=${digits}`,
    `sha256= ${digits}`,
    `${signature},`,
    `${signature}, ${signature}`,
    `${signature}00`,
    signature.slice(0, -1),
    signature.slice(0, -2),
    `sha256=${"g".repeat(64)}`,
    `sha256=${"0".repeat(64)}`,
  ];
  for (const header of forged) {
    assert.ok(!isSignedByMeta(body, header, [secret]), header);
  }
});

Deno.test("Meta's signature is taken from the old and the new secret while they are rotated, and from no other", () => {
  for (const each of ["old", "new"]) {
    assert.ok(isSignedByMeta(body, sign(body, each), ["old", "new"]));
  }
  assert.ok(!isSignedByMeta(body, sign(body, "older"), ["old", "new"]));
  assert.ok(!isSignedByMeta(body, sign(body, "old,new"), ["old", "new"]));
});

Deno.test("Meta's signature is refused when one bit of the body, of the signature or of the secret is another", () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 });
  const text = fc.string({ minLength: 1 });
  fc.assert(fc.property(bytes, text, fc.nat(), fc.integer({ min: 0, max: 255 }), (given, key, place, digit) => {
    const header = sign(given, key);
    assert.ok(isSignedByMeta(given, header, [key]));
    const flipped = Uint8Array.from(given);
    flipped[place % given.length] = (given[place % given.length] ?? 0) ^ (1 << (place % 8));
    assert.ok(!isSignedByMeta(flipped, header, [key]));
    const at = "sha256=".length + place % 64;
    const other = header.slice(0, at) + (digit % 16).toString(16) + header.slice(at + 1);
    assert.equal(isSignedByMeta(given, other, [key]), other === header);
    assert.ok(!isSignedByMeta(given, header, [`${key}x`]));
  }));
});

Deno.test({
  name: "Meta's signature is verified as published vectors say",
  ignore: signatureVectors("meta").length === 0,
  fn() {
    for (const vector of signatureVectors("meta")) {
      assert.equal(isSignedByMeta(bytesOf(vector.body), vector.signature, [vector.secret]), vector.valid);
    }
  },
});
