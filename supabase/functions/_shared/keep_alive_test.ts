import assert from "node:assert/strict";
import { keepAlive } from "./keep_alive.ts";

Deno.test("work is handed to the platform where there is one, with its failure taken care of", async () => {
  const handed: Promise<unknown>[] = [];
  Object.defineProperty(globalThis, "EdgeRuntime", {
    configurable: true,
    value: { waitUntil: (work: Promise<unknown>) => handed.push(work) },
  });
  try {
    keepAlive(Promise.resolve(7));
    const failing = Promise.reject(new Error("its caller's to handle"));
    keepAlive(failing);
    await assert.rejects(failing);
    assert.deepEqual(await Promise.all(handed), [7, undefined]);
  } finally {
    Reflect.deleteProperty(globalThis, "EdgeRuntime");
  }
});

Deno.test("nothing happens to work where there is no platform", async () => {
  const work = Promise.resolve(7);
  keepAlive(work);
  assert.equal(await work, 7);
});
