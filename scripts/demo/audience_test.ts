import assert from "node:assert/strict";
import { makeAudience } from "./audience.ts";

const SIZE = 2000;
const audience = makeAudience(7, "whatsapp", SIZE);

Deno.test("an audience is the same when seed and channel are the same, and another when either differs", () => {
  assert.deepEqual(makeAudience(7, "whatsapp", SIZE), audience);
  assert.notDeepEqual(makeAudience(8, "whatsapp", SIZE).recipients, audience.recipients);
  assert.notDeepEqual(makeAudience(7, "sms", SIZE).recipients, audience.recipients);
});

Deno.test("every row of an audience is due or skipped, and no two are written alike", () => {
  const { recipients, due, skipped } = audience;
  assert.equal(new Set(recipients).size, SIZE);
  assert.equal(recipients.length, SIZE);
  for (const recipient of recipients) assert.ok(due.has(recipient) !== skipped.has(recipient), recipient);
});

Deno.test("everybody who is due is somebody else, whose spelling holds their digits", () => {
  assert.equal(new Set(audience.due.values()).size, audience.due.size);
  for (const [recipient, digits] of audience.due) {
    assert.equal(recipient.replace("@s.whatsapp.net", "").replace(/\D/g, "").replace(/^00/, ""), digits);
  }
});

Deno.test("some are skipped for each reason", () => {
  const reasons = Map.groupBy(audience.skipped, ([, reason]) => reason);
  assert.equal(reasons.get("invalid_phone_number")?.length, 20);
  assert.equal(reasons.get("duplicate_recipient")?.length, 40);
  assert.equal(reasons.get("opted_out")?.length, 40);
});

Deno.test("a duplicate comes after the one it repeats, in another spelling", () => {
  const places = new Map(audience.recipients.map((recipient, place) => [recipient, place]));
  const digitsOf = (recipient: string) =>
    recipient.replace("@s.whatsapp.net", "").replace(/\D/g, "").replace(/^00/, "");
  const writtenAs = new Map([...audience.due].map(([recipient, digits]) => [digits, recipient]));
  for (const [repeat, reason] of audience.skipped) {
    if (reason !== "duplicate_recipient") continue;
    const first = writtenAs.get(digitsOf(repeat));
    assert.ok(first !== undefined && first !== repeat);
    assert.ok((places.get(first) ?? Infinity) < (places.get(repeat) ?? -1));
  }
});

Deno.test("whoever opted out before said so in another spelling than the campaign's", () => {
  assert.equal(audience.optedOut.size, 40);
  for (const written of audience.optedOut.keys()) assert.ok(!audience.recipients.includes(written));
  for (const digits of audience.optedOut.values()) assert.ok(![...audience.due.values()].includes(digits));
});
