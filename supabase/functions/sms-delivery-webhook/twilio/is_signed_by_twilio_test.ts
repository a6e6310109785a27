import fc from "fast-check";
import assert from "node:assert/strict";
import twilio from "twilio/webhooks";
import { signatureVectors } from "../../_shared/signature_vectors.ts";
import { isSignedByTwilio } from "./is_signed_by_twilio.ts";
import { signTwilioForm as sign } from "./signed_form.ts";

const token = "12345";
const address = "https://example.supabase.co/functions/v1/sms-delivery-webhook?attempt=0b2f7c1e";
const params = new URLSearchParams({ MessageSid: "SM1", MessageStatus: "delivered", To: "+15551230000" });
const signature = sign(token, address, params);

Deno.test("Twilio's signature is verified as its own package makes it, whatever the parameters", () => {
  const name = fc.oneof(fc.string(), fc.constantFrom("A", "a", "B", "Ab", "é", "\u{1f600}", "__proto__", "Digits"));
  const value = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "+1 2", "é", "\u{1f600}", "a&b=c%"));
  const form = fc.array(fc.tuple(name, value), { maxLength: 12 }).map((pairs) => new URLSearchParams(pairs));
  const url = fc.record({
    scheme: fc.constantFrom("http", "https"),
    host: fc.constantFrom("example.com", "127.0.0.1", "[::1]"),
    port: fc.constantFrom("", ":8443", ":54321"),
    query: fc.oneof(fc.constant(""), fc.webQueryParameters().map((query) => `?${query}`)),
  });
  fc.assert(
    fc.property(form, url, fc.string({ minLength: 1 }), (given, { scheme, host, port, query }, key) => {
      const called = `${scheme}://${host}${port}/functions/v1/sms-delivery-webhook${query}`;
      const header = sign(key, called, given);
      assert.ok(isSignedByTwilio(called, given, header, [key]), called);
      const received = new URLSearchParams(given.toString());
      assert.ok(isSignedByTwilio(called, received, header, [key]), "not so after the wire");
      assert.ok(!isSignedByTwilio(`${called}x`, given, header, [key]), "another address");
      assert.ok(!isSignedByTwilio(called, new URLSearchParams([...given, ["More", "x"]]), header, [key]), "more");
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("Twilio's signature is verified with and without the port, as its own validator does", () => {
  const ways: [string, string][] = [
    ["https://example.com/f?a=1", "https://example.com:443/f?a=1"],
    ["http://example.com/f", "http://example.com:80/f"],
    ["https://example.com:8443/f", "https://example.com/f"],
    ["http://[::1]:54321/f", "http://[::1]/f"],
    ["https://example.com/f?to=http://other:1/x", "https://example.com:443/f?to=http://other:1/x"],
  ];
  for (const [configured, called] of ways) {
    const header = sign(token, called, params);
    assert.ok(twilio.validateRequest(token, header, configured, Object.fromEntries(params)), called);
    assert.ok(isSignedByTwilio(configured, params, header, [token]), called);
  }
});

Deno.test("Twilio's signature is refused when it is missing, cut, longer, doubled, in hex, or nearly right", () => {
  const forged = [
    "",
    signature.slice(0, -1),
    `${signature}=`,
    `${signature}, ${signature}`,
    ` ${signature}`,
    signature.toLowerCase(),
    signature.toUpperCase(),
    "0".repeat(40),
    `${"A".repeat(27)}=`,
    // other bits behind the last of the twenty bytes
    signature.slice(0, 26) + String.fromCharCode(signature.charCodeAt(26) + 1) + "=",
  ];
  for (const header of forged) {
    assert.ok(!isSignedByTwilio(address, params, header, [token]), header);
  }
  assert.ok(isSignedByTwilio(address, params, signature, [token]));
});

Deno.test("Twilio's signature is refused for another address, query, or parameter", () => {
  const elsewhere = [
    address.replace("https", "http"),
    address.replace("example", "evil"),
    address.replace("0b2f7c1e", "0b2f7c1f"),
    `${address}&more=1`,
    address.slice(0, address.indexOf("?")),
  ];
  for (const other of elsewhere) {
    assert.ok(!isSignedByTwilio(other, params, signature, [token]), other);
  }
  const changed = new URLSearchParams(params);
  changed.set("MessageStatus", "failed");
  assert.ok(!isSignedByTwilio(address, changed, signature, [token]));
});

Deno.test("Twilio's signature is taken from the old and the new token while they are rotated, and from no other", () => {
  for (const each of ["old", "new"]) {
    assert.ok(isSignedByTwilio(address, params, sign(each, address, params), ["old", "new"]));
  }
  for (const each of ["", "older", "old,new"]) {
    assert.ok(!isSignedByTwilio(address, params, sign(each, address, params), ["old", "new"]));
  }
  assert.ok(!isSignedByTwilio(address, params, signature, []));
});

Deno.test("Twilio's signature takes no longer than it should for as many parameters as a form can hold", () => {
  const many = new URLSearchParams(Array.from({ length: 60_000 }, (_, place) => [place.toString(36), ""]));
  const before = performance.now();
  assert.ok(!isSignedByTwilio(address, many, signature, [token]));
  // about 50 ms; it would take minutes if it grew with the square
  assert.ok(performance.now() - before < 2_000);
});

Deno.test({
  name: "Twilio's signature is verified as published vectors say",
  ignore: signatureVectors("twilio").length === 0,
  fn() {
    for (const vector of signatureVectors("twilio")) {
      const form = new URLSearchParams(vector.params);
      assert.equal(isSignedByTwilio(vector.url, form, vector.signature, [vector.secret]), vector.valid);
    }
  },
});
