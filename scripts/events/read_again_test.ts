import assert from "node:assert/strict";
import { assertStorable } from "../../supabase/functions/_shared/assert_storable.ts";
import type { Json } from "../../supabase/functions/_shared/database.types.ts";
import { malformedEvent } from "../../supabase/functions/_shared/malformed_event.ts";
import { mutationsOf, withUnknownKeys } from "../../supabase/functions/_shared/mutations.ts";
import { payloadCorpus } from "../../supabase/functions/_shared/payload_corpus.ts";
import { storable } from "../../supabase/functions/_shared/storable.ts";
import { readMetaPost } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/read_meta_post.ts";
import { readAgain } from "./read_again.ts";

const SOURCES = ["send_callback", "receipt", "inbound", "sms_delivery", "signal"] as const;

const metadata = { display_phone_number: "15550001111", phone_number_id: "106540352242922" };
const contacts = [{ wa_id: "919870000001", profile: { name: "Asha" } }];
const status = {
  id: "wamid.1",
  status: "delivered",
  timestamp: "1790000000",
  recipient_id: "919870000001",
  biz_opaque_callback_data: "0199f6a8-0000-7000-8000-000000000001",
};
const message = { id: "wamid.2", from: "919870000001", timestamp: "1790000000", type: "text", text: { body: "Hello" } };
const preference = { wa_id: "919870000001", value: "stop", category: "marketing_messages", timestamp: 1_790_000_000 };
const value = { messaging_product: "whatsapp", metadata, contacts, statuses: [status], messages: [message] };
const change = { field: "messages", value };
const entry = { id: "1", changes: [change] };
const post = { object: "whatsapp_business_account", entry: [entry] };
const twilioStatus = { MessageSid: "SM1", SmsSid: "SM1", MessageStatus: "delivered", To: "+919870000001" };
const twilioMessage = {
  MessageSid: "SM2",
  SmsStatus: "received",
  From: "+919870000001",
  To: "+15550001111",
  Body: "STOP",
};

const metaReceipt = {
  event: "message_delivered",
  messageId: "wamid.1",
  reader: "recipient",
  sessionId: "106540352242922",
  timestamp: "1790000000",
  clientMessageId: "0199f6a8-0000-7000-8000-000000000001",
};
const metaMessage = {
  event: "message_received",
  messageId: "wamid.2",
  direction: "inbound",
  channel: "whatsapp",
  sessionId: "106540352242922",
  contact: "919870000001",
  userId: null,
  contactName: "Asha",
  type: "text",
  text: "Hello",
  timestamp: "1790000000",
  contextMessageId: null,
  payload: message,
};

function malformed(payload: unknown): Json {
  return malformedEvent("not read by an older version", payload);
}

Deno.test("a part of a post of Meta's reads as the post did, whichever part the journal kept", () => {
  const parts = [post, entry, change, value, { event: "meta messages", entry: "1", time: 1, value }];
  for (const part of [...parts, ...parts.map(malformed)]) {
    assert.deepEqual(readAgain("receipt", part), [
      { source: "receipt", events: [metaReceipt] },
      { source: "inbound", events: [metaMessage] },
    ]);
  }
});

Deno.test("an element of Meta's that was malformed reads with the sender and the contact that were kept with it", () => {
  assert.deepEqual(readAgain("receipt", malformed({ metadata, statuses: [status] })), [
    { source: "receipt", events: [metaReceipt] },
  ]);
  assert.deepEqual(readAgain("inbound", malformed({ metadata, contacts, messages: [message] })), [
    { source: "inbound", events: [metaMessage] },
  ]);
  const [read] = readAgain("inbound", malformed({ metadata, user_preferences: [preference] }));
  assert.equal(read?.source, "inbound");
  assert.equal(read?.events.length, 1);
});

Deno.test("a status of Meta's reads by itself, a message without its sender does not", () => {
  const withoutSender = { ...metaReceipt, sessionId: null };
  assert.deepEqual(readAgain("receipt", malformed(status)), [{ source: "receipt", events: [withoutSender] }]);
  const kept = { event: "meta status", sessionId: metadata.phone_number_id, value: status };
  assert.deepEqual(readAgain("receipt", kept), [{ source: "receipt", events: [metaReceipt] }]);
  assert.deepEqual(readAgain("inbound", malformed(message)), []);
});

Deno.test("a message or preference that was read but not taken reads once more from its own payload", () => {
  const read = { ...metaMessage, type: "unknown", text: null };
  assert.deepEqual(readAgain("inbound", read), [{ source: "inbound", events: [metaMessage] }]);
  const echo = { ...read, direction: "outbound" };
  assert.deepEqual(readAgain("inbound", echo), [{
    source: "inbound",
    events: [{ ...metaMessage, direction: "outbound" }],
  }]);
  const changed = {
    event: "preference_changed",
    channel: "whatsapp",
    sessionId: metadata.phone_number_id,
    contact: "919870000001",
    userId: null,
    value: "of old",
    category: null,
    timestamp: null,
    payload: preference,
  };
  assert.deepEqual(readAgain("inbound", changed), [{
    source: "inbound",
    events: [{ ...changed, value: "stop", category: "marketing_messages", timestamp: 1_790_000_000 }],
  }]);
});

Deno.test("what Meta said of an account before anybody knew what it means reads as a signal", () => {
  const value = { event: "DISABLED_UPDATE", ban_info: { waba_ban_state: "DISABLE" } };
  const signal = {
    event: "sender_restricted",
    cause: "ban",
    reason: "Meta: DISABLED_UPDATE, DISABLE",
    accountId: "102",
    displayPhoneNumber: null,
    timestamp: 1_790_000_000,
    payload: { field: "account_update", entry: "102", value },
  };
  const kept = { event: "meta account_update", entry: "102", time: 1_790_000_000, value };
  assert.deepEqual(readAgain("receipt", kept), [{ source: "signal", events: [signal] }]);
  assert.deepEqual(readAgain("signal", malformed({ entry: [{ id: "102", changes: [] }] })), []);
  const [unnamed] = readAgain("signal", malformed({ field: "account_update", value }));
  assert.match(JSON.stringify(unnamed?.events), /"event":"malformed"/);
});

Deno.test("what a gateway said of a session before anybody knew what it means reads as a signal", () => {
  const kept = { event: "session_restricted", sessionId: "wa_1", reason: "463", timestamp: 1_790_000_000 };
  for (const source of ["send_callback", "signal"]) {
    assert.deepEqual(readAgain(source, malformed(kept)), [{
      source: "signal",
      events: [{
        event: "sender_restricted",
        cause: "restriction",
        sessionId: "wa_1",
        reason: "the gateway reported session_restricted: 463",
        timestamp: 1_790_000_000,
      }],
    }]);
  }
});

Deno.test("a form of Twilio's reads as it would have come", () => {
  const receipt = { event: "message_delivered", messageId: "SM1", reader: "sms", sessionId: null, timestamp: null };
  const attempt = "0199f6a8-0000-7000-8000-000000000001";
  const kept = { event: "twilio status", clientMessageId: attempt, payload: twilioStatus };
  assert.deepEqual(readAgain("sms_delivery", kept), [
    { source: "sms_delivery", events: [{ ...receipt, clientMessageId: attempt }] },
  ]);
  assert.deepEqual(readAgain("sms_delivery", malformed(twilioStatus)), [
    { source: "sms_delivery", events: [{ ...receipt, clientMessageId: null }] },
  ]);
  const repeated = { ...twilioMessage, Body: ["first", "STOP"] };
  for (const form of [twilioMessage, repeated]) {
    const [read] = readAgain("inbound", malformed(form));
    const [first] = read?.events ?? [];
    assert.ok(typeof first === "object" && first !== null && !Array.isArray(first));
    const { event, messageId, sessionId, contact, text, payload } = first;
    assert.deepEqual({ event, messageId, sessionId, contact, text, payload }, {
      event: "message_received",
      messageId: "SM2",
      sessionId: "+15550001111",
      contact: "+919870000001",
      text: "STOP",
      payload: form,
    });
  }
});

Deno.test("an event of a gateway reads as its webhook would read it", () => {
  const receipt = { event: "message_read", messageId: "M1", reader: "91987@s.whatsapp.net" };
  const rest = { sessionId: null, timestamp: null };
  assert.deepEqual(readAgain("receipt", malformed(receipt)), [{
    source: "receipt",
    events: [{ ...receipt, ...rest }],
  }]);
  const callback = { event: "message_sent", messageId: "M1", groupJid: "1@g.us" };
  const [read] = readAgain("send_callback", malformed(callback));
  assert.equal(read?.source, "send_callback");
  const report = { messageId: "M1", status: "delivered" };
  assert.equal(readAgain("sms_delivery", malformed(report)).length, 1);
});

Deno.test("what cannot be read still is nothing, and so is a source that nobody knows", () => {
  for (const source of SOURCES) {
    for (const payload of [null, 7, "{", [], {}, { event: "" }, malformed(null), malformed("{"), malformed({})]) {
      assert.deepEqual(readAgain(source, payload), [], `${source} ${JSON.stringify(payload)}`);
    }
  }
  assert.deepEqual(readAgain("elsewhere", post), []);
});

Deno.test("whatever the journal holds, reading it never fails and makes nothing that the database could not store", () => {
  const corpus = payloadCorpus("meta").flatMap(({ text }) => {
    const body: unknown = JSON.parse(text);
    return [body, withUnknownKeys(body)];
  });
  const forms = [
    post,
    change,
    value,
    status,
    message,
    preference,
    twilioStatus,
    twilioMessage,
    metaReceipt,
    metaMessage,
  ];
  for (const payload of [...forms.flatMap((form) => [...mutationsOf(form)]), ...corpus]) {
    for (const source of SOURCES) {
      for (const kept of [storable(payload), malformed(payload)]) {
        for (const { events } of readAgain(source, kept)) for (const event of events) assertStorable(event);
      }
    }
  }
});

Deno.test("what this version could not read, it cannot read from the journal either", () => {
  for (const mutation of mutationsOf(post)) {
    const read = readMetaPost(mutation);
    if (!read.ok) continue;
    for (const [source, events] of [["receipt", read.value.receipts], ["inbound", read.value.messages]] as const) {
      for (const event of events.filter(isMalformed)) {
        for (const again of readAgain(source, event)) {
          assert.ok(again.events.every(isMalformed), JSON.stringify(event));
        }
      }
    }
  }
});

function isMalformed(event: Json): boolean {
  return typeof event === "object" && event !== null && !Array.isArray(event) && event.event === "malformed";
}
