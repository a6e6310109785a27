import assert from "node:assert/strict";
import type { Failure } from "../_shared/failure.ts";
import { FakeClock, ImpatientClock } from "../_shared/fake_clock.ts";
import { fakeDeps } from "../_shared/fake_deps.ts";
import { ResultRecorder } from "./result_recorder.ts";

const result = (id: number) => ({ clientMessageId: `id-${id}`, outcome: "accepted" } as const);
const unavailable: Failure = { code: "database_unavailable" };

/** A recorder over a database that answers as told; `batches` are the ids of each call. */
function recorder(answer: (ids: string[]) => Failure | undefined, clock = new ImpatientClock()) {
  const batches: string[][] = [];
  const deps = fakeDeps({
    clock,
    rpc: (_name, args) => {
      const ids = JSON.parse(JSON.stringify(args)).p_results.map((r: { clientMessageId: string }) => r.clientMessageId);
      batches.push(ids);
      const failure = answer(ids);
      return failure === undefined ? { ok: true, value: {} } : { ok: false, failure };
    },
  });
  return { recorder: new ResultRecorder(deps.rpc, clock, deps.log), batches, lines: deps.lines, clock };
}

Deno.test("result recorder records in batches of a hundred", async () => {
  const { recorder: it, batches } = recorder(() => undefined);
  for (let i = 0; i < 250; i++) it.add(result(i));
  await it.drain();
  assert.deepEqual(batches.map((batch) => batch.length), [100, 100, 50]);
  assert.equal(new Set(batches.flat()).size, 250);
  assert.equal(it.unrecorded, 0);
});

Deno.test("result recorder waits a little for company, and not once it is drained", async () => {
  const clock = new FakeClock();
  const batches: number[] = [];
  const deps = fakeDeps({
    rpc: (_name, args) => {
      batches.push(JSON.parse(JSON.stringify(args)).p_results.length);
      return { ok: true, value: {} };
    },
  });
  const it = new ResultRecorder(deps.rpc, clock, deps.log);
  it.add(result(1));
  clock.advance(149);
  await Promise.resolve();
  assert.deepEqual(batches, []);
  it.add(result(2));
  clock.advance(1);
  for (let i = 0; i < 10; i++) await Promise.resolve();
  assert.deepEqual(batches, [2]);
  it.add(result(3));
  await it.drain();
  assert.deepEqual(batches, [2, 1]);
});

Deno.test("result recorder tries again with growing waits while the database is away", async () => {
  let failures = 3;
  const { recorder: it, batches, clock } = recorder(() => failures-- > 0 ? unavailable : undefined);
  it.add(result(1));
  await it.drain();
  assert.equal(batches.length, 4);
  assert.deepEqual(clock.waits.slice(-3), [250, 500, 1000]);
  assert.equal(it.unrecorded, 0);
});

Deno.test("result recorder gives up after a bounded time, and says so", async () => {
  const { recorder: it, batches, lines } = recorder(() => unavailable);
  it.add(result(1));
  it.add(result(2));
  await it.drain();
  assert.equal(batches.length, 6);
  assert.equal(it.unrecorded, 2);
  assert.ok(lines.some((line) => line.includes("results_not_recorded")));
});

Deno.test("result recorder does not let one refused result sink its batch", async () => {
  const { recorder: it, batches } = recorder((ids) => ids.includes("id-37") ? { code: "internal" } : undefined);
  for (let i = 0; i < 100; i++) it.add(result(i));
  await it.drain();
  assert.equal(it.unrecorded, 1);
  assert.ok(batches.length < 20);
});
