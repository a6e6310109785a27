import assert from "node:assert/strict";
import { assertStorable } from "../../_shared/assert_storable.ts";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import { metaContacts } from "./meta_contacts.ts";
import { parseMetaStatus } from "./parse_meta_status.ts";

const status = { id: "wamid.1", status: "delivered", timestamp: "1750030073", recipient_id: "919876543210" };
/** The same as the database gets it. */
const receipt = {
  event: "message_delivered",
  messageId: "wamid.1",
  reader: "recipient",
  sessionId: "106",
  timestamp: "1750030073",
  clientMessageId: null,
};

function parse(given: unknown): ParsedEvent {
  return parseMetaStatus(given, { sessionId: "106", contacts: metaContacts([]) });
}

function eventOf(given: unknown): unknown {
  const parsed = parse(given);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.reason);
  assertStorable(parsed.event);
  return parsed.event;
}

Deno.test("Meta's status becomes a receipt of its recipient", () => {
  assert.deepEqual(eventOf(status), receipt);
  for (const each of ["sent", "read", "played"]) {
    assert.deepEqual(eventOf({ ...status, status: each }), { ...receipt, event: `message_${each}` });
  }
});

Deno.test("Meta's status needs no number, time, conversation or pricing", () => {
  assert.deepEqual(eventOf({ id: "wamid.1", status: "delivered" }), { ...receipt, timestamp: null });
  const { recipient_id: _number, ...byUserId } = { ...status, recipient_user_id: "IN.1", type: "message" };
  assert.deepEqual(eventOf(byUserId), receipt);
});

Deno.test("Meta's status of a group names its participant, and nobody when it is about the group", () => {
  const group = { ...status, recipient_type: "group" };
  const participants: [object, unknown][] = [
    [{ recipient_participant_id: "91987", recipient_participant_user_id: "IN.1" }, "91987"],
    [{ participant_recipient_id: "91987" }, "91987"],
    [{ recipient_participant_user_id: "IN.1" }, "IN.1"],
    [{ recipient_participant_id: "", participant_recipient_id: null, recipient_participant_user_id: "IN.1" }, "IN.1"],
    [{}, null],
  ];
  for (const [given, reader] of participants) {
    assert.deepEqual(eventOf({ ...group, ...given }), { ...receipt, reader });
    if (reader !== null) {
      assert.deepEqual(eventOf({ ...status, ...given }), { ...receipt, reader });
    }
  }
  assert.deepEqual(eventOf({ ...status, recipient_type: "individual" }), receipt);
});

Deno.test("Meta's status brings back the id that went along with the message", () => {
  const id = "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10";
  assert.deepEqual(eventOf({ ...status, biz_opaque_callback_data: id }), { ...receipt, clientMessageId: id });
  assert.deepEqual(eventOf({ ...status, biz_opaque_callback_data: "somebody else's" }), {
    ...receipt,
    clientMessageId: "somebody else's",
  });
});

Deno.test("Meta's failed status keeps its code and every word of its reason once", () => {
  const failed = { ...receipt, event: "message_failed" };
  const reasons: [unknown, string | null, string | null][] = [
    [
      [{
        code: 131049,
        title: "Not delivered",
        message: "Not delivered",
        error_data: { details: "Healthy ecosystem" },
      }],
      "131049",
      "Not delivered: Healthy ecosystem",
    ],
    [[{ code: 131026, title: "Message undeliverable" }, { code: 1 }], "131026", "Message undeliverable"],
    [[{ code: "131026" }], "131026", null],
    [[{ error_data: { details: "x" } }], null, "x"],
    [[{}], null, null],
    [[], null, null],
    [[null], null, null],
    ["x", null, null],
    [undefined, null, null],
  ];
  for (const [errors, errorCode, errorMessage] of reasons) {
    assert.deepEqual(eventOf({ ...status, status: "failed", errors }), { ...failed, errorCode, errorMessage });
  }
  assert.deepEqual(eventOf({ ...status, errors: [{ code: 131049 }] }), receipt);
});

Deno.test("Meta's pricing is a category on what is billed, an amount where one is given, and nothing when it is free", () => {
  const pricing = { billable: true, pricing_model: "PMP", type: "regular", category: "marketing" };
  const known: [object, object][] = [
    [{}, { pricingCategory: "marketing" }],
    [{ billable: undefined }, { pricingCategory: "marketing" }],
    [{ category: null }, {}],
    [{ billable: false }, { cost: 0 }],
    [{ type: "free_customer_service" }, { cost: 0 }],
    [{ type: "free_entry_point", billable: true }, { cost: 0 }],
    [{ cost: 0.0052, currency: "usd" }, { cost: 0.0052, currency: "USD" }],
    [{ amount: "0.0052", currency: "INR" }, { cost: 0.0052, currency: "INR" }],
    [{ price: 0.5 }, { cost: 0.5, currency: null }],
    [{ cost: 0.5, billable: false }, { cost: 0.5, currency: null }],
    [{ cost: -1, currency: "USD" }, { pricingCategory: "marketing" }],
  ];
  for (const [given, cost] of known) {
    assert.deepEqual(eventOf({ ...status, pricing: { ...pricing, ...given } }), { ...receipt, ...cost });
  }
  for (const each of ["read", "played"]) {
    const billed = { ...receipt, event: `message_${each}`, pricingCategory: "marketing" };
    assert.deepEqual(eventOf({ ...status, status: each, pricing }), billed);
  }
  assert.deepEqual(eventOf({ ...status, status: "sent", pricing }), { ...receipt, event: "message_sent" });
  const failed = { ...receipt, event: "message_failed", errorCode: null, errorMessage: null };
  assert.deepEqual(eventOf({ ...status, status: "failed", pricing }), failed);
  for (const odd of [null, "x", 7, []]) {
    assert.deepEqual(eventOf({ ...status, pricing: odd }), receipt);
  }
});

Deno.test("Meta's status of another kind, or about a call or a payment, goes on whole for the journal", () => {
  const others = [
    { ...status, status: "deleted" },
    { ...status, status: "warning" },
    { ...status, status: "SENT" },
    { ...status, status: "RINGING", type: "call" },
    { ...status, status: "failed", type: "payment" },
    { ...status, status: "delivered", type: 7 },
  ];
  for (const given of others) {
    assert.deepEqual(eventOf(given), { event: "meta status", sessionId: "106", value: given });
  }
});

Deno.test("Meta's status is malformed without an id or a status, and the field is named", () => {
  const malformed: [string, unknown][] = [
    ["id", { status: "read" }],
    ["id", { ...status, id: "" }],
    ["id", { ...status, id: null }],
    ["id", { ...status, id: 7 }],
    ["id", { ...status, id: "w".repeat(257) }],
    ["status", { ...status, status: undefined }],
    ["status", { ...status, status: 7 }],
    ["statuses", null],
    ["statuses", "read"],
    ["statuses", [status]],
  ];
  for (const [field, given] of malformed) {
    const parsed = parse(given);
    assert.ok(!parsed.ok, JSON.stringify(given));
    assert.equal(parsed.field, field);
  }
});
