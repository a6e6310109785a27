import assert from "node:assert/strict";
import { calm, type Faults, storm } from "../faults.ts";
import { planFate } from "./fate.ts";

const contacts = Array.from({ length: 4000 }, (_, index) => `9198${`${index}`.padStart(8, "0")}`);
const stormy: Faults = { ...storm, seed: 5 };

function share(holds: (fate: ReturnType<typeof planFate>) => boolean): number {
  return contacts.filter((contact) => holds(planFate(stormy, contact))).length / contacts.length;
}

function near(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) < 0.25 * expected + 0.005, `${what}: ${actual}, not about ${expected}`);
}

const told = (fate: ReturnType<typeof planFate>) => fate.reports.map(({ status }) => status);

Deno.test("a fate repeats itself when seed and contact are the same, and differs when the seed differs", () => {
  const fates = (seed: number) => contacts.slice(0, 200).map((contact) => planFate({ ...storm, seed }, contact));
  assert.deepEqual(fates(5), fates(5));
  assert.notDeepEqual(fates(5), fates(6));
});

Deno.test("the rates of a storm are met when there are many contacts", () => {
  const { failed, failedAfterSent, failedThenDelivered, reportsShuffled, sentLost } = storm.cloudApi;
  near(share((fate) => fate.failed), failed + failedAfterSent, "failed");
  near(share((fate) => fate.faults.includes("failures that were none")), failedThenDelivered, "failed then delivered");
  near(share((fate) => fate.faults.includes("reports lost")), sentLost * storm.deliveredShare, "sent lost");
  near(share((fate) => fate.delivered), 0.92, "delivered");
  near(share((fate) => fate.read), 0.92 * storm.readShare, "read");
  // a shuffle of one or two may leave them as they are
  near(share((fate) => fate.faults.includes("reports out of order")), reportsShuffled / 2, "shuffled");
});

Deno.test("what is told of a message proves what truly became of it, in a storm as on a good day", () => {
  for (const faults of [stormy, { ...calm, seed: 5 }]) {
    for (const contact of contacts) {
      const fate = planFate(faults, contact);
      const statuses = told(fate);
      assert.ok(statuses.length > 0, "a message that nobody reports on cannot be told from one that never went out");
      assert.equal(fate.delivered, statuses.includes("delivered") || statuses.includes("read"));
      assert.equal(fate.read, statuses.includes("read"));
      assert.equal(fate.failed, statuses.includes("failed") && !fate.delivered);
      assert.equal(fate.errorCode === null, !statuses.includes("failed"));
    }
  }
});

Deno.test("statuses come once and in order on a good day", () => {
  for (const contact of contacts) {
    const { reports, faults } = planFate(calm, contact);
    assert.deepEqual(faults, []);
    assert.ok(["sent", "sent,delivered", "sent,delivered,read"].includes(reports.map(({ status }) => status).join()));
    assert.ok(reports.every(({ againAfterMs }) => againAfterMs === null));
    assert.deepEqual(reports, reports.toSorted((one, other) => one.afterMs - other.afterMs));
  }
});

Deno.test("nothing is told of a silent message, which went out all the same", () => {
  const fate = planFate({ ...calm, cloudApi: { ...calm.cloudApi, silent: 1 } }, contacts[0] ?? "");
  assert.deepEqual([fate.reports.length, fate.failed, fate.delivered], [0, false, false]);
});
