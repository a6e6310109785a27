import { equal } from "node:assert/strict";
import { refuseUnverified } from "./function_auth.ts";

const keys = {
  publishable: "sb_publishable_x",
  secret: "sb_secret_x",
  jwtSecret: "a secret of at least thirty-two letters",
};
const inAnHour = Math.floor(Date.now() / 1000) + 3600;

async function status(headers: Record<string, string>, method = "POST"): Promise<number> {
  const refused = await refuseUnverified(new Request("http://localhost/f", { method, headers }), keys);
  return refused?.status ?? 200;
}

async function token(claims: object, secret = keys.jwtSecret, header: object = { alg: "HS256" }): Promise<string> {
  const encode = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const part = (value: object) => encode(new TextEncoder().encode(JSON.stringify(value)));
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, ["sign"]);
  const signed = `${part(header)}.${part(claims)}`;
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(signed));
  return `${signed}.${encode(new Uint8Array(signature))}`;
}

Deno.test("verified function refuses a request without credentials", async () => {
  equal(await status({}), 401);
});

Deno.test("verified function takes either key, in either header", async () => {
  equal(await status({ apikey: keys.publishable }), 200);
  equal(await status({ apikey: keys.secret }), 200);
  equal(await status({ authorization: `Bearer ${keys.publishable}` }), 200);
  equal(await status({ apikey: keys.secret, authorization: `Bearer ${keys.secret}` }), 200);
});

Deno.test("verified function refuses a wrong key", async () => {
  equal(await status({ apikey: "sb_secret_y" }), 401);
  equal(await status({ authorization: "Bearer sb_secret_y" }), 401);
});

Deno.test("verified function takes a token of this project", async () => {
  equal(await status({ authorization: `Bearer ${await token({ sub: "x", exp: inAnHour })}` }), 200);
});

Deno.test("verified function refuses a forged, expired, unsigned or garbled token, whatever the key beside it", async () => {
  const forged = await token({ sub: "x", exp: inAnHour }, "another secret of thirty-two letters!!");
  const expired = await token({ sub: "x", exp: inAnHour - 7200 });
  const unsigned = await token({ sub: "x", exp: inAnHour }, keys.jwtSecret, { alg: "none" });
  for (const bad of [forged, expired, unsigned, "a.b.c", "nonsense", "a.b"]) {
    equal(await status({ authorization: `Bearer ${bad}`, apikey: keys.publishable }), 401, bad);
  }
});

Deno.test("verified function answers a browser's preflight", async () => {
  equal(await status({}, "OPTIONS"), 200);
});
