import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { assertStorable } from "../../_shared/assert_storable.ts";
import { type FakeDeps, fakeDeps, type FakeRpc } from "../../_shared/fake_deps.ts";
import { mutationsOf, truncationsOf, withUnknownKeys } from "../../_shared/mutations.ts";
import { payloadCorpus } from "../../_shared/payload_corpus.ts";
import { handle } from "../handler.ts";
import { signedPost } from "./signed_post.ts";

const none = { recorded: 0, duplicates: 0, parked: 0, journaled: 0 };
const answerCounts: FakeRpc = (name) => ({
  ok: true,
  value: name === "record_whatsapp_events"
    ? { ...none, stored: 0, opted_out: 0, opted_in: 0, applied: 0, ignored: 0, unmatched: 0 }
    : none,
});
const refuse = { ok: false, failure: { code: "internal" } } as const;

const secrets = { WHATSAPP_APP_SECRET: "app-secret", WEBHOOK_SECRET_KEY: "right" };

function deps(rpc: FakeRpc = answerCounts, environment: Record<string, string> = secrets): FakeDeps {
  return fakeDeps({ environment, rpc });
}

const value = { messaging_product: "whatsapp", metadata: { phone_number_id: "106" } };
const status = { id: "wamid.1", status: "delivered", timestamp: "1750030073", recipient_id: "919876543210" };
const message = { id: "wamid.2", from: "919876543210", timestamp: "1750091045", text: { body: "café 😀" } };

function body(parts: object) {
  const changes = [{ field: "messages", value: { ...value, ...parts } }];
  return { object: "whatsapp_business_account", entry: [{ id: "102", changes }] };
}

const statuses = body({ statuses: [status] });

async function answerTo(request: Request, given: FakeDeps = deps()) {
  const response = await handle(request, given);
  return { status: response.status, body: await response.json(), calls: given.calls };
}

/** The status of the answer to a body that was signed as `signature` says, which may be several headers. */
async function statusOf(text: string, signature: string[], given: FakeDeps = deps()): Promise<number> {
  const headers = new Headers({ "content-type": "application/json" });
  for (const each of signature) headers.append("x-hub-signature-256", each);
  const { status: code, calls } = await answerTo(
    new Request("http://f", { method: "POST", headers, body: text }),
    given,
  );
  if (code !== 200) assert.deepEqual(calls, []);
  return code;
}

Deno.test("Meta's statuses are recorded in one call, which others may share", async () => {
  const { status: code, body: answer, calls } = await answerTo(signedPost(statuses));
  assert.equal(code, 200);
  assert.deepEqual(answer, { ok: true, ...none });
  const receipt = {
    event: "message_delivered",
    messageId: "wamid.1",
    reader: "recipient",
    sessionId: "106",
    timestamp: "1750030073",
    clientMessageId: null,
  };
  assert.deepEqual(calls, [{ name: "record_receipts", args: { p_receipts: [receipt], p_source: "receipt" } }]);
});

Deno.test("Meta's statuses and messages of one post are recorded in one call and one transaction", async () => {
  const preference = { wa_id: "919876543210", value: "stop" };
  const others = [{ messages: [message] }, { message_echoes: [message] }, { user_preferences: [preference] }];
  for (const parts of others) {
    const { status: code, calls } = await answerTo(signedPost(body({ statuses: [status, {}], ...parts })));
    assert.equal(code, 200);
    assert.deepEqual(calls.map(({ name }) => name), ["record_whatsapp_events"]);
    const args: { p_receipts: unknown[]; p_messages: unknown[] } = JSON.parse(JSON.stringify(calls[0]?.args));
    assert.deepEqual([args.p_receipts.length, args.p_messages.length], [2, 1]);
  }
});

Deno.test("Meta's signal about a sender is recorded with the rest of its post in one call", async () => {
  const value = { event: "DISABLED_UPDATE", ban_info: { waba_ban_state: "DISABLE", waba_ban_date: "May 1, 2026" } };
  const account = { id: "102", time: 1_750_000_000, changes: [{ field: "account_update", value }] };
  const { status: code, body: answer, calls } = await answerTo(
    signedPost({ ...statuses, entry: [...statuses.entry, account] }),
  );
  assert.equal(code, 200);
  assert.equal(answer.applied, 0);
  assert.deepEqual(calls.map(({ name }) => name), ["record_whatsapp_events"]);
  const args: { p_receipts: unknown[]; p_messages: unknown[]; p_signals: unknown[] } = JSON.parse(
    JSON.stringify(calls[0]?.args),
  );
  assert.equal(args.p_receipts.length, 1);
  assert.deepEqual(args.p_messages, []);
  assert.deepEqual(args.p_signals, [{
    event: "sender_restricted",
    cause: "ban",
    reason: "Meta: DISABLED_UPDATE, DISABLE, May 1, 2026",
    accountId: "102",
    displayPhoneNumber: null,
    timestamp: 1_750_000_000,
    payload: { field: "account_update", entry: "102", value },
  }]);
});

Deno.test("Meta's post that says nothing is answered with zeros, without a call", async () => {
  const { status: code, body: answer, calls } = await answerTo(signedPost({ object: "x", entry: [] }));
  assert.equal(code, 200);
  assert.deepEqual(answer, { ok: true, ...none });
  assert.deepEqual(calls, []);
});

Deno.test("Meta's post is refused with a bare 401 unless its signature is that of these very bytes", async () => {
  // escaped as Meta escapes, which JSON.stringify does not
  const text = JSON.stringify(body({ messages: [message] })).replaceAll("é", "\\u00e9").replaceAll("/", "\\/");
  const sign = (given: string, secret = "app-secret", algorithm = "sha256") =>
    `${algorithm}=${createHmac(algorithm, secret).update(given).digest("hex")}`;
  const right = sign(text);
  assert.equal(await statusOf(text, [right]), 200);
  assert.equal(await statusOf(text, [right.toUpperCase().replace("SHA256", "sha256")]), 200);
  const flipped = right.slice(0, -1) + (right.endsWith("0") ? "1" : "0");
  const wrong = [
    [""],
    [flipped],
    [sign(text, "wrong")],
    [sign(text, "")],
    [sign(text, "app-secret", "sha1")],
    [right.replace("sha256=", "")],
    [right.toUpperCase()],
    [right, right],
    [right, flipped],
    [`${right} `, ""],
    [sign(`${text} `)],
    [sign(JSON.stringify(JSON.parse(text)))],
  ];
  for (const signature of wrong) {
    assert.equal(await statusOf(text, signature), 401, signature.join());
  }
  assert.equal(await statusOf(JSON.stringify(JSON.parse(text)), [right]), 401);
  assert.equal(await statusOf(text.slice(0, -1), [right]), 401);

  const { body: answer } = await answerTo(signedPost("{", "wrong"));
  assert.deepEqual(answer, { error: { code: "unauthorized", message: "Unauthorized." } });
});

Deno.test("Meta's post is not let in by an API key beside a wrong signature", async () => {
  const request = signedPost(statuses, "wrong");
  request.headers.set("x-api-key", "right");
  assert.equal((await answerTo(request)).status, 401);
});

Deno.test("Meta's post is taken under the old and the new secret while they are rotated", async () => {
  const rotating = { ...secrets, WHATSAPP_APP_SECRET: "old, new" };
  for (const [secret, code] of [["old", 200], ["new", 200], ["older", 401], ["old, new", 401]] as const) {
    assert.equal((await answerTo(signedPost(statuses, secret), deps(answerCounts, rotating))).status, code, secret);
  }
});

Deno.test("Meta's post is refused, by whatever secret, while none is configured", async () => {
  for (const WHATSAPP_APP_SECRET of ["", " ", ","]) {
    for (const secret of ["", ",", "app-secret"]) {
      const request = signedPost(statuses, secret);
      const given = deps(answerCounts, { ...secrets, WHATSAPP_APP_SECRET });
      await assert.rejects(handle(request, given), { name: "EnvironmentError", variable: "WHATSAPP_APP_SECRET" });
      assert.deepEqual(given.calls, []);
    }
  }
});

Deno.test("Meta's signed body that is no JSON, or no post of Meta's, is answered 400 and journaled", async () => {
  const bodies: [unknown, string, RegExp][] = [
    ["", "malformed_json", /JSON/],
    ['{"entry":[', "malformed_json", /JSON/],
    [Uint8Array.of(0xff, 0xfe), "malformed_json", /JSON/],
    [{ event: "message_read", messageId: "m" }, "malformed_event", /^entry: /],
    [[statuses], "malformed_event", /^entry: /],
    ["null", "malformed_event", /^entry: /],
  ];
  for (const [given, code, detail] of bodies) {
    for (const rpc of [answerCounts, () => refuse]) {
      const answer = await answerTo(signedPost(given), deps(rpc));
      assert.equal(answer.status, 400);
      assert.equal(answer.body.error.code, code);
      assert.match(answer.body.error.message, detail);
      assert.deepEqual(answer.calls.map(({ name }) => name), ["journal_webhook_event"]);
      assertStorable(answer.calls);
    }
  }
});

Deno.test("Meta's body above 4 MB is refused before it is verified", async () => {
  assert.equal((await answerTo(signedPost(" ".repeat(4 * 1024 * 1024 + 1)))).status, 413);
});

Deno.test("Meta's post is answered 503 while the database is away, so that it comes again", async () => {
  const away: FakeRpc = () => ({
    ok: false,
    failure: { code: "database_unavailable", headers: { "retry-after": "5" } },
  });
  for (const parts of [{ statuses: [status] }, { messages: [message] }]) {
    const response = await handle(signedPost(body(parts)), deps(away));
    assert.equal(response.status, 503);
    assert.equal(response.headers.get("retry-after"), "5");
    await response.body?.cancel();
  }
});

Deno.test("Meta's event that the database refuses is journaled, and the rest of its post is recorded", async () => {
  const poison = (args: unknown) => JSON.stringify(args).includes("poison");
  const rpc: FakeRpc = (name, args) =>
    name !== "journal_webhook_event" && poison(args) ? refuse : answerCounts(name, args);
  const mixed = body({
    statuses: [status, { ...status, id: "poison 1" }],
    messages: [message, { ...message, id: "poison 2" }, { ...message, id: "wamid.3" }],
  });
  const answer = await answerTo(signedPost(mixed), deps(rpc));
  assert.equal(answer.status, 200);
  assert.equal(answer.body.journaled, 2);
  const journaled = answer.calls.filter(({ name }) => name === "journal_webhook_event");
  const kept: { p_source: string; p_reason: string; p_payload: { messageId: string } }[] = JSON.parse(
    JSON.stringify(journaled.map(({ args }) => args)),
  );
  assert.deepEqual(kept.map(({ p_source, p_reason, p_payload }) => [p_source, p_reason, p_payload.messageId]), [
    ["receipt", "error", "poison 1"],
    ["inbound", "error", "poison 2"],
  ]);
});

Deno.test("Meta's post is answered 500 when the database refuses whatever it is given", async () => {
  for (const parts of [{ statuses: [status] }, { messages: [message] }]) {
    assert.equal((await answerTo(signedPost(body(parts)), deps(() => refuse))).status, 500);
  }
});

/** Whatever is signed is answered 200 or 400, with at most one call, in which everything is storable. */
async function survives(given: unknown): Promise<void> {
  const answer = await answerTo(signedPost(given));
  assert.ok(answer.status === 200 || answer.status === 400, `answered ${answer.status}`);
  assert.ok(answer.calls.length <= 1, "more than one call");
  assertStorable(answer.calls);
}

/** Every kind of element in one post, for the corpus's mutations where there is no corpus. */
const everything = body({
  contacts: [{ wa_id: "919876543210", user_id: "IN.1", profile: { name: "Asha" } }],
  statuses: [{
    ...status,
    recipient_type: "group",
    recipient_participant_id: "91987",
    biz_opaque_callback_data: "x",
    pricing: { billable: true, type: "regular", category: "marketing", pricing_model: "PMP" },
    errors: [{ code: 131_026, title: "x", message: "x", error_data: { details: "x" } }],
  }],
  messages: [{ ...message, context: { id: "wamid.0", from: "x" } }],
  message_echoes: [{ id: "wamid.5", from: "1", to: "2", type: "image", image: { caption: "x" } }],
  user_preferences: [{ wa_id: "919876543210", category: "marketing_messages", value: "stop", timestamp: 1 }],
  errors: [{ code: 1 }],
});

Deno.test("Meta's post is survived when it is cut, signed nevertheless, changed in any part, or has unknown keys", async () => {
  const text = JSON.stringify(everything);
  for (const cut of truncationsOf(text, 200)) await survives(cut);
  for (const mutation of mutationsOf(everything)) await survives(mutation);
  await survives(withUnknownKeys(everything));
  await survives("[".repeat(200_000));
  await survives(
    `{"entry":[{"changes":[{"value":{"messages":[{"id":"m","deep":${"[".repeat(5_000)}${"]".repeat(5_000)}}]}}]}]}`,
  );
});

const corpus = payloadCorpus("meta");

Deno.test({
  name: "Meta's payloads of the corpus are survived as they are, cut, changed, and with unknown keys",
  ignore: corpus.length === 0,
  async fn() {
    for (const { text } of corpus) {
      const { status: code, calls } = await answerTo(signedPost(text));
      assert.equal(code, 200);
      assertStorable(calls);
      for (const cut of truncationsOf(text)) await survives(cut);
      const body: unknown = JSON.parse(text);
      await survives(withUnknownKeys(body));
      for (const mutation of mutationsOf(body)) await survives(mutation);
    }
  },
});

Deno.test("Meta's largest post, a thousand statuses in 3 MB, is one call and takes a small part of the CPU time", async () => {
  const large = {
    ...status,
    conversation: { id: "c".repeat(32), origin: { type: "marketing" } },
    pricing: { billable: true, pricing_model: "PMP", type: "regular", category: "marketing" },
    biz_opaque_callback_data: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
    // an emoji, escaped as Meta does it: what makes the reader look at every text
    padding: "\\ud83d\\ude00".repeat(220),
  };
  const thousand = Array.from({ length: 1_000 }, (_, place) => ({ ...large, id: `wamid.${place}` }));
  const text = JSON.stringify(body({ statuses: thousand })).replaceAll("\\\\ud", "\\ud");
  assert.ok(text.length > 2_800_000 && text.length < 3_200_000, `${text.length}`);
  const bytes = new TextEncoder().encode(text);
  let best = Infinity;
  for (let round = 0; round < 5; round++) {
    const request = signedPost(bytes);
    const before = performance.now();
    const { status: code, calls } = await answerTo(request);
    best = Math.min(best, performance.now() - before);
    assert.equal(code, 200);
    assert.deepEqual(calls.map(({ name }) => name), ["record_receipts"]);
  }
  // about 25 ms; the bound leaves room for a busy machine, and fails if reading becomes quadratic
  assert.ok(best < 1_000, `took ${best} ms`);
});
