import fc from "fast-check";
import assert from "node:assert/strict";
import type { Counts } from "./counts.ts";
import { type FakeDeps, fakeDeps } from "./fake_deps.ts";
import { recordDespiteRefusals } from "./record_despite_refusals.ts";
import type { Result } from "./result.ts";

const refusal = { ok: false, failure: { code: "internal" } } as const;
const away = { ok: false, failure: { code: "database_unavailable" } } as const;

/** A database that refuses every batch in which `isBad` finds something, and remembers what it recorded. */
function database(isBad: (item: number) => boolean) {
  const calls: number[][] = [];
  const recorded: number[] = [];
  const record = (items: number[]): Promise<Result<Counts>> => {
    calls.push(items);
    if (items.some(isBad)) return Promise.resolve(refusal);
    recorded.push(...items);
    return Promise.resolve({ ok: true, value: { recorded: items.length, journaled: 0 } });
  };
  return { calls, recorded, record };
}

const toJournal = (item: number) => ({ source: item % 2 === 0 ? "receipt" : "inbound", event: { item } }) as const;
const oneTo = (count: number) => Array.from({ length: count }, (_, place) => place + 1);

/** What the journal got: source and payload of each call. */
function journaled(deps: FakeDeps): { p_source: string; p_reason: string; p_payload: unknown }[] {
  assert.ok(deps.calls.every(({ name }) => name === "journal_webhook_event"));
  return deps.calls.map(({ args }) => JSON.parse(JSON.stringify(args)));
}

Deno.test("recording takes one call while nothing is refused", async () => {
  const { calls, record } = database(() => false);
  const answer = await recordDespiteRefusals(fakeDeps(), oneTo(1_000), { record, toJournal });
  assert.deepEqual(answer, { ok: true, value: { recorded: 1_000, journaled: 0 } });
  assert.equal(calls.length, 1);
});

Deno.test("recording journals an event that is refused alone, and records the rest", async () => {
  const { calls, recorded, record } = database((item) => item === 700);
  const deps = fakeDeps();
  const answer = await recordDespiteRefusals(deps, oneTo(1_000), { record, toJournal });
  assert.deepEqual(answer, { ok: true, value: { recorded: 999, journaled: 1 } });
  assert.deepEqual(recorded, oneTo(1_000).filter((item) => item !== 700));
  assert.deepEqual(journaled(deps), [{ p_source: "receipt", p_reason: "error", p_payload: { item: 700 } }]);
  assert.ok(calls.length <= 2 + 20, `${calls.length} calls`);
  assert.ok(deps.lines.some((line) => line.includes("events_refused")));
});

Deno.test("recording journals the only event of a post when it is refused", async () => {
  const { calls, record } = database((item) => item === 1);
  const deps = fakeDeps();
  const answer = await recordDespiteRefusals(deps, [1], { record, toJournal });
  assert.deepEqual(answer, { ok: true, value: { recorded: 0, journaled: 1 } });
  assert.deepEqual(calls, [[1], []]);
  assert.equal(journaled(deps).length, 1);
});

Deno.test("recording loses nothing and records nothing twice, whatever is refused, in a bounded number of calls", async () => {
  const size = fc.integer({ min: 1, max: 2_000 });
  const bad = fc.oneof(fc.uniqueArray(fc.integer({ min: 1, max: 2_000 }), { maxLength: 6 }), fc.constant(oneTo(2_000)));
  await fc.assert(
    fc.asyncProperty(size, bad, async (count, refused) => {
      const set = new Set(refused);
      const { calls, recorded, record } = database((item) => set.has(item));
      const deps = fakeDeps();
      const answer = await recordDespiteRefusals(deps, oneTo(count), { record, toJournal });
      const kept = journaled(deps).flatMap(({ p_payload }) => {
        const { item, events }: { item?: number; events?: { item: number }[] } = JSON.parse(JSON.stringify(p_payload));
        return events?.map((event) => event.item) ?? [item];
      });
      assert.deepEqual([...recorded, ...kept].sort((a, b) => Number(a) - Number(b)), oneTo(count));
      assert.ok(oneTo(count).every((item) => set.has(item) ? kept.includes(item) : true));
      assert.ok(answer.ok);
      assert.equal(answer.value.recorded, recorded.length);
      assert.equal(answer.value.journaled, kept.length);
      assert.ok(calls.length + deps.calls.length < 200, `${calls.length} calls, ${deps.calls.length} to the journal`);
    }),
    { numRuns: 100 },
  );
});

Deno.test("recording fails when a call without any event is refused, for then no event is at fault", async () => {
  const deps = fakeDeps();
  const answer = await recordDespiteRefusals(deps, oneTo(10), { record: () => Promise.resolve(refusal), toJournal });
  assert.deepEqual(answer, refusal);
  assert.deepEqual(deps.calls, []);
});

Deno.test("recording fails when the journal refuses as well", async () => {
  const { record } = database((item) => item === 3);
  const deps = fakeDeps({ rpc: () => refusal });
  assert.deepEqual(await recordDespiteRefusals(deps, oneTo(4), { record, toJournal }), refusal);
});

Deno.test("recording ends at once when the database is away, at the first call or in the middle", async () => {
  for (const up of [0, 1, 2, 3]) {
    const { record } = database((item) => item === 3);
    let calls = 0;
    const deps = fakeDeps();
    const failing = (items: number[]) => calls++ < up ? record(items) : Promise.resolve(away);
    assert.deepEqual(await recordDespiteRefusals(deps, oneTo(4), { record: failing, toJournal }), away);
    assert.equal(calls, up + 1);
    assert.deepEqual(deps.calls, []);
  }
});

Deno.test("recording goes together with others once, and narrows down alone", async () => {
  const { calls, record } = database((item) => item === 2);
  let together = 0;
  const recordTogether = (items: number[]) => {
    together++;
    return record(items);
  };
  await recordDespiteRefusals(fakeDeps(), oneTo(4), { record, recordTogether, toJournal });
  assert.equal(together, 1);
  assert.deepEqual(calls, [[1, 2, 3, 4], [], [1, 2], [1], [2], [3, 4]]);
});
