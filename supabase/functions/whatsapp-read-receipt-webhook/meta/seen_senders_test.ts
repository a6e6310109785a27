import assert from "node:assert/strict";
import { seenSenders } from "./seen_senders.ts";

const change = (id: unknown, number: unknown = "15550783881", field = "messages") => ({
  field,
  value: { metadata: { phone_number_id: id, display_phone_number: number }, statuses: [] },
});
const seen = (sessionId: string, accountId: string | null, displayPhoneNumber: string | null = "15550783881") => ({
  event: "sender_seen",
  sessionId,
  accountId,
  displayPhoneNumber,
});

Deno.test("senders of a post are named once each, with their account and number", () => {
  const entry = [{ id: "102", changes: [change("106"), change("107"), change("106")] }, {
    id: "103",
    changes: [change("108")],
  }];
  assert.deepEqual(seenSenders({ entry }), [seen("106", "102"), seen("107", "102"), seen("108", "103")]);
});

Deno.test("senders are told as far as they can be read, and only of messages", () => {
  const entry = [
    { changes: [change("106", 7)] },
    { id: "102", changes: [change(7), change(""), change("x".repeat(300)), change("109", "1", "calls"), null, {}, 7] },
    null,
    { id: "102" },
  ];
  assert.deepEqual(seenSenders({ entry }), [seen("106", null, null)]);
  for (const odd of [null, 7, "x", [], {}, { entry: null }, { entry: {} }]) assert.deepEqual(seenSenders(odd), []);
});
