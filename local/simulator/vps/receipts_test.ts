import assert from "node:assert/strict";
import { type Faults, storm } from "../faults.ts";
import { defaultMemberCount, planAudience, receptionOf } from "./members.ts";
import { planReceipts, type ReceiptEvent } from "./receipts.ts";

const message = { sessionId: "wa_one", groupJid: "120363000000000001@g.us", messageId: "3EB0AA" };
const named: Faults = { ...storm, anonymousGroups: 0, sessionsWithoutNames: 0 };

function plan(faults: Faults) {
  const audience = planAudience(faults, message.groupJid, 256);
  return { reception: receptionOf(audience), receipts: planReceipts(faults, message, audience, 1_700_000_000_000) };
}

/** Who the events say got the message, and who they say read it: what a right backend makes of them. */
function counted(events: readonly ReceiptEvent[]) {
  const people = (wanted: readonly string[]) =>
    new Set(events.filter(({ event }) => wanted.includes(event)).map(({ reader }) => reader?.replace(/:\d+@/, "@")));
  return { delivered: people(["message_delivered", "message_read"]).size, read: people(["message_read"]).size };
}

Deno.test("receipts add up to the record when each person is counted once", () => {
  const { reception, receipts } = plan(named);
  assert.deepEqual(counted(receipts.events), { delivered: reception.delivered, read: reception.read });
  assert.ok(reception.delivered > 230 && reception.delivered < 256 && reception.read > 100);
});

Deno.test("each receipt comes from three sessions, shuffled, with reads before deliveries", () => {
  const { receipts } = plan(named);
  assert.equal(receipts.repeated * 3, receipts.events.length * 2);
  assert.deepEqual(
    new Set(receipts.events.map((event) => event.sessionId)),
    new Set(["wa_one", "wa_one_2", "wa_one_3"]),
  );
  assert.ok(receipts.readsBeforeDelivery > 20);
  assert.ok(receipts.readsWithoutDelivery > 5);
  assert.ok(receipts.events.some((event) => /^91\d+:\d+@s\.whatsapp\.net$/.test(event.reader ?? "")));
});

Deno.test("a session without names reports fewer deliveries than those that have names", () => {
  const { reception, receipts } = plan({ ...named, sessionsWithoutNames: 1 });
  const unnamed = receipts.events.filter((event) => event.reader === null);
  assert.equal(unnamed.length, Math.floor(reception.delivered / 2));
  assert.ok(unnamed.every((event) => event.event === "message_delivered"));
  assert.equal((receipts.events.length - unnamed.length) * 2, receipts.repeated * 3);
});

Deno.test("an anonymous group names nobody and counts no more than its members", () => {
  const { reception, receipts } = plan({ ...named, anonymousGroups: 1 });
  assert.ok(receipts.events.every((event) => event.reader === null && event.event === "message_delivered"));
  assert.ok(receipts.events.length >= 256);
  assert.deepEqual([reception.delivered, reception.read], [256, 0]);
});

Deno.test("receipts repeat themselves when the seed is the same", () => {
  assert.deepEqual(plan(named), plan(named));
  assert.notDeepEqual(plan(named).receipts.events, plan({ ...named, seed: 2 }).receipts.events);
});

Deno.test("a group nobody registered has from 5 to 256 members, always as many", () => {
  const counts = Array.from({ length: 2000 }, (_, index) => defaultMemberCount(`12036300000000${index}@g.us`));
  assert.ok(Math.min(...counts) >= 5 && Math.max(...counts) <= 256);
  assert.equal(defaultMemberCount(message.groupJid), defaultMemberCount(message.groupJid));
});
