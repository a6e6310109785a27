import fc from "fast-check";
import assert from "node:assert/strict";
import { assertStorable } from "../_shared/assert_storable.ts";
import { type FakeDeps, fakeDeps, type FakeRpc } from "../_shared/fake_deps.ts";
import { handle } from "./handler.ts";

const CLIENT_MESSAGE_ID = "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10";
const counts = { recorded: 1, duplicates: 0, unmatched: 0, journaled: 0 };
const answerCounts: FakeRpc = (name) => ({ ok: true, value: name === "record_send_callback" ? counts : null });

const sent = {
  event: "message_sent",
  sessionId: "wa_1",
  groupJid: "120363040000000001@g.us",
  messageId: "3EB0C0FFEE",
  status: "sent",
  error: null,
  timestamp: 1_720_000_000,
  clientMessageId: CLIENT_MESSAGE_ID,
};
/** The same as the database gets it. */
const recorded = { ...sent, errorCode: null };

function deps(rpc: FakeRpc = answerCounts, environment = { WEBHOOK_SECRET_KEY: "old,new" }): FakeDeps {
  return fakeDeps({ environment, rpc });
}

function post(body: unknown, headers: Record<string, string> = {}): Request {
  return new Request("http://f", {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "new", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

/** Posts a body and tells the status, the answer and the calls of the database. */
async function answerTo(body: unknown, given: FakeDeps = deps()) {
  const response = await handle(post(body), given);
  return { status: response.status, body: await response.json(), calls: given.calls };
}

Deno.test("send callback answers one event with the counts of one call", async () => {
  const { status, body, calls } = await answerTo(sent);
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, ...counts });
  assert.deepEqual(calls, [{ name: "record_send_callback", args: { p_event: [recorded] } }]);
});

Deno.test("send callback records an array in one call, a malformed element along with the rest", async () => {
  const { status, calls } = await answerTo([sent, { event: "message_sent", messageId: 7 }, "nonsense", sent]);
  assert.equal(status, 200);
  assert.equal(calls.length, 1);
  assert.deepEqual(calls[0]?.args, {
    p_event: [
      recorded,
      {
        event: "malformed",
        reason: "messageId: must be a text",
        payload: { event: "message_sent", messageId: 7 },
      },
      { event: "malformed", reason: "event: each event must be a JSON object", payload: "nonsense" },
      recorded,
    ],
  });
});

Deno.test("send callback answers an empty array without a call", async () => {
  const { status, body, calls } = await answerTo([]);
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, recorded: 0, duplicates: 0, unmatched: 0, journaled: 0 });
  assert.deepEqual(calls, []);
});

Deno.test("send callback hands an unknown event on whole, for the journal", async () => {
  for (const event of ["qr_code", "session_renamed"]) {
    const unknown = { event, sessionId: "wa_1", details: { code: 428 } };
    const { status, calls } = await answerTo(unknown);
    assert.equal(status, 200);
    assert.deepEqual(calls, [{ name: "record_send_callback", args: { p_event: [unknown] } }]);
  }
});

/** The counts of a post about sessions. */
const signalCounts = { ...counts, applied: 1, ignored: 0 };
const answerSignals: FakeRpc = (name) => ({ ok: true, value: name === "record_gateway_events" ? signalCounts : null });

Deno.test("send callback hands on what became of a session, with its cause, in one call with the callbacks", async () => {
  const about = { sessionId: "wa_1", timestamp: 1_720_000_000 };
  const { status, body, calls } = await answerTo([
    { event: "session_restricted", ...about, reason: "463: account restricted" },
    sent,
    { event: "session_restored", ...about },
    { event: "session_restricted", ...about, error: { code: 401, message: "logged out" } },
    { event: "session_restored", ...about, reason: null, error: null },
    { event: "session_limited", ...about, dailyLimit: 250 },
    { event: "session_limited", ...about, dailyLimit: null },
  ], deps(answerSignals));
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, ...signalCounts });
  const by = "the gateway reported";
  const [restricted, restored] = ["sender_restricted", "sender_restored"];
  const limited = { event: "sender_limited", cause: "limit", ...about, reason: `${by} session_limited` };
  assert.deepEqual(calls, [{
    name: "record_gateway_events",
    args: {
      p_callbacks: [recorded],
      p_signals: [
        {
          event: restricted,
          cause: "restriction",
          ...about,
          reason: `${by} session_restricted: 463: account restricted`,
        },
        { event: restored, cause: "restriction", ...about, reason: `${by} session_restored` },
        { event: restricted, cause: "restriction", ...about, reason: `${by} session_restricted: logged out` },
        { event: restored, cause: "restriction", ...about, reason: `${by} session_restored` },
        { ...limited, dailyLimit: 250 },
        { ...limited, dailyLimit: null },
      ],
    },
  }]);
});

Deno.test("send callback refuses a session's event that does not say which session, or which limit", async () => {
  const odd: [unknown, RegExp][] = [
    [{ event: "session_restricted" }, /sessionId: is missing/],
    [{ event: "session_restricted", sessionId: " " }, /sessionId: must not be empty/],
    [{ event: "session_restored", sessionId: 7 }, /sessionId: must be a text/],
    [{ event: "session_limited", sessionId: "wa_1" }, /dailyLimit: is missing/],
    [{ event: "session_limited", sessionId: "wa_1", dailyLimit: 0 }, /dailyLimit/],
    [{ event: "session_limited", sessionId: "wa_1", dailyLimit: "many" }, /dailyLimit/],
  ];
  for (const [event, words] of odd) {
    const { status, body, calls } = await answerTo(event, deps(answerSignals));
    assert.equal(status, 400);
    assert.match(body.error.message, words);
    assert.deepEqual(calls.map(({ name }) => name), ["journal_webhook_event"]);
  }
});

Deno.test("send callback journals a signal that the database refuses under its own source", async () => {
  const rpc: FakeRpc = (name, args) =>
    name === "record_gateway_events" && JSON.stringify(args).includes("poison")
      ? { ok: false, failure: { code: "internal" } }
      : answerSignals(name, args);
  const given = deps(rpc);
  const { status } = await answerTo([sent, { event: "session_restricted", sessionId: "poison" }], given);
  assert.equal(status, 200);
  const kept = given.calls.filter(({ name }) => name === "journal_webhook_event");
  assert.equal(kept.length, 1);
  assert.match(JSON.stringify(kept[0]?.args), /"p_source":"signal","p_reason":"error"/);
});

Deno.test("send callback takes message_sent without a message id when something else names the message", async () => {
  for (const id of [{ clientMessageId: CLIENT_MESSAGE_ID }, { groupJid: "1@g.us" }, { messageId: "m" }]) {
    const { status } = await answerTo({ event: "message_sent", ...id });
    assert.equal(status, 200);
  }
});

Deno.test("send callback tolerates what does not matter: extra fields, odd context, any timestamp", async () => {
  const odd = {
    ...sent,
    extra: { deep: [1] },
    sessionId: 7,
    status: ["x"],
    timestamp: { low: 1 },
    clientMessageId: "",
  };
  const { status, calls } = await answerTo(odd);
  assert.equal(status, 200);
  const expected = { ...recorded, sessionId: null, status: null, timestamp: null, clientMessageId: null };
  assert.deepEqual(calls[0]?.args, { p_event: [expected] });
});

Deno.test("send callback takes an error as a text, a number or an object", async () => {
  const failed = { event: "message_failed", groupJid: "1@g.us" };
  for (
    const [given, stored] of [
      ["not in group", "not in group"],
      [463, "463"],
      [{ code: 463, message: "restricted", stack: "…" }, { code: "463", message: "restricted" }],
      [{ message: "restricted" }, { code: null, message: "restricted" }],
      [null, null],
      [["odd"], null],
    ]
  ) {
    const { status, calls } = await answerTo({ ...failed, error: given });
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(JSON.stringify(calls[0]?.args)).p_event[0].error, stored);
  }
});

Deno.test("send callback answers a malformed event 400 with the field, and journals it", async () => {
  const shapes: [string, unknown][] = [
    ["event", {}],
    ["event", { ...sent, event: "" }],
    ["event", { ...sent, event: 1 }],
    ["event", null],
    ["event", 42],
    ["clientMessageId", { event: "message_sent" }],
    ["clientMessageId", { event: "message_failed", groupJid: " ", messageId: "" }],
    ["clientMessageId", { ...sent, clientMessageId: "c".repeat(257) }],
    ["clientMessageId", { ...sent, clientMessageId: 7 }],
    ["groupJid", { ...sent, groupJid: ["1@g.us"] }],
    ["messageId", { ...sent, messageId: { id: "m" } }],
    ["messageId", { ...sent, messageId: "m".repeat(257) }],
  ];
  for (const [field, shape] of shapes) {
    const { status, body, calls } = await answerTo(shape);
    assert.equal(status, 400, JSON.stringify(shape));
    assert.equal(body.error.code, "malformed_event");
    assert.ok(body.error.message.startsWith(`${field}: `), `${JSON.stringify(shape)}: ${body.error.message}`);
    assert.deepEqual(calls, [{
      name: "journal_webhook_event",
      args: {
        p_source: "send_callback",
        p_reason: "malformed",
        p_payload: { event: "malformed", reason: body.error.message, payload: shape },
      },
    }]);
  }
});

Deno.test("send callback answers a body that is no JSON 400, and journals its beginning", async () => {
  for (const text of ["", "{", "event=message_sent", `{"event":"message_sent",}`, "x".repeat(100_000)]) {
    const given = deps();
    const response = await handle(post(text), given);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).error.code, "malformed_json");
    assert.deepEqual(given.calls.map((call) => call.name), ["journal_webhook_event"]);
    assert.ok(JSON.stringify(given.calls).length < 10_000);
  }
});

Deno.test("send callback answers 400 also when the journal is out of reach", async () => {
  const away = deps(() => ({ ok: false, failure: { code: "database_unavailable" } }));
  const { status } = await answerTo({}, away);
  assert.equal(status, 400);
});

Deno.test("send callback refuses a wrong key without reading or journaling anything", async () => {
  for (const key of ["wrong", ""]) {
    const given = deps();
    const request = post("not json", { "x-api-key": key });
    const response = await handle(request, given);
    assert.equal(response.status, 401);
    assert.deepEqual(await response.json(), { error: { code: "unauthorized", message: "Unauthorized." } });
    assert.deepEqual(given.calls, []);
    assert.equal(request.bodyUsed, false);
  }
});

Deno.test("send callback takes both keys while they are rotated", async () => {
  for (const key of ["old", "new"]) {
    const response = await handle(post(sent, { "x-api-key": key }), deps());
    assert.equal(response.status, 200);
    await response.body?.cancel();
  }
});

Deno.test("send callback answers other methods 405 and other types 415", async () => {
  const get = await handle(new Request("http://f"), deps());
  assert.equal(get.status, 405);
  assert.equal(get.headers.get("allow"), "POST");
  await get.body?.cancel();
  const form = await handle(post("a=b", { "content-type": "application/x-www-form-urlencoded" }), deps());
  assert.equal(form.status, 415);
  await form.body?.cancel();
});

Deno.test("send callback answers a body above 4 MB, or an array beyond all measure, 413", async () => {
  for (const body of ["[" + " ".repeat(4 * 1024 * 1024) + "]", "[" + "1,".repeat(60_000) + "1]"]) {
    const given = deps();
    const response = await handle(post(body), given);
    assert.equal(response.status, 413);
    await response.body?.cancel();
    assert.deepEqual(given.calls, []);
  }
});

Deno.test("send callback answers 503 with Retry-After when the database is away", async () => {
  const away = deps(() => ({ ok: false, failure: { code: "database_unavailable", headers: { "retry-after": "5" } } }));
  const response = await handle(post(sent), away);
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "5");
  await response.body?.cancel();
});

Deno.test("send callback answers 500 when the database answers something else than counts", async () => {
  const given = deps(() => ({ ok: true, value: { surprise: true } }));
  const { status } = await answerTo(sent, given);
  assert.equal(status, 500);
  assert.ok(given.lines.some((line) => line.includes("unexpected_database_answer")));
});

Deno.test("send callback journals the one event that the database refuses, and records the rest", async () => {
  const given = deps((name, args) =>
    name !== "journal_webhook_event" && JSON.stringify(args).includes("refused")
      ? { ok: false, failure: { code: "internal" } }
      : { ok: true, value: counts }
  );
  const { status, body, calls } = await answerTo([sent, { ...sent, messageId: "refused" }, sent], given);
  assert.equal(status, 200);
  assert.equal(body.journaled, 1);
  const journaled = calls.filter(({ name }) => name === "journal_webhook_event").map(({ args }) => args);
  const payload = { ...recorded, messageId: "refused" };
  assert.deepEqual(journaled, [{ p_source: "send_callback", p_reason: "error", p_payload: payload }]);
});

Deno.test("send callback answers 500 when the database refuses whatever it is given", async () => {
  const { status } = await answerTo(sent, deps(() => ({ ok: false, failure: { code: "internal" } })));
  assert.equal(status, 500);
});

Deno.test("send callback makes what the database gets storable: no NUL, no lone surrogate, no endless nesting", async () => {
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const body = `[{"event":"odd","text":"a\\u0000b\\ud800","\\u0000":1},{"event":"deep","v":${deep}},${deep}]`;
  const { status, calls } = await answerTo(body);
  assert.equal(status, 200);
  const stored = JSON.stringify(calls[0]?.args);
  assert.ok(stored.length < 2_000);
  assert.ok(stored.includes("a\uFFFDb\uFFFD"));
  assert.ok(!/\\u0000|\\ud8/.test(stored));
});

Deno.test("send callback never answers 5xx, whatever the body", async () => {
  const key = fc.constantFrom(...Object.keys(sent), "extra");
  const value = fc.oneof(
    fc.constantFrom<unknown>(...Object.values(sent), "message_failed", "", CLIENT_MESSAGE_ID, "\0", "\ud800"),
    fc.jsonValue(),
  );
  const element = fc.oneof(
    fc.dictionary(key, value),
    fc.record({ event: fc.constant("message_sent"), error: value }),
    value,
  );
  const text = fc.oneof(fc.string(), fc.json(), element.map((v) => JSON.stringify(v)));
  const body = fc.oneof(text, fc.array(element).map((v) => JSON.stringify(v)), fc.uint8Array({ maxLength: 64 }));
  await fc.assert(
    fc.asyncProperty(body, async (bytes) => {
      const given = deps();
      const headers = { "content-type": "application/json", "x-api-key": "new" };
      const payload = typeof bytes === "string" ? bytes : Uint8Array.from(bytes);
      const response = await handle(new Request("http://f", { method: "POST", headers, body: payload }), given);
      await response.body?.cancel();
      assert.ok(response.status === 200 || response.status === 400, `answered ${response.status}`);
      assert.ok(given.calls.length <= 1, "more than one call");
      assertStorable(given.calls);
    }),
    { numRuns: 2_000 },
  );
});
