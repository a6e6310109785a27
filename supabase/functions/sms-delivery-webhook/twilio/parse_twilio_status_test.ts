import assert from "node:assert/strict";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import { parseTwilioStatus } from "./parse_twilio_status.ts";
import { twilioForm } from "./twilio_form.ts";

const ATTEMPT = "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10";
const delivered = { MessageSid: "SM1", MessageStatus: "delivered", From: "+15550001", To: "+15551230000" };
/** The same as the database gets it. */
const receipt = {
  event: "message_delivered",
  messageId: "SM1",
  reader: "sms",
  sessionId: "+15550001",
  timestamp: null,
  clientMessageId: ATTEMPT,
};

function parse(fields: Record<string, string>, attempt: string | null = ATTEMPT): ParsedEvent {
  return parseTwilioStatus(twilioForm(new URLSearchParams(fields)), attempt);
}

Deno.test("Twilio's status becomes a receipt of the SMS, with the attempt that was put into the address", () => {
  assert.deepEqual(parse(delivered), { ok: true, event: receipt });
  for (const status of ["sent", "read", "Sent", "READ"]) {
    const event = { ...receipt, event: `message_${status.toLowerCase()}` };
    assert.deepEqual(parse({ ...delivered, MessageStatus: status }), { ok: true, event });
  }
  assert.deepEqual(parse(delivered, null), { ok: true, event: { ...receipt, clientMessageId: null } });
  assert.deepEqual(parse(delivered, "x".repeat(300)), { ok: true, event: { ...receipt, clientMessageId: null } });
});

Deno.test("Twilio's status goes by its older names as well, and needs no sender", () => {
  assert.deepEqual(parse({ SmsSid: "SM1", SmsStatus: "delivered", MessagingServiceSid: "MG1" }), {
    ok: true,
    event: { ...receipt, sessionId: "MG1" },
  });
  assert.deepEqual(parse({ MessageSid: "SM1", MessageStatus: "delivered" }), {
    ok: true,
    event: { ...receipt, sessionId: null },
  });
});

Deno.test("Twilio's failure keeps its code, and a word where there is no other reason", () => {
  const failed = { ...receipt, event: "message_failed" };
  for (const status of ["undelivered", "failed", "canceled"]) {
    const form = { ...delivered, MessageStatus: status };
    const event = { ...failed, errorCode: "21610", errorMessage: status };
    assert.deepEqual(parse({ ...form, ErrorCode: "21610" }), { ok: true, event });
    assert.deepEqual(parse({ ...form, ErrorCode: "" }), { ok: true, event: { ...event, errorCode: null } });
    assert.deepEqual(parse({ ...form, ErrorCode: "21610", ErrorMessage: "Unsubscribed" }), {
      ok: true,
      event: { ...event, errorMessage: "Unsubscribed" },
    });
  }
});

Deno.test("Twilio's status of another kind goes on whole for the journal", () => {
  const huh = { MessageSid: "SM1", MessageStatus: "huh" };
  const event = { event: "twilio status", clientMessageId: ATTEMPT, payload: huh };
  assert.deepEqual(parse(huh), { ok: true, event });
});

Deno.test("Twilio's status is malformed without a message or a status, and the field is named", () => {
  const malformed: [string, Record<string, string>][] = [
    ["MessageStatus", { MessageSid: "SM1" }],
    ["MessageStatus", {}],
    ["MessageSid", { MessageStatus: "sent" }],
    ["MessageSid", { MessageStatus: "sent", MessageSid: " ", SmsSid: "" }],
    ["MessageSid", { MessageStatus: "sent", MessageSid: "S".repeat(257) }],
  ];
  for (const [field, form] of malformed) {
    const parsed = parse(form);
    assert.ok(!parsed.ok, JSON.stringify(form));
    assert.equal(parsed.field, field);
  }
});
