import assert from "node:assert/strict";
import type { Json } from "../../_shared/database.types.ts";
import { Environment } from "../../_shared/environment.ts";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import { cloudApi } from "./cloud_api.ts";
import { fakeFetch } from "./fake_fetch.ts";

const variables = {
  WHATSAPP_CLOUD_API_URL: "https://graph.test",
  WHATSAPP_ACCESS_TOKEN: "token",
  WHATSAPP_PHONE_NUMBER_ID: "100000000000001",
};
const taken = { messaging_product: "whatsapp", contacts: [{ wa_id: "91" }], messages: [{ id: "wamid.1" }] };
const message = {
  clientMessageId: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  channel: "whatsapp",
  sessionId: "106540352242922",
  recipient: "+919876543210",
  message: { type: "text", text: "Hello" },
};

/** The gateway, before another side that answers every request with this. */
function answered(
  status: number,
  body: unknown,
  set: Record<string, string> = {},
  headers: Record<string, string> = {},
) {
  const all: Record<string, string> = { ...variables, ...set };
  const { fetch, requests } = fakeFetch(status, body, headers);
  return { gateway: cloudApi.create(new Environment((name) => all[name]), fetch), requests };
}

const send = (status: number, body: unknown) => answered(status, body).gateway.send(message, 1_000);

/** The body in which this content leaves. */
async function bodyOf(content: Json, channel = "whatsapp"): Promise<unknown> {
  const { gateway, requests } = answered(200, taken);
  await gateway.send({ ...message, channel, message: content }, 1_000);
  return JSON.parse(requests[0]?.body ?? "");
}

Deno.test("cloud api sends a text as Meta wants it, with the id of the attempt", async () => {
  const { gateway, requests } = answered(200, taken);
  assert.deepEqual(await gateway.send(message, 1_000), { outcome: "sent", messageId: "wamid.1" });
  const [request] = requests;
  assert.equal(request?.method, "POST");
  assert.equal(request?.url, "https://graph.test/v23.0/106540352242922/messages");
  assert.equal(request?.headers.get("authorization"), "Bearer token");
  assert.equal(request?.headers.get("content-type"), "application/json");
  assert.deepEqual(JSON.parse(request?.body ?? ""), {
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: "+919876543210",
    type: "text",
    text: { body: "Hello" },
    biz_opaque_callback_data: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  });
});

Deno.test("cloud api sends a template and any other content in Meta's shape as it is", async () => {
  const template = { type: "template", template: { name: "offer", language: { code: "en_US" }, components: [] } };
  const image = { type: "image", image: { link: "https://x.test/a.jpg", caption: "Hello" } };
  const preview = { type: "text", text: { body: "https://x.test", preview_url: true } };
  const envelope = {
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: "+919876543210",
    biz_opaque_callback_data: message.clientMessageId,
  };
  for (const content of [template, image, preview]) {
    assert.deepEqual(await bodyOf(content), { ...content, ...envelope });
  }
});

Deno.test("cloud api lets content say neither whom it is for nor whose it is", async () => {
  const sent = await bodyOf({
    type: "text",
    text: { body: "x" },
    to: "+10000000000",
    recipient_type: "group",
    biz_opaque_callback_data: "mine",
  });
  assert.deepEqual(sent, await bodyOf({ type: "text", text: { body: "x" } }));
});

Deno.test("cloud api addresses a group as one", async () => {
  const { gateway, requests } = answered(200, taken);
  await gateway.send({ ...message, channel: "whatsapp_group", recipient: "Y2FwaV9ncm91cA" }, 1_000);
  const { recipient_type, to } = JSON.parse(requests[0]?.body ?? "");
  assert.deepEqual({ recipient_type, to }, { recipient_type: "group", to: "Y2FwaV9ncm91cA" });
});

Deno.test("cloud api sends through the default number when the session is no phone number id", async () => {
  const { gateway, requests } = answered(200, taken);
  assert.equal(gateway.defaultSender, "100000000000001");
  await gateway.send({ ...message, sessionId: "main_number" }, 1_000);
  assert.equal(requests[0]?.url, "https://graph.test/v23.0/100000000000001/messages");
});

Deno.test("cloud api defers a send for which it has no number, and asks nobody", async () => {
  const { gateway, requests } = answered(200, taken, { WHATSAPP_PHONE_NUMBER_ID: "" });
  assert.ok(!("defaultSender" in gateway));
  const outcome = await gateway.send({ ...message, sessionId: "../me" }, 1_000);
  assert.equal(outcome.outcome, "deferred");
  assert.equal(outcome.errorCode, "no_sender");
  assert.deepEqual(requests, []);
});

Deno.test("cloud api takes a message that is held back for sent, for it has its id", async () => {
  for (const message_status of ["accepted", "held_for_quality_assessment", "paused", "something new"]) {
    const outcome = await send(200, { messages: [{ id: "wamid.1", message_status }] });
    assert.deepEqual(outcome, { outcome: "sent", messageId: "wamid.1" });
  }
});

Deno.test("cloud api does not know of a send whose answer names no id", async () => {
  for (const body of [{}, { messages: [] }, { messages: [{}] }, { messages: [{ id: 7 }] }, { messages: "wamid" }]) {
    const outcome = await send(200, body);
    assert.equal(outcome.outcome, "unknown", JSON.stringify(body));
    assert.equal(outcome.errorCode, "unreadable_answer");
  }
});

Deno.test("cloud api reports Meta's code and its details, else its message", async () => {
  const error = { message: "(#131056) pair rate limit hit", type: "OAuthException", code: 131056, fbtrace_id: "A" };
  assert.deepEqual(await send(400, { error: { ...error, error_data: { details: "Too many to one person." } } }), {
    outcome: "failed",
    errorCode: "131056",
    errorMessage: "Too many to one person.",
  });
  assert.equal((await send(400, { error })).errorMessage, "(#131056) pair rate limit hit");
  assert.equal((await send(401, { error: { ...error, code: 190 } })).errorCode, "190");
  assert.equal((await send(403, { error: { ...error, code: 10 } })).errorCode, "10");
});

Deno.test("cloud api defers a 429 and a 503 under Meta's own code", async () => {
  for (const status of [429, 503]) {
    const { gateway } = answered(status, { error: { code: 130429, message: "slow" } }, {}, { "retry-after": "60" });
    assert.deepEqual(await gateway.send(message, 1_000), {
      outcome: "deferred",
      errorCode: "130429",
      errorMessage: "slow",
      retryAfterSeconds: 60,
    });
  }
});

Deno.test("cloud api believes a server error only where its code says that nothing was done", async () => {
  for (const code of [4, 190, 368, 80007, 130429, 131056]) {
    const outcome = await send(500, { error: { code, message: "no" } });
    assert.deepEqual(outcome, { outcome: "failed", errorCode: String(code), errorMessage: "no" });
  }
  for (const code of [1, 2, 131000, 131016, 999]) {
    const outcome = await send(500, { error: { code, message: "went wrong" } });
    assert.equal(outcome.outcome, "unknown");
    assert.equal(outcome.errorCode, String(code));
  }
});

Deno.test("cloud api says what WhatsApp calls the recipient where that is not the number dialled", async () => {
  const outcomeOf = (input: unknown, wa_id: unknown) => send(200, { ...taken, contacts: [{ input, wa_id }] });
  for (const [input, waId] of [["+525512345678", "5215512345678"], ["5511912345678", "551112345678"]]) {
    assert.deepEqual(await outcomeOf(input, waId), { outcome: "sent", messageId: "wamid.1", waId });
  }
  const same = { outcome: "sent", messageId: "wamid.1" };
  for (
    const [input, waId] of [
      ["+91 98765-43210", "919876543210"],
      ["+919876543210", null],
      ["+919876543210", ""],
      ["+919876543210", "IN.1349"],
      ["+919876543210", 919876543211],
      [undefined, "919876543211"],
    ]
  ) {
    assert.deepEqual(await outcomeOf(input, waId), same, `${input} ${waId}`);
  }
  for (const contacts of [undefined, null, {}, [], [null], ["x"]]) {
    assert.deepEqual(await send(200, { ...taken, contacts }), same);
  }
});

Deno.test("cloud api cannot be asked about an attempt, and says so without asking", async () => {
  const { gateway, requests } = answered(200, {});
  const found = await gateway.lookUp({ clientMessageId: "id", sessionId: null, recipient: "+91" }, 1_000);
  assert.deepEqual(found, { outcome: "not_found", asked: false });
  assert.equal(gateway.report, undefined);
  assert.deepEqual(requests, []);
});

Deno.test("cloud api refuses a default sender that is no phone number id", () => {
  assert.throws(
    () => answered(200, {}, { WHATSAPP_PHONE_NUMBER_ID: "+14155550123" }),
    (error) => error instanceof EnvironmentError && error.variable === "WHATSAPP_PHONE_NUMBER_ID",
  );
});
