import assert from "node:assert/strict";
import twilio from "twilio/webhooks";
import { signatureVectors } from "../../../supabase/functions/_shared/signature_vectors.ts";
import { signForm } from "./sign_form.ts";

Deno.test("a signature verifies with Twilio's own library, whatever is in the form", () => {
  const url = "https://example.com/functions/v1/sms-delivery-webhook?attempt=1&b=%2B";
  const form = { To: "+15005550006", Body: "¿Cuándo? 😀 a+b&c=d", From: "", "B[1]": "x", a: "lower after upper" };
  assert.ok(twilio.validateRequest("token", signForm(url, form, "token"), url, form));
  assert.ok(!twilio.validateRequest("other", signForm(url, form, "token"), url, form));
});

Deno.test("published signatures are made of the requests they were published with", () => {
  // a name that comes twice is nothing that Twilio sends
  const vectors = signatureVectors("twilio").filter(({ params }) =>
    new Set(params.map(([name]) => name)).size === params.length
  );
  for (const { url, params, secret, signature } of vectors) {
    assert.equal(signForm(url, Object.fromEntries(params), secret), signature);
  }
});
