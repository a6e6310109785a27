import assert from "node:assert/strict";
import { classifySendAnswer, classifyStatusAnswer } from "./classify_answer.ts";
import { retryAfterSeconds } from "./retry_after_seconds.ts";

const send = (status: number, body: unknown, retryAfter: string | null = null) =>
  classifySendAnswer({ status, body, retryAfter });
const ask = (status: number, body: unknown) => classifyStatusAnswer({ status, body, retryAfter: null });

Deno.test("send answer is accepted when the gateway took the message, sent when it names a message id alone", () => {
  assert.deepEqual(send(200, { success: true, accepted: true }), { outcome: "accepted" });
  assert.deepEqual(send(202, { success: true, accepted: true, messageId: "m" }), {
    outcome: "accepted",
    messageId: "m",
  });
  assert.deepEqual(send(200, { success: true, messageId: "m" }), { outcome: "sent", messageId: "m" });
  assert.deepEqual(send(200, { success: true }), { outcome: "accepted" });
});

Deno.test("send answer is failed for an explicit rejection, with the gateway's reason", () => {
  const cases: [number, unknown, string, string][] = [
    [200, { success: false, error: "not in group" }, "rejected", "not in group"],
    [400, { success: false, error: { code: 463, message: "restricted" } }, "463", "restricted"],
    [422, { message: "bad jid", code: "E_JID" }, "E_JID", "bad jid"],
    [404, undefined, "http_404", "the gateway answered 404"],
    [401, "nonsense", "http_401", "the gateway answered 401"],
  ];
  for (const [status, body, errorCode, errorMessage] of cases) {
    assert.deepEqual(send(status, body), { outcome: "failed", errorCode, errorMessage });
  }
  const long = send(400, { error: "x".repeat(10_000) });
  assert.equal(long.errorMessage?.length, 500);
});

Deno.test("send answer is deferred when it proves that nothing was sent", () => {
  for (const status of [425, 429, 503]) assert.equal(send(status, undefined).outcome, "deferred");
  assert.equal(send(429, { success: false, error: "slow down" }, "30").retryAfterSeconds, 30);
  assert.ok(!("retryAfterSeconds" in send(429, {}, "soon")));
});

Deno.test("send answer is unknown when it proves nothing", () => {
  for (const status of [408, 500, 502, 504]) {
    assert.equal(send(status, { success: false, error: "timed out" }).outcome, "unknown");
  }
  for (const status of [301, 302, 307]) assert.equal(send(status, undefined).outcome, "unknown");
  for (const body of [undefined, null, 7, "ok", [], {}, { success: "yes" }, { success: true, accepted: false }]) {
    assert.equal(send(200, body).outcome, "unknown", JSON.stringify(body));
  }
});

Deno.test("status answer tells sent, failed and still in hand apart", () => {
  assert.deepEqual(ask(200, { found: true, status: "sent", messageId: "m" }), { outcome: "sent", messageId: "m" });
  assert.deepEqual(ask(200, { found: true, status: "DELIVERED" }), { outcome: "sent" });
  assert.deepEqual(ask(200, { found: true, status: "failed", error: "gone" }), {
    outcome: "failed",
    errorCode: "rejected",
    errorMessage: "gone",
  });
  for (const status of ["queued", "processing", "pending", "something new", null]) {
    assert.deepEqual(ask(200, { found: true, status }), { outcome: "accepted" });
  }
});

Deno.test("status answer says not found only when the gateway says so or has no such route", () => {
  assert.deepEqual(ask(200, { found: false }), { outcome: "not_found" });
  assert.deepEqual(ask(404, { found: false }), { outcome: "not_found" });
  assert.deepEqual(ask(404, undefined), { outcome: "not_found" });
  assert.deepEqual(ask(501, undefined), { outcome: "not_found" });
  for (const [status, body] of [[200, {}], [200, undefined], [200, { found: "no" }], [500, {}], [401, {}], [302, {}]]) {
    assert.equal(ask(Number(status), body).outcome, "unanswered");
  }
});

Deno.test("retry after is read as seconds or as a date, and nothing else", () => {
  const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");
  assert.equal(retryAfterSeconds("120", now), 120);
  assert.equal(retryAfterSeconds("Wed, 21 Oct 2026 07:28:30 GMT", now), 30);
  assert.equal(retryAfterSeconds("Wed, 21 Oct 2026 07:00:00 GMT", now), 0);
  assert.equal(retryAfterSeconds("99999999999", now), 86_400);
  for (const header of [null, "", "-5", "1.5", "soon", "2026-10-21"]) {
    assert.equal(retryAfterSeconds(header, now), undefined);
  }
});
