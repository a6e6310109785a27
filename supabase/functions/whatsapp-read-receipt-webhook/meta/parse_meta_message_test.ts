import assert from "node:assert/strict";
import { assertStorable } from "../../_shared/assert_storable.ts";
import { metaContacts } from "./meta_contacts.ts";
import { parseMetaMessage } from "./parse_meta_message.ts";

const contacts = [{ wa_id: "919876543210", user_id: "IN.1", profile: { name: "Asha" } }];
const message = {
  id: "wamid.1",
  from: "919876543210",
  timestamp: "1750091045",
  type: "text",
  text: { body: "Stop" },
  context: { from: "15550001", id: "wamid.0" },
};
/** The same as the database gets it. */
const stored = {
  event: "message_received",
  messageId: "wamid.1",
  direction: "inbound",
  channel: "whatsapp",
  sessionId: "106",
  contact: "919876543210",
  userId: "IN.1",
  contactName: "Asha",
  type: "text",
  text: "Stop",
  timestamp: "1750091045",
  contextMessageId: "wamid.0",
};

function eventOf(given: unknown, direction: "inbound" | "outbound" = "inbound", known: unknown = contacts): unknown {
  const parsed = parseMetaMessage(given, direction, { sessionId: "106", contacts: metaContacts(known) });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.reason);
  assertStorable(parsed.event);
  return parsed.event;
}

Deno.test("Meta's message is stored with who wrote it, what, and in answer to what", () => {
  assert.deepEqual(eventOf(message), { ...stored, payload: message });
});

Deno.test("Meta's message of somebody without a number is known by the user id", () => {
  const { from: _from, ...anonymous } = { ...message, from_user_id: "IN.1" };
  const known = [{ user_id: "IN.1", profile: { name: "Asha" } }];
  assert.deepEqual(eventOf(anonymous, "inbound", known), { ...stored, contact: null, payload: anonymous });
  const unknown = { ...stored, contact: null, contactName: null, payload: anonymous };
  assert.deepEqual(eventOf(anonymous, "inbound", []), unknown);
});

Deno.test("Meta's message without a sender is its only contact's", () => {
  const { from: _from, ...nameless } = message;
  assert.deepEqual(eventOf(nameless), { ...stored, payload: nameless });
  const nobody = { ...stored, contact: null, userId: null, contactName: null, payload: nameless };
  assert.deepEqual(eventOf(nameless, "inbound", []), nobody);
});

Deno.test("Meta's echo is ours, to whom it was written", () => {
  const echo = {
    id: "wamid.1",
    from: "15550001",
    to: "919876543210",
    timestamp: "1750091045",
    type: "text",
    text: { body: "Hi" },
  };
  const ours = { ...stored, direction: "outbound", text: "Hi", contextMessageId: null, payload: echo };
  assert.deepEqual(eventOf(echo, "outbound"), ours);
  const { to: _to, ...byUserId } = { ...echo, to_user_id: "IN.1" };
  const unnamed = { ...ours, contact: null, contactName: null, payload: byUserId };
  assert.deepEqual(eventOf(byUserId, "outbound", []), unnamed);
});

Deno.test("Meta's reactions, edits, revocations and unknown types are stored as what they are", () => {
  const parts: Record<string, unknown> = {
    reaction: { message_id: "wamid.0", emoji: "👍" },
    revoke: { original_message_id: "wamid.0" },
    edit: { original_message_id: "wamid.0", message: { type: "text", text: { body: "new" } } },
    unsupported: { type: "poll" },
    hologram: { id: "1" },
  };
  for (const [type, part] of Object.entries(parts)) {
    const given = { id: "wamid.1", from: "919876543210", timestamp: "1750091045", type, [type]: part };
    const text = type === "edit" ? "new" : null;
    assert.deepEqual(eventOf(given), { ...stored, type, text, contextMessageId: null, payload: given });
  }
});

Deno.test("Meta's message needs nothing but its id", () => {
  for (const odd of [undefined, null, 7, [], {}]) {
    const given = { id: "wamid.1", from: odd, timestamp: odd, type: odd, text: odd, context: odd };
    const timestamp = typeof odd === "number" ? odd : null;
    const bare = { ...stored, type: "unknown", text: null, timestamp, contextMessageId: null };
    const { payload, ...event }: Record<string, unknown> = JSON.parse(JSON.stringify(eventOf(given)));
    assert.deepEqual(event, bare);
    assert.ok(payload);
  }
});

Deno.test("Meta's message is malformed without an id, and the field is named", () => {
  for (
    const given of [{ ...message, id: undefined }, { ...message, id: " " }, { ...message, id: 7 }, {}, null, "x", [
      message,
    ]]
  ) {
    const parsed = parseMetaMessage(given, "inbound", { sessionId: null, contacts: metaContacts(contacts) });
    assert.ok(!parsed.ok, JSON.stringify(given));
    assert.match(parsed.field, /^(id|messages)$/);
  }
});
