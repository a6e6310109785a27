import assert from "node:assert/strict";
import { signatureVectors } from "../../../supabase/functions/_shared/signature_vectors.ts";
import { signBody } from "./sign_body.ts";

Deno.test("a signature is the HMAC-SHA256 of the body, which openssl makes as well", () => {
  // printf '{"a":"\\u00e4"}' | openssl dgst -sha256 -hmac secret
  assert.equal(
    signBody('{"a":"\\u00e4"}', "secret"),
    "sha256=b78ab4033415318a0fa14a82d6f5ca348bb74e377eed416f314566864d116718",
  );
});

Deno.test("published signatures are made of the bodies they were published with, and of no other", () => {
  for (const { body, secret, signature, valid } of signatureVectors("meta")) {
    assert.equal(signBody(body, secret) === signature, valid);
  }
});
