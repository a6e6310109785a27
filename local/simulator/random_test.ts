import assert from "node:assert/strict";
import { randomFor } from "./random.ts";

Deno.test("a source repeats itself when seed and keys are the same", () => {
  const draw = () => {
    const random = randomFor(7, "120363@g.us", "callback lost", 1);
    return Array.from({ length: 20 }, () => random.next());
  };
  assert.deepEqual(draw(), draw());
});

Deno.test("a source differs when the seed, the group or the purpose differs", () => {
  const first = (...keys: [number, string, string]) => randomFor(...keys).next();
  const all = [first(1, "a", "x"), first(2, "a", "x"), first(1, "b", "x"), first(1, "a", "y")];
  assert.equal(new Set(all).size, all.length);
});

Deno.test("a rate is met when it is drawn by the first number of many sources", () => {
  for (const rate of [0.02, 0.05, 0.2, 0.5]) {
    let hits = 0;
    for (let group = 0; group < 10_000; group++) if (randomFor(3, `1203630000${group}@g.us`, "p").chance(rate)) hits++;
    assert.ok(Math.abs(hits / 10_000 - rate) < 0.015, `rate ${rate} came out as ${hits / 10_000}`);
  }
});

Deno.test("whole numbers reach both ends and stay between them", () => {
  const random = randomFor(1, "ends");
  const seen = new Set(Array.from({ length: 500 }, () => random.int(5, 9)));
  assert.deepEqual([...seen].sort(), [5, 6, 7, 8, 9]);
});

Deno.test("a shuffle keeps every item and changes the order", () => {
  const items = Array.from({ length: 50 }, (_, index) => index);
  const shuffled = randomFor(1, "cards").shuffle(items);
  assert.notDeepEqual(shuffled, items);
  assert.deepEqual(shuffled.toSorted((a, b) => a - b), items);
});
