import assert from "node:assert/strict";
import { parseTwilioMessage } from "./parse_twilio_message.ts";
import { twilioForm } from "./twilio_form.ts";

const sms = {
  MessageSid: "SM1",
  SmsStatus: "received",
  From: "+15551230000",
  To: "+15550001",
  Body: "Stop",
  NumMedia: "0",
};
/** The same as the database gets it. */
const stored = {
  event: "message_received",
  messageId: "SM1",
  direction: "inbound",
  channel: "sms",
  sessionId: "+15550001",
  contact: "+15551230000",
  userId: null,
  contactName: null,
  type: "text",
  text: "Stop",
  timestamp: null,
  contextMessageId: null,
};

/** What the database gets of a form. */
function eventsOf(fields: Record<string, string>): unknown[] {
  const parsed = parseTwilioMessage(twilioForm(new URLSearchParams(fields)));
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.reason);
  return parsed.value;
}

Deno.test("Twilio's message is stored with who wrote it, to which number, and what", () => {
  assert.deepEqual(eventsOf(sms), [{ ...stored, payload: sms }]);
  const { MessageSid: _sid, SmsStatus: _status, ...older } = { ...sms, SmsSid: "SM1" };
  assert.deepEqual(eventsOf(older), [{ ...stored, payload: older }]);
});

Deno.test("Twilio's message is one of WhatsApp when an address says so", () => {
  const whatsapp = {
    ...sms,
    From: "whatsapp:+15551230000",
    To: "whatsapp:+15550001",
    ProfileName: "Asha",
    MessageType: "button",
    ExternalUserId: "US.1",
    OriginalRepliedMessageSid: "SM0",
  };
  const event = {
    ...stored,
    channel: "whatsapp",
    userId: "US.1",
    contactName: "Asha",
    type: "button",
    contextMessageId: "SM0",
  };
  assert.deepEqual(eventsOf(whatsapp), [{ ...event, payload: whatsapp }]);
  const nameless = { ...sms, From: "US.1", To: "whatsapp:+15550001" };
  const known = { ...stored, channel: "whatsapp", contact: null, userId: "US.1", payload: nameless };
  assert.deepEqual(eventsOf(nameless), [known]);
});

Deno.test("Twilio's message may be a picture, a pressed button, empty, or from a short code", () => {
  const forms: [Record<string, string>, object][] = [
    [{ Body: "", NumMedia: "2", MediaUrl0: "https://x/0" }, { type: "media", text: null }],
    [{ Body: "", ButtonText: "Stop" }, {}],
    [{ Body: "" }, { text: null }],
    [{ From: "12345" }, { contact: "12345" }],
    [{ From: "ACME" }, { contact: null, userId: "ACME" }],
    [{ From: "" }, { contact: null }],
    [{ To: "" }, { sessionId: null }],
  ];
  for (const [changes, expected] of forms) {
    const form = { ...sms, ...changes };
    assert.deepEqual(eventsOf(form), [{ ...stored, ...expected, payload: form }]);
  }
});

Deno.test("Twilio's own opt-out service says what its keyword meant, whatever the word", () => {
  for (const [OptOutType, value] of [["STOP", "stop"], ["START", "resume"]] as const) {
    const form = { ...sms, Body: "arrêtez", OptOutType };
    const preference = {
      event: "preference_changed",
      messageId: stored.messageId,
      channel: "sms",
      sessionId: "+15550001",
      contact: "+15551230000",
      userId: null,
      value,
      category: null,
      timestamp: null,
      payload: form,
    };
    assert.deepEqual(eventsOf(form), [{ ...stored, text: "arrêtez", payload: form }, preference]);
  }
  for (const OptOutType of ["HELP", ""]) assert.equal(eventsOf({ ...sms, OptOutType }).length, 1);
});

Deno.test("Twilio's message is malformed without an id", () => {
  const { MessageSid: _sid, ...nameless } = sms;
  const parsed = parseTwilioMessage(twilioForm(new URLSearchParams(nameless)));
  assert.deepEqual(parsed, { ok: false, field: "MessageSid", reason: "is missing" });
});
