import assert from "node:assert/strict";
import { metaContacts } from "./meta_contacts.ts";
import { parseMetaPreference } from "./parse_meta_preference.ts";

const preference = {
  wa_id: "919876543210",
  category: "marketing_messages",
  value: "stop",
  timestamp: 1_731_705_721,
  detail: "User requested to stop marketing messages",
};
/** The same as the database gets it. */
const changed = {
  event: "preference_changed",
  channel: "whatsapp",
  sessionId: "106",
  contact: "919876543210",
  userId: null,
  value: "stop",
  category: "marketing_messages",
  timestamp: 1_731_705_721,
};

function parse(given: unknown, contacts: unknown = []) {
  return parseMetaPreference(given, { sessionId: "106", contacts: metaContacts(contacts) });
}

Deno.test("Meta's preference says who wants what no more, or again", () => {
  for (const value of ["stop", "resume", "signup"]) {
    const given = { ...preference, value };
    assert.deepEqual(parse(given), { ok: true, event: { ...changed, value, payload: given } });
  }
});

Deno.test("Meta's preference is that of its only contact when it names nobody", () => {
  const { wa_id: _number, ...nameless } = preference;
  const known = [{ user_id: "IN.1" }];
  const event = { ...changed, contact: null, userId: "IN.1", payload: nameless };
  assert.deepEqual(parse(nameless, known), { ok: true, event });
});

Deno.test("Meta's preference is malformed when it says nothing, or of nobody, and the field is named", () => {
  const { wa_id: _number, ...nameless } = preference;
  const malformed: [string, unknown][] = [
    ["value", { ...preference, value: undefined }],
    ["value", { ...preference, value: "" }],
    ["value", { ...preference, value: true }],
    ["wa_id", nameless],
    ["user_preferences", null],
  ];
  for (const [field, given] of malformed) {
    const parsed = parse(given);
    assert.ok(!parsed.ok, JSON.stringify(given));
    assert.equal(parsed.field, field);
  }
});
