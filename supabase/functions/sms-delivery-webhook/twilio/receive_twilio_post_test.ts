import fc from "fast-check";
import assert from "node:assert/strict";
import { assertStorable } from "../../_shared/assert_storable.ts";
import { type FakeDeps, fakeDeps, type FakeRpc } from "../../_shared/fake_deps.ts";
import { truncationsOf } from "../../_shared/mutations.ts";
import { payloadCorpus } from "../../_shared/payload_corpus.ts";
import { handle } from "../handler.ts";
import { type FormOptions, PUBLIC_URL, signedForm, signTwilioForm } from "./signed_form.ts";

const none = { recorded: 0, duplicates: 0, parked: 0, journaled: 0 };
const stored = { stored: 1, duplicates: 0, journaled: 0, opted_out: 1, opted_in: 0 };
const answerCounts: FakeRpc = (name) => ({ ok: true, value: name === "record_inbound_messages" ? stored : none });
const refuse = { ok: false, failure: { code: "internal" } } as const;

const configured = { TWILIO_AUTH_TOKEN: "auth-token", PUBLIC_FUNCTIONS_URL: PUBLIC_URL, WEBHOOK_SECRET_KEY: "right" };
const delivered = { MessageSid: "SM1", MessageStatus: "delivered", From: "+15550001", To: "+15551230000" };
const inbound = { MessageSid: "SM2", SmsStatus: "received", From: "+15551230000", To: "+15550001", Body: "STOP" };

function deps(rpc: FakeRpc = answerCounts, environment: Record<string, string> = configured): FakeDeps {
  return fakeDeps({ environment, rpc });
}

async function answerTo(request: Request, given: FakeDeps = deps()) {
  const response = await handle(request, given);
  return { status: response.status, body: await response.json(), calls: given.calls };
}

/** The status of the answer to a delivery that was signed so. */
async function statusOf(options: FormOptions, given?: FakeDeps): Promise<number> {
  const { status, calls } = await answerTo(signedForm(delivered, options), given);
  if (status !== 200) assert.deepEqual(calls, []);
  return status;
}

Deno.test("Twilio's status is recorded in one call, with the attempt that its address names", async () => {
  const { status, body, calls } = await answerTo(signedForm(delivered, { query: "?attempt=0b2f7c1e" }));
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, ...none });
  const receipt = {
    event: "message_delivered",
    messageId: "SM1",
    reader: "sms",
    sessionId: "+15550001",
    timestamp: null,
    clientMessageId: "0b2f7c1e",
  };
  assert.deepEqual(calls, [{ name: "record_receipts", args: { p_receipts: [receipt], p_source: "sms_delivery" } }]);
});

Deno.test("Twilio's status before the message is sent is answered with zeros, without a call", async () => {
  for (const MessageStatus of ["accepted", "scheduled", "queued", "sending", "receiving", "Queued"]) {
    const { status, body, calls } = await answerTo(signedForm({ ...delivered, MessageStatus }));
    assert.equal(status, 200);
    assert.deepEqual(body, { ok: true, ...none });
    assert.deepEqual(calls, []);
  }
});

Deno.test("Twilio's unknown status is journaled, and answered 200", async () => {
  const { status, calls } = await answerTo(signedForm({ ...delivered, MessageStatus: "huh" }));
  assert.equal(status, 200);
  const event = { event: "twilio status", clientMessageId: null, payload: { ...delivered, MessageStatus: "huh" } };
  assert.deepEqual(calls, [{ name: "record_receipts", args: { p_receipts: [event], p_source: "sms_delivery" } }]);
});

Deno.test("Twilio's inbound message is stored, whether it says that it was received or only what", async () => {
  const { SmsStatus: _status, ...bare } = inbound;
  for (const form of [inbound, { ...bare, MessageStatus: "received" }, bare, { ...bare, Body: "" }]) {
    const { status, body, calls } = await answerTo(signedForm(form));
    assert.equal(status, 200);
    assert.deepEqual(body, { ok: true, ...stored });
    assert.deepEqual(calls.map(({ name }) => name), ["record_inbound_messages"]);
    const args: { p_messages: { messageId: string }[] } = JSON.parse(JSON.stringify(calls[0]?.args));
    assert.deepEqual(args.p_messages.map(({ messageId }) => messageId), ["SM2"]);
  }
});

Deno.test("Twilio's form is refused with a bare 401 unless its signature is that of the public address and this form", async () => {
  const address = `${PUBLIC_URL}/sms-delivery-webhook`;
  const params = new URLSearchParams(delivered);
  const right = signTwilioForm("auth-token", address, params);
  assert.equal(await statusOf({}), 200);
  assert.equal(await statusOf({ signature: right }), 200);
  const wrong = [
    "",
    right.slice(0, -1),
    `${right}, ${right}`,
    right.toUpperCase(),
    signTwilioForm("wrong", address, params),
    signTwilioForm("", address, params),
    signTwilioForm("auth-token", "http://127.0.0.1:8000/sms-delivery-webhook", params),
    signTwilioForm("auth-token", `${address}?attempt=x`, params),
    signTwilioForm("auth-token", address, new URLSearchParams({ ...delivered, MessageStatus: "failed" })),
  ];
  for (const signature of wrong) assert.equal(await statusOf({ signature }), 401, signature);
  assert.equal(
    await statusOf({ query: "?attempt=y", signature: signTwilioForm("auth-token", `${address}?attempt=x`, params) }),
    401,
  );

  const { body } = await answerTo(signedForm(delivered, { token: "wrong" }));
  assert.deepEqual(body, { error: { code: "unauthorized", message: "Unauthorized." } });
  const doubled = signedForm(delivered);
  doubled.headers.append("x-twilio-signature", right);
  assert.equal((await answerTo(doubled)).status, 401);
  const keyed = signedForm(delivered, { token: "wrong" });
  keyed.headers.set("x-api-key", "right");
  assert.equal((await answerTo(keyed)).status, 401);
});

Deno.test("Twilio's form is taken with and without the port, and whatever stands behind the public address", async () => {
  const addresses = [
    ["https://example.supabase.co/functions/v1/", "https://example.supabase.co:443/functions/v1"],
    ["https://example.supabase.co:443/functions/v1", "https://example.supabase.co/functions/v1"],
    ["http://127.0.0.1:54321/functions/v1", "http://127.0.0.1:54321/functions/v1"],
    ["http://127.0.0.1:54321/functions/v1", "http://127.0.0.1/functions/v1"],
  ] as const;
  for (const [PUBLIC_FUNCTIONS_URL, called] of addresses) {
    const query = "?attempt=a%20b&x=%C3%A9";
    const signature = signTwilioForm(
      "auth-token",
      `${called}/sms-delivery-webhook${query}`,
      new URLSearchParams(delivered),
    );
    assert.equal(
      await statusOf({ query, signature }, deps(answerCounts, { ...configured, PUBLIC_FUNCTIONS_URL })),
      200,
    );
  }
});

Deno.test("Twilio's form is taken under the old and the new token while they are rotated", async () => {
  const rotating = { ...configured, TWILIO_AUTH_TOKEN: "old, new" };
  for (const [token, status] of [["old", 200], ["new", 200], ["older", 401], ["old, new", 401]] as const) {
    assert.equal(await statusOf({ token }, deps(answerCounts, rotating)), status, token);
  }
});

Deno.test("Twilio's form is refused, by whatever token, while the token or the public address is not configured", async () => {
  for (const variable of ["TWILIO_AUTH_TOKEN", "PUBLIC_FUNCTIONS_URL"]) {
    for (const token of ["auth-token", ""]) {
      const given = deps(answerCounts, { ...configured, [variable]: " " });
      await assert.rejects(handle(signedForm(delivered, { token }), given), { name: "EnvironmentError", variable });
      assert.deepEqual(given.calls, []);
    }
  }
});

Deno.test("Twilio's form of which nothing can be made is answered 400 with the field, and journaled", async () => {
  const { MessageSid: _sid, ...nameless } = inbound;
  const forms: [Record<string, string>, string, string][] = [
    [{ MessageSid: "SM1" }, "sms_delivery", "MessageStatus"],
    [{ MessageStatus: "sent" }, "sms_delivery", "MessageSid"],
    [nameless, "inbound", "MessageSid"],
    [{}, "sms_delivery", "MessageStatus"],
  ];
  for (const [form, source, field] of forms) {
    for (const rpc of [answerCounts, () => refuse]) {
      const { status, body, calls } = await answerTo(signedForm(form), deps(rpc));
      assert.equal(status, 400);
      assert.ok(body.error.message.startsWith(`${field}: `), body.error.message);
      const payload = { event: "malformed", reason: body.error.message, payload: form };
      const args = { p_source: source, p_reason: "malformed", p_payload: payload };
      assert.deepEqual(calls, [{ name: "journal_webhook_event", args }]);
    }
  }
});

Deno.test("Twilio's form keeps every value of a repeated parameter in what is journaled", async () => {
  const { calls } = await answerTo(signedForm("MessageStatus=huh&a=1&a=2&b=%00"));
  const args: { p_receipts: { payload: unknown }[] } = JSON.parse(JSON.stringify(calls[0]?.args));
  assert.deepEqual(args.p_receipts[0]?.payload, { MessageStatus: "huh", a: ["1", "2"], b: "\uFFFD" });
});

Deno.test("Twilio's form above 256 KB is refused before it is taken apart", async () => {
  assert.equal((await answerTo(signedForm({ ...inbound, Body: "x".repeat(300_000) }))).status, 413);
});

Deno.test("Twilio's form is answered 503 while the database is away, and journaled when the database refuses it", async () => {
  const away: FakeRpc = () => ({ ok: false, failure: { code: "database_unavailable" } });
  const refusing: FakeRpc = (name, args) =>
    JSON.stringify(args).includes("+1555") && name !== "journal_webhook_event" ? refuse : answerCounts(name, args);
  for (const [form, source] of [[delivered, "sms_delivery"], [inbound, "inbound"]] as const) {
    assert.equal((await answerTo(signedForm(form), deps(away))).status, 503);
    assert.equal((await answerTo(signedForm(form), deps(() => refuse))).status, 500);
    const { status, body, calls } = await answerTo(signedForm(form), deps(refusing));
    assert.equal(status, 200);
    assert.equal(body.journaled, 1);
    const kept: { p_source: string; p_reason: string } = JSON.parse(JSON.stringify(calls.at(-1)?.args));
    assert.deepEqual([kept.p_source, kept.p_reason], [source, "error"]);
  }
});

/** Whatever is signed is answered 200 or 400, with at most one call, in which everything is storable. */
async function survives(form: string): Promise<void> {
  const answer = await answerTo(signedForm(form));
  assert.ok(answer.status === 200 || answer.status === 400, `answered ${answer.status}`);
  assert.ok(answer.calls.length <= 1, "more than one call");
  assertStorable(answer.calls);
}

Deno.test("Twilio's form is survived whatever it holds", async () => {
  const name = fc.oneof(
    fc.constantFrom(...Object.keys({ ...delivered, ...inbound }), "OptOutType", "NumMedia"),
    fc.string(),
  );
  const known = fc.constantFrom(
    "sent",
    "failed",
    "received",
    "huh",
    "STOP",
    "whatsapp:+1",
    "\0",
    "%",
    "",
    "x".repeat(300),
  );
  const value = fc.oneof(known, fc.string({ unit: "binary" }));
  const form = fc.array(fc.tuple(name, value)).map((pairs) => new URLSearchParams(pairs).toString());
  await fc.assert(fc.asyncProperty(fc.oneof(form, fc.string()), survives), { numRuns: 500 });
});

const corpus = payloadCorpus("twilio");

Deno.test({
  name: "Twilio's forms of the corpus are survived as they are, cut, changed, and with unknown parameters",
  ignore: corpus.length === 0,
  async fn() {
    for (const { name, text } of corpus) {
      assert.equal((await answerTo(signedForm(text.trim()))).status, 200, name);
      for (const cut of truncationsOf(text, text.length)) await survives(cut);
      const pairs = [...new URLSearchParams(text.trim())];
      for (const place of pairs.keys()) {
        for (const value of ["", "\0", "7", "[]", "x".repeat(300)]) {
          const changed = pairs.with(place, [pairs[place]?.[0] ?? "", value]);
          await survives(new URLSearchParams(changed).toString());
        }
        await survives(new URLSearchParams(pairs.toSpliced(place, 1)).toString());
      }
      await survives(`${text.trim()}&unknown=1&unknown=2&__proto__=x`);
    }
  },
});
