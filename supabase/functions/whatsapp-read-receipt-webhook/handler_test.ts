import fc from "fast-check";
import assert from "node:assert/strict";
import { assertStorable } from "../_shared/assert_storable.ts";
import { type FakeDeps, fakeDeps, type FakeRpc } from "../_shared/fake_deps.ts";
import { handle } from "./handler.ts";
import { parseReceipt } from "./parse_receipt.ts";

const counts = { recorded: 2, duplicates: 1, parked: 0, journaled: 0 };
const answerCounts: FakeRpc = (name) => ({ ok: true, value: name === "record_receipts" ? counts : null });

const delivered = {
  event: "message_delivered",
  sessionId: "wa_1",
  groupJid: "120363040000000001@g.us",
  messageId: "3EB0C0FFEE",
  reader: "919876543210:12@s.whatsapp.net",
  timestamp: 1_720_000_000,
};
/** The same as the database gets it. */
const recorded = {
  event: "message_delivered",
  messageId: "3EB0C0FFEE",
  reader: "919876543210:12@s.whatsapp.net",
  sessionId: "wa_1",
  timestamp: 1_720_000_000,
};

function deps(
  rpc: FakeRpc = answerCounts,
  environment: Record<string, string> = { WEBHOOK_SECRET_KEY: "right" },
): FakeDeps {
  return fakeDeps({ environment, rpc });
}

function post(body: unknown, headers: Record<string, string> = {}): Request {
  return new Request("http://f", {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "right", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

async function answerTo(body: unknown, given: FakeDeps = deps()) {
  const response = await handle(post(body), given);
  return { status: response.status, body: await response.json(), calls: given.calls };
}

/** What reaches the database of one element. */
async function recordedOf(element: unknown): Promise<unknown> {
  const { status, calls } = await answerTo([element]);
  assert.equal(status, 200);
  assert.equal(calls.length, 1);
  return JSON.parse(JSON.stringify(calls[0]?.args)).p_receipts[0];
}

Deno.test("receipt webhook answers one receipt with the counts of one call", async () => {
  const { status, body, calls } = await answerTo(delivered);
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, ...counts });
  assert.deepEqual(calls, [{ name: "record_receipts", args: { p_receipts: [recorded], p_source: "receipt" } }]);
});

Deno.test("receipt webhook records an array in one call, a malformed element along with the rest", async () => {
  const { status, calls } = await answerTo([delivered, { event: "message_read" }, delivered]);
  assert.equal(status, 200);
  assert.equal(calls.length, 1);
  const reason = "messageId: is missing";
  const malformed = { event: "malformed", reason, payload: { event: "message_read" } };
  assert.deepEqual(calls[0]?.args, { p_receipts: [recorded, malformed, recorded], p_source: "receipt" });
});

Deno.test("receipt webhook takes a missing, null, empty or blank reader for nobody", async () => {
  const { reader: _reader, ...anonymous } = delivered;
  for (
    const element of [anonymous, { ...anonymous, reader: null }, { ...anonymous, reader: "" }, {
      ...anonymous,
      reader: " ",
    }]
  ) {
    assert.deepEqual(await recordedOf(element), { ...recorded, reader: null });
  }
});

Deno.test("receipt webhook keeps the reason of a failure, wherever it stands", async () => {
  const failed = { event: "message_failed", messageId: "m" };
  const reasons: [object, unknown, unknown][] = [
    [{ errorCode: 463, errorMessage: "restricted" }, "463", "restricted"],
    [{ error: { code: "463", message: "restricted" } }, "463", "restricted"],
    [{ error: "restricted" }, null, "restricted"],
    [{}, null, null],
  ];
  for (const [given, errorCode, errorMessage] of reasons) {
    const bare = { ...failed, reader: null, sessionId: null, timestamp: null };
    assert.deepEqual(await recordedOf({ ...failed, ...given }), { ...bare, errorCode, errorMessage });
  }
});

Deno.test("receipt webhook journals whatever is about somebody else's message, a reaction or an edit", async () => {
  const set = [
    { ...delivered, fromMe: false },
    { ...delivered, key: { fromMe: false, id: "x" } },
    { ...delivered, event: "message_read", type: "reaction" },
    { ...delivered, event: "message_read", messageType: "editedMessage" },
    { ...delivered, event: "message_edited" },
    { ...delivered, event: "message_reaction" },
  ];
  const countable = new Set(["message_delivered", "message_read", "message_played", "message_sent", "message_failed"]);
  const { status, calls } = await answerTo(set);
  assert.equal(status, 200);
  const events: { event: string }[] = JSON.parse(JSON.stringify(calls[0]?.args)).p_receipts;
  assert.equal(events.length, set.length);
  for (const { event } of events) assert.ok(!countable.has(event) && event !== "malformed", event);
  assert.deepEqual(await recordedOf({ ...delivered, fromMe: true, key: { fromMe: true } }), recorded);
});

Deno.test("receipt webhook answers a malformed receipt 400 with the field, and journals it", async () => {
  const shapes: [string, unknown][] = [
    ["event", {}],
    ["messageId", { ...delivered, messageId: undefined }],
    ["messageId", { ...delivered, messageId: "" }],
    ["messageId", { ...delivered, messageId: null }],
    ["messageId", { ...delivered, messageId: 7 }],
    ["messageId", { ...delivered, messageId: "m".repeat(257) }],
    ["reader", { ...delivered, reader: 919876543210 }],
    ["reader", { ...delivered, reader: {} }],
    ["reader", { ...delivered, reader: "9".repeat(257) }],
  ];
  for (const [field, shape] of shapes) {
    const { status, body, calls } = await answerTo(shape);
    assert.equal(status, 400, JSON.stringify(shape));
    assert.ok(body.error.message.startsWith(`${field}: `), body.error.message);
    assert.deepEqual(calls.map((call) => call.name), ["journal_webhook_event"]);
    assert.equal(JSON.parse(JSON.stringify(calls[0]?.args)).p_source, "receipt");
  }
});

Deno.test("receipt webhook refuses wrong keys 401, other methods 405, other types 415, too much 413, no JSON 400", async () => {
  const cases: [number, Request][] = [
    [401, post(delivered, { "x-api-key": "wrong" })],
    [401, new Request("http://f", { method: "POST", body: "{}" })],
    [405, new Request("http://f", { method: "HEAD" })],
    [405, new Request("http://f", { method: "PUT", body: "{}", headers: { "x-hub-signature-256": "sha256=00" } })],
    [405, new Request("http://f", { method: "PUT", body: "{}" })],
    [415, post("a=b", { "content-type": "text/plain" })],
    [413, post(" ".repeat(4 * 1024 * 1024 + 1))],
    [400, post("{")],
  ];
  for (const [status, request] of cases) {
    const given = deps();
    const response = await handle(request, given);
    assert.equal(response.status, status);
    if (status === 405) assert.equal(response.headers.get("allow"), "GET, POST");
    const { error } = await response.json();
    assert.equal(typeof error.code, "string");
    assert.equal(typeof error.message, "string");
    assert.ok(given.calls.every((call) => call.name === "journal_webhook_event"));
  }
});

Deno.test("receipt webhook answers 503 with Retry-After when the database is away, and 500 for its own fault", async () => {
  const away = deps(() => ({ ok: false, failure: { code: "database_unavailable", headers: { "retry-after": "5" } } }));
  const response = await handle(post([delivered]), away);
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "5");
  await response.body?.cancel();
  const fault = await answerTo([delivered], deps(() => ({ ok: false, failure: { code: "internal" } })));
  assert.equal(fault.status, 500);
});

Deno.test("receipt webhook journals the one receipt that the database refuses, and records the rest", async () => {
  const refused = { ...delivered, messageId: "refused" };
  const given = deps((name, args) =>
    name !== "journal_webhook_event" && JSON.stringify(args).includes("refused")
      ? { ok: false, failure: { code: "internal" } }
      : { ok: true, value: { recorded: 1, duplicates: 0, parked: 0, journaled: 0 } }
  );
  const { status, body, calls } = await answerTo([delivered, refused, delivered], given);
  assert.equal(status, 200);
  assert.equal(body.journaled, 1);
  const journaled = calls.filter(({ name }) => name === "journal_webhook_event").map(({ args }) => args);
  const payload = { ...recorded, messageId: "refused" };
  assert.deepEqual(journaled, [{ p_source: "receipt", p_reason: "error", p_payload: payload }]);
});

Deno.test("receipt webhook asks a GET for the verify token, whatever key comes with it", async () => {
  const environment = { WEBHOOK_SECRET_KEY: "right", WHATSAPP_VERIFY_TOKEN: "verify" };
  const query = "hub.mode=subscribe&hub.challenge=42&hub.verify_token=";
  for (const [token, status] of [["verify", 200], ["right", 403]] as const) {
    const request = new Request(`http://f?${query}${token}`, { headers: { "x-api-key": "right" } });
    const response = await handle(request, deps(answerCounts, environment));
    assert.equal(response.status, status);
    await response.body?.cancel();
  }
});

Deno.test("receipt webhook never answers 5xx, whatever the body, and makes at most one call", async () => {
  const key = fc.constantFrom(...Object.keys(delivered), "fromMe", "key", "type", "error");
  const value = fc.oneof(
    fc.constantFrom<unknown>(...Object.values(delivered), "message_read", "message_failed", "", false, "\0", "\udfff"),
    fc.jsonValue(),
  );
  const element = fc.oneof(
    fc.dictionary(key, value),
    fc.record({ event: fc.constant("message_read"), messageId: value }),
    value,
  );
  const body = fc.oneof(fc.string(), fc.json(), fc.array(element).map((v) => JSON.stringify(v)));
  await fc.assert(
    fc.asyncProperty(body, async (text) => {
      const given = deps();
      const response = await handle(post(text), given);
      await response.body?.cancel();
      assert.ok(response.status === 200 || response.status === 400, `answered ${response.status}`);
      assert.ok(given.calls.length <= 1, "more than one call");
      assertStorable(given.calls);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("receipt webhook reads a thousand receipts in a small part of its CPU time", () => {
  const receipts = Array.from({ length: 1_000 }, (_, i) => ({ ...delivered, reader: `9198765${i}@s.whatsapp.net` }));
  let best = Infinity;
  for (let round = 0; round < 20; round++) {
    const before = performance.now();
    for (const receipt of receipts) assert.ok(parseReceipt(receipt).ok);
    best = Math.min(best, performance.now() - before);
  }
  // measured at about 1 ms; the bound leaves room for a busy machine, and fails if parsing becomes quadratic
  assert.ok(best < 50, `took ${best} ms`);
});
