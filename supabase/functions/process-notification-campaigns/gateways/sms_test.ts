import assert from "node:assert/strict";
import type { Json } from "../../_shared/database.types.ts";
import { Environment } from "../../_shared/environment.ts";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import { fakeFetch } from "./fake_fetch.ts";
import { sms } from "./sms.ts";

const SERVICE = `MG${"0123456789abcdef".repeat(2)}`;
const variables = {
  TWILIO_API_URL: "https://twilio.test",
  TWILIO_ACCOUNT_SID: "AC1",
  TWILIO_AUTH_TOKEN: "new, old",
  TWILIO_FROM: "+14155550100",
  PUBLIC_FUNCTIONS_URL: "https://project.test/functions/v1",
};
const message = {
  clientMessageId: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  channel: "sms",
  sessionId: "+14155550123",
  recipient: "+919876543210",
  message: { type: "text", text: "Grüße & more = 1+1" },
};

const sent = { messageId: "SM1", clientMessageId: message.clientMessageId };

/** The gateway, before another side that answers every request with this. */
function answered(status: number, body: unknown, set: Record<string, string> = {}) {
  const all: Record<string, string> = { ...variables, ...set };
  const { fetch, requests } = fakeFetch(status, body);
  return { gateway: sms.create(new Environment((name) => all[name]), fetch), requests };
}

/** The form in which a message of this session leaves. */
async function formOf(sessionId: string, set: Record<string, string> = {}): Promise<Record<string, string>> {
  const { gateway, requests } = answered(201, { sid: "SM1" }, set);
  await gateway.send({ ...message, sessionId }, 1_000);
  return Object.fromEntries(new URLSearchParams(requests[0]?.body));
}

const report = (status: number, body: unknown) => Promise.resolve(answered(status, body).gateway.report?.(sent, 1_000));

Deno.test("sms sends a form as Twilio wants it, with the id of the attempt in its callback", async () => {
  const { gateway, requests } = answered(201, { sid: "SM1", status: "queued", price: null, error_code: null });
  assert.deepEqual(await gateway.send(message, 1_000), { outcome: "sent", messageId: "SM1" });
  const [request] = requests;
  assert.equal(request?.method, "POST");
  assert.equal(request?.url, "https://twilio.test/2010-04-01/Accounts/AC1/Messages.json");
  assert.equal(request?.headers.get("content-type"), "application/x-www-form-urlencoded");
  assert.deepEqual(Object.fromEntries(new URLSearchParams(request?.body)), {
    To: "+919876543210",
    From: "+14155550123",
    Body: "Grüße & more = 1+1",
    StatusCallback: "https://project.test/functions/v1/sms-delivery-webhook" +
      "?attempt=0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  });
});

Deno.test("sms authenticates with the first of the tokens", async () => {
  const { gateway, requests } = answered(201, { sid: "SM1" });
  await gateway.send(message, 1_000);
  assert.equal(requests[0]?.headers.get("authorization"), `Basic ${btoa("AC1:new")}`);
});

Deno.test("sms asks for no callbacks while nobody has said where the functions are", async () => {
  assert.ok(!("StatusCallback" in await formOf("+14155550123", { PUBLIC_FUNCTIONS_URL: "" })));
});

Deno.test("sms sends from whatever Twilio takes for a sender", async () => {
  for (const sender of ["+14155550123", "12345", "123", "ACME", "Acme Shop 1", "A-1"]) {
    const { From, MessagingServiceSid } = await formOf(sender);
    assert.deepEqual([From, MessagingServiceSid], [sender, undefined]);
  }
  assert.equal((await formOf("14155550123")).From, "+14155550123");
  const service = await formOf(SERVICE);
  assert.deepEqual([service.From, service.MessagingServiceSid], [undefined, SERVICE]);
});

Deno.test("sms sends from the default sender when the session is none", async () => {
  for (const session of ["sms_1", "our main number", "MG_1", "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10", "12", "+0"]) {
    assert.equal((await formOf(session)).From, "+14155550100", session);
  }
  assert.equal((await formOf("sms_1", { TWILIO_FROM: SERVICE })).MessagingServiceSid, SERVICE);
  assert.equal(answered(201, {}).gateway.defaultSender, "+14155550100");
});

Deno.test("sms defers a send for which it has no sender, and asks nobody", async () => {
  const { gateway, requests } = answered(201, { sid: "SM1" }, { TWILIO_FROM: "" });
  assert.ok(!("defaultSender" in gateway));
  const outcome = await gateway.send({ ...message, sessionId: "sms_1" }, 1_000);
  assert.equal(outcome.outcome, "deferred");
  assert.equal(outcome.errorCode, "no_sender");
  assert.deepEqual(requests, []);
});

Deno.test("sms refuses content that is no text, and takes a text in Meta's words", async () => {
  const sendContent = async (content: Json) => {
    const { gateway, requests } = answered(201, { sid: "SM1" });
    const outcome = await gateway.send({ ...message, message: content }, 1_000);
    return { outcome, body: new URLSearchParams(requests[0]?.body).get("Body") };
  };
  const template = { type: "template", template: { name: "offer", language: { code: "en_US" } } };
  for (const content of [template, { type: "image", image: { link: "x" } }, { image: {} }, { text: "x" }, null]) {
    const { outcome, body } = await sendContent(content);
    assert.equal(outcome.outcome, "failed", JSON.stringify(content));
    assert.equal(outcome.errorCode, "invalid_content");
    assert.equal(body, null);
  }
  assert.equal((await sendContent({ type: "text", text: { body: "Hello" } })).body, "Hello");
});

Deno.test("sms reports Twilio's own code and words", async () => {
  const refused = { code: 21610, message: "unsubscribed", more_info: "https://x", status: 400 };
  assert.deepEqual(await answered(400, refused).gateway.send(message, 1_000), {
    outcome: "failed",
    errorCode: "21610",
    errorMessage: "unsubscribed",
  });
  const busy = await answered(429, { code: 20429, message: "slow down", status: 429 }).gateway.send(message, 1_000);
  assert.deepEqual([busy.outcome, busy.errorCode], ["deferred", "20429"]);
  const broken = await answered(500, { code: 20500, message: "oops", status: 500 }).gateway.send(message, 1_000);
  assert.deepEqual([broken.outcome, broken.errorCode], ["unknown", "20500"]);
});

Deno.test("sms cannot be asked about an attempt, and says so without asking", async () => {
  const { gateway, requests } = answered(200, {});
  const found = await gateway.lookUp({ clientMessageId: "id", sessionId: null, recipient: "+91" }, 1_000);
  assert.deepEqual(found, { outcome: "not_found", asked: false });
  assert.deepEqual(requests, []);
});

Deno.test("sms reports what became of a message, and what it cost", async () => {
  const { gateway, requests } = answered(200, {
    sid: "SM1",
    status: "delivered",
    price: "-0.00750",
    price_unit: "usd",
    error_code: null,
    date_updated: "Sun, 22 Nov 2026 10:00:00 +0000",
  });
  assert.deepEqual(await gateway.report?.(sent, 1_000), {
    event: "message_delivered",
    messageId: "SM1",
    reader: "sms",
    timestamp: Date.parse("2026-11-22T10:00:00Z"),
    cost: 0.0075,
    currency: "USD",
  });
  assert.equal(requests[0]?.method, "GET");
  assert.equal(requests[0]?.url, "https://twilio.test/2010-04-01/Accounts/AC1/Messages/SM1.json");
  assert.equal(requests[0]?.headers.get("authorization"), `Basic ${btoa("AC1:new")}`);
});

Deno.test("sms reports each final state of a message, failures with their code", async () => {
  const events = {
    sent: "message_sent",
    delivered: "message_delivered",
    read: "message_read",
    undelivered: "message_failed",
    failed: "message_failed",
    canceled: "message_failed",
  };
  for (const [status, event] of Object.entries(events)) {
    assert.equal((await report(200, { status }))?.event, event);
  }
  assert.deepEqual(await report(200, { status: "undelivered", error_code: 30003, error_message: "unreachable" }), {
    event: "message_failed",
    messageId: "SM1",
    reader: "sms",
    errorCode: "30003",
    errorMessage: "unreachable",
  });
});

Deno.test("sms has nothing to report while a message is on its way or the answer says nothing", async () => {
  for (const status of ["queued", "accepted", "scheduled", "sending", "huh", null, 7]) {
    assert.equal(await report(200, { status }), undefined, `${status}`);
  }
  for (const [status, body] of [[404, { code: 20404 }], [401, {}], [500, {}], [200, []], [200, undefined]]) {
    assert.equal(await report(Number(status), body), undefined);
  }
});

Deno.test("sms leaves out a cost or a time that it cannot read", async () => {
  for (const price of [null, "", "free", "1e3", 7]) {
    const receipt = await report(200, { status: "sent", price, price_unit: "USD", date_updated: "yesterday" });
    assert.deepEqual(receipt, { event: "message_sent", messageId: "SM1", reader: "sms" });
  }
  assert.ok(!("cost" in (await report(200, { status: "sent", price: "-1", price_unit: null }) ?? {})));
});

Deno.test("sms refuses variables that are set and unusable", () => {
  for (const variable of ["TWILIO_FROM", "PUBLIC_FUNCTIONS_URL", "TWILIO_API_URL"]) {
    assert.throws(
      () => answered(200, {}, { [variable]: "_" }),
      (error) => error instanceof EnvironmentError && error.variable === variable,
    );
  }
});
