import assert from "node:assert/strict";
import { calm, storm } from "../faults.ts";
import { planRequest, type RequestPlan } from "./plan.ts";

const contacts = Array.from({ length: 4000 }, (_, index) => `9198${`${index}`.padStart(8, "0")}`);
const SECTIONS = ["cloudApi", "sms"] as const;

function near(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) < 0.25 * expected + 0.005, `${what}: ${actual}, not about ${expected}`);
}

Deno.test("a plan repeats itself when seed, gateway, contact and request are the same", () => {
  const plans = (seed: number, section: typeof SECTIONS[number]) =>
    contacts.slice(0, 200).map((contact) => planRequest({ ...storm, seed }, section, contact, 1));
  assert.deepEqual(plans(1, "sms"), plans(1, "sms"));
  assert.notDeepEqual(plans(1, "sms"), plans(2, "sms"));
  assert.notDeepEqual(plans(1, "sms"), plans(1, "cloudApi"));
});

Deno.test("the rates of a storm are met when there are many contacts", () => {
  for (const section of SECTIONS) {
    const plans = contacts.map((contact) => planRequest({ ...storm, seed: 3 }, section, contact, 1));
    const share = (holds: (plan: RequestPlan) => boolean) => plans.filter(holds).length / plans.length;
    const rates = storm[section];
    near(share(({ answer }) => answer === "busy"), rates.sendsBusy, "busy");
    near(share(({ answer }) => answer === "break"), rates.sendsBroken, "broken");
    near(share(({ answer }) => answer === "reject"), rates.sendsRejected, "rejected");
    near(share(({ answer }) => answer === "break-yet-take"), rates.sendsBrokenYetTaken, "broken yet taken");
    near(share(({ answer }) => answer === "hang" || answer === "reset"), rates.sendTimeouts, "timeouts");
    near(share(({ early }) => early), rates.reportsEarly, "early");
    near(share(({ malformed }) => malformed), rates.malformedPosts, "malformed");
  }
});

Deno.test("a contact is put off once at most, and one that is rejected stays so", () => {
  for (const section of SECTIONS) {
    for (const contact of contacts) {
      const [first, second] = [1, 2].map((request) => planRequest({ ...storm, seed: 3 }, section, contact, request));
      assert.ok(second?.answer !== "busy" && second?.answer !== "break");
      if (first?.answer === "reject") assert.equal(second?.answer, "reject");
    }
  }
});

Deno.test("nothing goes wrong on a good day", () => {
  for (const section of SECTIONS) {
    for (const contact of contacts.slice(0, 200)) {
      const { answer, early, malformed } = planRequest(calm, section, contact, 1);
      assert.deepEqual({ answer, early, malformed }, { answer: "accept", early: false, malformed: false });
    }
  }
});
