import fc from "fast-check";
import assert from "node:assert/strict";
import { assertStorable } from "../_shared/assert_storable.ts";
import { type FakeDeps, fakeDeps, type FakeRpc } from "../_shared/fake_deps.ts";
import { handle } from "./handler.ts";

const counts = { recorded: 2, duplicates: 1, parked: 0, journaled: 0 };
const answerCounts: FakeRpc = (name) => ({ ok: true, value: name === "record_receipts" ? counts : null });
const refuse = { ok: false, failure: { code: "internal" } } as const;

const report = { messageId: "m1", status: "delivered", clientMessageId: "0b2f7c1e", cost: 0.0079, currency: "USD" };
/** The same as the database gets it. */
const receipt = {
  event: "message_delivered",
  reader: "sms",
  messageId: "m1",
  timestamp: null,
  clientMessageId: "0b2f7c1e",
  cost: 0.0079,
  currency: "USD",
};

function deps(rpc: FakeRpc = answerCounts, secret = "old,new"): FakeDeps {
  return fakeDeps({ environment: { WEBHOOK_SECRET_KEY: secret }, rpc });
}

function post(body: unknown, headers: Record<string, string> = {}): Request {
  return new Request("http://f", {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "new", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

async function answerTo(request: Request, given: FakeDeps = deps()) {
  const response = await handle(request, given);
  return { status: response.status, body: await response.json(), calls: given.calls };
}

Deno.test("SMS webhook records one report in one call", async () => {
  const { status, body, calls } = await answerTo(post(report));
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, ...counts });
  assert.deepEqual(calls, [{ name: "record_receipts", args: { p_receipts: [receipt], p_source: "sms_delivery" } }]);
});

Deno.test("SMS webhook records an array in one call, duplicates and a malformed element along with the rest", async () => {
  const { status, calls } = await answerTo(post([report, { status: "sent" }, report]));
  assert.equal(status, 200);
  const malformed = { event: "malformed", reason: "messageId: is missing", payload: { status: "sent" } };
  const args = { p_receipts: [receipt, malformed, receipt], p_source: "sms_delivery" };
  assert.deepEqual(calls, [{ name: "record_receipts", args }]);
  assert.deepEqual(await answerTo(post([])), {
    status: 200,
    body: { ok: true, recorded: 0, duplicates: 0, parked: 0, journaled: 0 },
    calls: [],
  });
});

Deno.test("SMS webhook answers a malformed report 400 with the field, and journals it", async () => {
  const { status, body, calls } = await answerTo(post({ messageId: "m1" }));
  assert.equal(status, 400);
  assert.deepEqual(body, { error: { code: "malformed_event", message: "status: must be a text" } });
  const payload = { event: "malformed", reason: "status: must be a text", payload: { messageId: "m1" } };
  const args = { p_source: "sms_delivery", p_reason: "malformed", p_payload: payload };
  assert.deepEqual(calls, [{ name: "journal_webhook_event", args }]);
});

Deno.test("SMS webhook refuses wrong keys 401, other methods 405, other types 415, too much 413, no JSON 400", async () => {
  const cases: [number, Request][] = [
    [401, post(report, { "x-api-key": "wrong" })],
    [401, post(report, { "x-api-key": "old,new" })],
    [401, post(report, { "x-api-key": "wrong", "content-type": "text/plain" })],
    [401, new Request("http://f", { method: "POST", body: "{}" })],
    [405, new Request("http://f", { headers: { "x-api-key": "new" } })],
    [405, new Request("http://f", { method: "PUT", body: "a=b", headers: { "x-api-key": "new" } })],
    [415, post("a=b", { "content-type": "text/plain" })],
    [415, post("{}", { "content-encoding": "gzip" })],
    [413, post(" ".repeat(4 * 1024 * 1024 + 1))],
    [400, post("{")],
  ];
  for (const [status, request] of cases) {
    const given = deps();
    const answer = await answerTo(request, given);
    assert.equal(answer.status, status);
    assert.equal(typeof answer.body.error.message, "string");
    assert.ok(given.calls.every(({ name }) => name === "journal_webhook_event"));
  }
});

Deno.test("SMS webhook refuses everybody while no key is configured", async () => {
  for (const secret of ["", " ", ","]) {
    await assert.rejects(handle(post(report, { "x-api-key": secret }), deps(answerCounts, secret)), {
      name: "EnvironmentError",
      variable: "WEBHOOK_SECRET_KEY",
    });
  }
});

Deno.test("SMS webhook journals the one report that the database refuses, and records the rest", async () => {
  const rpc: FakeRpc = (name, args) =>
    name !== "journal_webhook_event" && JSON.stringify(args).includes("refused") ? refuse : answerCounts(name, args);
  const { status, body, calls } = await answerTo(
    post([report, { ...report, messageId: "refused" }, report]),
    deps(rpc),
  );
  assert.equal(status, 200);
  assert.equal(body.journaled, 1);
  const journaled = calls.filter(({ name }) => name === "journal_webhook_event").map(({ args }) => args);
  const payload = { ...receipt, messageId: "refused" };
  assert.deepEqual(journaled, [{ p_source: "sms_delivery", p_reason: "error", p_payload: payload }]);
});

Deno.test("SMS webhook answers 503 with Retry-After when the database is away, and 500 when it refuses everything", async () => {
  const away = deps(() => ({ ok: false, failure: { code: "database_unavailable", headers: { "retry-after": "5" } } }));
  const response = await handle(post([report]), away);
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "5");
  await response.body?.cancel();
  assert.equal((await answerTo(post([report]), deps(() => refuse))).status, 500);
});

Deno.test("SMS webhook never answers 5xx, whatever the body, and makes at most one call", async () => {
  const key = fc.constantFrom(...Object.keys(report), "errorCode", "errorMessage", "timestamp", "event");
  const value = fc.oneof(
    fc.constantFrom<unknown>(...Object.values(report), "failed", "sent", "", "\0", "\ud800", -1, 1e300),
    fc.jsonValue(),
  );
  const element = fc.oneof(
    fc.dictionary(key, value),
    fc.dictionary(key, value).map((changes) => ({ ...report, ...changes })),
    value,
  );
  const body = fc.oneof(fc.string(), fc.json(), fc.array(element).map((v) => JSON.stringify(v)));
  await fc.assert(
    fc.asyncProperty(body, async (text) => {
      const { status, calls } = await answerTo(post(text));
      assert.ok(status === 200 || status === 400, `answered ${status}`);
      assert.ok(calls.length <= 1, "more than one call");
      assertStorable(calls);
    }),
    { numRuns: 500 },
  );
});
