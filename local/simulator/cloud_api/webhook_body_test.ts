import assert from "node:assert/strict";
import { z } from "zod";
import { randomFor } from "../random.ts";
import type { CloudApiEvent } from "./event.ts";
import { webhookBody } from "./webhook_body.ts";

const bodySchema = z.object({
  object: z.literal("whatsapp_business_account"),
  entry: z.array(z.object({
    id: z.string(),
    changes: z.array(z.object({
      field: z.string(),
      value: z.object({
        metadata: z.object({ phone_number_id: z.string() }),
        contacts: z.array(z.unknown()),
        statuses: z.array(z.object({ id: z.number() })).default([]),
        messages: z.array(z.object({ id: z.number() })).default([]),
        user_preferences: z.array(z.object({ id: z.number() })).default([]),
      }),
    })),
  })),
});

/** A thousand events about two numbers, of all lists. */
const events: CloudApiEvent[] = Array.from({ length: 1000 }, (_, id) => {
  const draw = randomFor(1, "event", id);
  return {
    phoneNumberId: draw.pick(["111", "111", "111", "222"]),
    list: draw.pick(["statuses", "statuses", "messages", "user_preferences"]),
    element: { id },
    person: { wa_id: `${draw.int(1, 20)}` },
  };
});

const changes = bodySchema.parse(webhookBody(events, randomFor(1, "body"))).entry.flatMap((entry) => entry.changes);

Deno.test("each event of a batch is in its body once, under its number and its field", () => {
  const found = changes.flatMap(({ field, value }) =>
    (["statuses", "messages", "user_preferences"] as const).flatMap((list) => {
      assert.ok(value[list].length === 0 || field === (list === "user_preferences" ? list : "messages"));
      return value[list].map(({ id }) => ({ id, list, phoneNumberId: value.metadata.phone_number_id }));
    })
  ).sort((one, other) => one.id - other.id);
  assert.deepEqual(found, events.map(({ list, phoneNumberId }, id) => ({ id, list, phoneNumberId })));
});

Deno.test("a batch is spread over entries and changes, and statuses and messages share some", () => {
  assert.ok(bodySchema.parse(webhookBody(events, randomFor(1, "body"))).entry.length > 10);
  assert.ok(changes.some(({ value }) => value.statuses.length > 0 && value.messages.length > 0));
  for (const { value } of changes) {
    assert.equal(new Set(value.contacts.map((person) => JSON.stringify(person))).size, value.contacts.length);
  }
});
