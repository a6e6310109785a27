import fc from "fast-check";
import assert from "node:assert/strict";
import { SendSlots } from "./send_slots.ts";

Deno.test("send slots exclude a session until half of its slots are free, and bound the claim by the others", () => {
  const slots = new SendSlots();
  const limits = { total: 10, perSession: 4 };
  assert.deepEqual(slots.plan(limits), { limit: 4, excluded: [] });
  slots.take("a");
  assert.deepEqual(slots.plan(limits), { limit: 3, excluded: [] });
  slots.take("a");
  slots.take("a");
  assert.deepEqual(slots.plan(limits), { limit: 4, excluded: ["a"] });
  slots.release("a");
  assert.deepEqual(slots.plan(limits), { limit: 2, excluded: [] });
});

Deno.test("send slots leave no room beyond the total", () => {
  const slots = new SendSlots();
  for (const session of ["a", "b", "c"]) slots.take(session);
  assert.equal(slots.plan({ total: 3, perSession: 4 }).limit, 0);
  assert.equal(slots.plan({ total: 2, perSession: 4 }).limit, 0);
});

Deno.test("send slots are never overrun, whichever sessions the claimed rows are of", () => {
  const limits = { total: 7, perSession: 3 };
  const sessions = ["a", "b", "c", "d"];
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(...sessions), fc.boolean())), (steps) => {
    const slots = new SendSlots();
    const taken = new Map<string, number>();
    for (const [session, release] of steps) {
      const now = taken.get(session) ?? 0;
      if (release && now > 0) {
        slots.release(session);
        taken.set(session, now - 1);
        continue;
      }
      const { limit, excluded } = slots.plan(limits);
      if (excluded.includes(session)) continue;
      for (let i = 0; i < limit; i++) slots.take(session);
      taken.set(session, now + limit);
      assert.ok((taken.get(session) ?? 0) <= limits.perSession);
      assert.ok(slots.taken <= limits.total);
    }
  }));
});

Deno.test("send slots wake whoever waits for one", async () => {
  const slots = new SendSlots();
  slots.take("a");
  const released = slots.released();
  slots.release("a");
  await released;
  assert.equal(slots.taken, 0);
});
