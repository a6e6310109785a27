import assert from "node:assert/strict";
import { type Faults, storm } from "../faults.ts";
import { planFate } from "./fate.ts";

const contacts = Array.from({ length: 4000 }, (_, index) => `9197${`${index}`.padStart(8, "0")}`);
const stormy: Faults = { ...storm, seed: 5 };

function near(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) < 0.25 * expected + 0.005, `${what}: ${actual}, not about ${expected}`);
}

Deno.test("a fate repeats itself when seed and contact are the same, and differs when the seed differs", () => {
  const fates = (seed: number) => contacts.slice(0, 200).map((contact) => planFate({ ...storm, seed }, contact));
  assert.deepEqual(fates(5), fates(5));
  assert.notDeepEqual(fates(5), fates(6));
});

Deno.test("the rates of a storm are met when there are many contacts", () => {
  const fates = contacts.map((contact) => planFate(stormy, contact));
  const share = (holds: (fate: typeof fates[number]) => boolean) => fates.filter(holds).length / fates.length;
  const { undelivered, segmentsDisagree, settledLost, sentLost } = storm.sms;
  near(share((fate) => fate.failed), undelivered + segmentsDisagree, "failed");
  near(share((fate) => fate.faults.includes("segments that disagree")), segmentsDisagree, "segments");
  near(share((fate) => fate.faults.includes("reports lost")), settledLost + sentLost, "lost");
});

Deno.test("a message in a storm is proved by a callback, though its end may be known to those alone who ask", () => {
  for (const contact of contacts) {
    const fate = planFate(stormy, contact);
    const told = fate.reports.map(({ status }) => status);
    assert.ok(told.length > 0);
    if (told.includes("undelivered") || told.includes("failed")) assert.ok(fate.failed);
    else if (told.includes("delivered")) assert.ok(fate.delivered);
    else assert.deepEqual(told, ["sent"]);
  }
});

Deno.test("segments disagree in either order, and the message has failed", () => {
  const fates = contacts.map((contact) => planFate(stormy, contact)).filter(({ faults }) =>
    faults.includes("segments that disagree") && !faults.includes("reports lost")
  );
  const firsts = new Set(fates.map(({ reports }) => reports.find(({ status }) => status !== "sent")?.status));
  assert.deepEqual([...firsts].sort(), ["delivered", "undelivered"]);
  assert.ok(fates.every(({ failed, delivered }) => failed && !delivered));
});
