import assert from "node:assert/strict";
import { Environment } from "../../_shared/environment.ts";
import { fakeFetch } from "./fake_fetch.ts";
import { vps } from "./vps.ts";

const variables: Record<string, string> = { WHATSAPP_VPS_URL: "http://vps.test/base/", WHATSAPP_VPS_API_KEY: "key" };
const message = {
  clientMessageId: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  channel: "whatsapp_group",
  sessionId: "wa_1",
  recipient: "120363040000000001@g.us",
  message: { type: "text", text: "Hello" },
};
const attempt = { clientMessageId: "a b", sessionId: "wa_1", recipient: message.recipient };

/** The gateway, before another side that answers every request with this. */
function answered(status: number, body: unknown, headers: Record<string, string> = {}) {
  const { fetch, requests } = fakeFetch(status, body, headers);
  return { gateway: vps.create(new Environment((name) => variables[name]), fetch), requests };
}

const send = (status: number, body: unknown) => answered(status, body).gateway.send(message, 1_000);
const ask = (status: number, body: unknown) => answered(status, body).gateway.lookUp(attempt, 1_000);

Deno.test("vps sends what the contract says", async () => {
  const { gateway, requests } = answered(200, { success: true, accepted: true });
  await gateway.send(message, 1_000);
  const [request] = requests;
  assert.equal(request?.method, "POST");
  assert.equal(request?.url, "http://vps.test/base/send");
  assert.equal(request?.headers.get("x-api-key"), "key");
  assert.equal(request?.headers.get("content-type"), "application/json");
  assert.deepEqual(JSON.parse(request?.body ?? ""), {
    sessionId: "wa_1",
    groupJid: "120363040000000001@g.us",
    message: { type: "text", text: "Hello" },
    clientMessageId: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  });
});

Deno.test("vps sends to a contact by the id of the person's chat", async () => {
  const { gateway, requests } = answered(200, { success: true });
  await gateway.send({ ...message, channel: "whatsapp", recipient: "+919876543210" }, 1_000);
  assert.equal(JSON.parse(requests[0]?.body ?? "").groupJid, "919876543210@s.whatsapp.net");
});

Deno.test("vps has a message accepted when it is taken, sent when the answer names a message id alone", async () => {
  assert.deepEqual(await send(200, { success: true, accepted: true }), { outcome: "accepted" });
  assert.deepEqual(await send(202, { success: true, accepted: true, messageId: "m" }), {
    outcome: "accepted",
    messageId: "m",
  });
  assert.deepEqual(await send(200, { success: true, messageId: "m" }), { outcome: "sent", messageId: "m" });
  assert.deepEqual(await send(200, { success: true }), { outcome: "accepted" });
});

Deno.test("vps has a message failed by an explicit rejection, with the gateway's reason", async () => {
  const cases: [number, unknown, string, string][] = [
    [200, { success: false, error: "not in group" }, "rejected", "not in group"],
    [200, { success: false }, "rejected", "the gateway gave no reason"],
    [400, { success: false, error: { code: 463, message: "restricted" } }, "463", "restricted"],
    [422, { message: "bad jid", code: "E_JID" }, "E_JID", "bad jid"],
    [404, undefined, "http_404", "the gateway answered 404"],
  ];
  for (const [status, body, errorCode, errorMessage] of cases) {
    assert.deepEqual(await send(status, body), { outcome: "failed", errorCode, errorMessage });
  }
  const long = await send(400, { error: "x".repeat(10_000) });
  assert.equal(long.errorMessage?.length, 500);
});

Deno.test("vps reports that our key is not taken under one code, whatever else the answer says", async () => {
  for (const body of [undefined, "nonsense", { error: { code: "E_KEY", message: "who are you?" } }]) {
    const outcome = await send(401, body);
    assert.equal(outcome.outcome, "failed");
    assert.equal(outcome.errorCode, "http_401");
  }
});

Deno.test("vps defers what proves that nothing was sent", async () => {
  for (const status of [425, 429, 503]) {
    assert.equal((await send(status, undefined)).outcome, "deferred");
  }
  const { gateway } = answered(429, { success: false, error: "slow down" }, { "retry-after": "30" });
  assert.equal((await gateway.send(message, 1_000)).retryAfterSeconds, 30);
});

Deno.test("vps does not know of a send whose answer says neither yes nor no", async () => {
  for (const body of [undefined, null, 7, "ok", [], {}, { success: "yes" }, { success: true, accepted: false }]) {
    assert.equal((await send(200, body)).outcome, "unknown", JSON.stringify(body));
  }
});

Deno.test("vps asks for the status by the id of the attempt", async () => {
  const { gateway, requests } = answered(200, { found: true, status: "sent", messageId: "m" });
  assert.deepEqual(await gateway.lookUp(attempt, 1_000), { outcome: "sent", messageId: "m" });
  assert.equal(requests[0]?.method, "GET");
  assert.equal(requests[0]?.url, "http://vps.test/base/message-status?clientMessageId=a%20b");
  assert.equal(requests[0]?.headers.get("x-api-key"), "key");
});

Deno.test("vps tells sent, failed and still in hand apart when it is asked", async () => {
  assert.deepEqual(await ask(200, { found: true, status: "DELIVERED" }), { outcome: "sent" });
  assert.deepEqual(await ask(200, { found: true, status: "failed", error: "gone" }), {
    outcome: "failed",
    errorCode: "rejected",
    errorMessage: "gone",
  });
  for (const status of ["queued", "processing", "pending", "something new", null]) {
    assert.deepEqual(await ask(200, { found: true, status }), { outcome: "accepted" });
  }
});

Deno.test("vps knows nothing of an attempt only when it says so", async () => {
  for (const status of [200, 404]) {
    assert.deepEqual(await ask(status, { found: false }), { outcome: "not_found" });
  }
  for (const [status, body] of [[200, {}], [200, undefined], [200, { found: "no" }], [500, {}], [401, {}], [302, {}]]) {
    assert.equal((await ask(Number(status), body)).outcome, "unanswered");
  }
});

Deno.test("vps without a route for questions cannot be asked", async () => {
  for (const [status, body] of [[404, undefined], [404, {}], [501, undefined]]) {
    assert.deepEqual(await ask(Number(status), body), { outcome: "not_found", asked: false });
  }
});

Deno.test("vps asks what became of a message by our id, and reports it under the gateway's", async () => {
  const { gateway, requests } = answered(200, { found: true, status: "delivery_ack", messageId: "another" });
  assert.deepEqual(await gateway.report?.({ messageId: "m", clientMessageId: "a b" }, 1_000), {
    event: "message_delivered",
    messageId: "m",
    reader: "recipient",
  });
  assert.equal(requests[0]?.url, "http://vps.test/base/message-status?clientMessageId=a%20b");
  assert.equal(requests[0]?.headers.get("x-api-key"), "key");
});

Deno.test("vps has nothing to report of a message that it does not know, or while it gives no proper answer", async () => {
  const delivered = { found: true, status: "delivered" };
  for (
    const [status, body] of [[200, { found: false, status: "read" }], [404, delivered], [500, delivered], [401, {}]]
  ) {
    const { gateway } = answered(Number(status), body);
    assert.equal(await gateway.report?.({ messageId: "m", clientMessageId: "a" }, 1_000), undefined);
  }
});
