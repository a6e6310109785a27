import assert from "node:assert/strict";
import { calm, storm } from "../faults.ts";
import { planSend, type SendPlan } from "./plan.ts";

const groups = Array.from({ length: 4000 }, (_, index) => `1203630000000${index}@g.us`);

function share(holds: (plan: SendPlan) => boolean): number {
  return groups.filter((group) => holds(planSend({ ...storm, seed: 11 }, group, 1))).length / groups.length;
}

function near(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) < 0.25 * expected + 0.005, `${what}: ${actual}, not about ${expected}`);
}

Deno.test("a plan repeats itself when seed, group and request are the same", () => {
  for (const group of groups.slice(0, 200)) assert.deepEqual(planSend(storm, group, 1), planSend(storm, group, 1));
});

Deno.test("plans differ when the seed differs", () => {
  const fates = (seed: number) => groups.slice(0, 200).map((group) => planSend({ ...storm, seed }, group, 1).callback);
  assert.notDeepEqual(fates(1), fates(2));
});

Deno.test("the rates of a storm are met when there are many groups", () => {
  near(share((plan) => plan.answer === "reject"), storm.sendsRejected, "rejected");
  near(share((plan) => plan.answer === "hang" || plan.answer === "reset"), storm.sendTimeouts, "timeouts");
  near(share((plan) => plan.answer === "busy"), storm.sendsBusy, "busy");
  near(share((plan) => plan.callback.lost), storm.callbacksLost, "lost");
  near(share((plan) => plan.callback.doubled), storm.callbacksDoubled, "doubled");
  near(share((plan) => plan.callback.early), storm.callbacksEarly, "early");
  near(share((plan) => plan.receiptsEarly), storm.receiptsEarly, "receipts early");
  near(share((plan) => plan.malformed !== null), storm.malformedPosts, "malformed");
});

Deno.test("a gateway that was busy is not busy when it is asked again", () => {
  for (const group of groups.slice(0, 500)) {
    assert.notEqual(planSend({ ...storm, sendsBusy: 1 }, group, 2).answer, "busy");
  }
});

Deno.test("a callback that never comes is neither early nor doubled nor contradicted", () => {
  const lost = groups.map((group) => planSend(storm, group, 1)).filter((plan) => plan.callback.lost);
  assert.ok(lost.length > 0);
  for (const plan of lost) {
    assert.ok(!plan.callback.early && !plan.callback.doubled && plan.outcome !== "failed-then-sent");
  }
});

Deno.test("nothing goes wrong when the gateway is calm", () => {
  for (const group of groups.slice(0, 200)) {
    const plan = planSend(calm, group, 1);
    assert.equal(plan.answer, "accept");
    assert.equal(plan.outcome, "sent");
    assert.equal(plan.malformed, null);
    assert.deepEqual(plan.callback, { lost: false, early: false, doubled: false, withoutId: false });
  }
});
