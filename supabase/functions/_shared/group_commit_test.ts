import assert from "node:assert/strict";
import { type Commit, GroupCommit } from "./group_commit.ts";
import type { Result } from "./result.ts";

/** A commit that ends when told to, and remembers what went together. */
function heldCommit() {
  const groups: string[][][] = [];
  const release: ((result?: Result<string[]>) => void)[] = [];
  const commit: Commit<string, string> = (batches) => {
    groups.push(batches);
    const shares: Result<string[]> = { ok: true, value: batches.map((batch) => batch.join("")) };
    return new Promise((resolve) => release.push((result) => resolve(result ?? shares)));
  };
  return { groups, release, commit };
}

/** Lets everything that can happen happen. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("group commit lets a caller go at once and alone while a commit is free", async () => {
  const { groups, release, commit } = heldCommit();
  const share = new GroupCommit<string, string>({ concurrent: 1, items: 10 }).add(["a", "b"], commit);
  assert.deepEqual(groups, [[["a", "b"]]]);
  release[0]?.();
  assert.deepEqual(await share, { ok: true, value: "ab" });
});

Deno.test("group commit lets those who come meanwhile go together, each with its own share", async () => {
  const { groups, release, commit } = heldCommit();
  const group = new GroupCommit<string, string>({ concurrent: 1, items: 10 });
  const shares = [["a"], ["b", "c"], ["d"]].map((batch) => group.add(batch, commit));
  release[0]?.();
  await settled();
  assert.deepEqual(groups, [[["a"]], [["b", "c"], ["d"]]]);
  release[1]?.();
  assert.deepEqual(await Promise.all(shares), ["a", "bc", "d"].map((value) => ({ ok: true, value })));
});

Deno.test("group commit keeps to its limits, and lets a caller who brings more than that go alone", async () => {
  const { groups, release, commit } = heldCommit();
  const group = new GroupCommit<string, string>({ concurrent: 2, items: 3 });
  const big = ["1", "2", "3", "4", "5"];
  const shares = [["a"], ["b"], ["c", "d"], ["e"], ["f"], big, ["g"]].map((batch) => group.add(batch, commit));
  assert.equal(groups.length, 2);
  for (let next = 0; next < 5; next++) {
    release[next]?.();
    await settled();
  }
  assert.deepEqual(groups, [[["a"]], [["b"]], [["c", "d"], ["e"]], [["f"]], [big]].concat([[["g"]]]));
  release[5]?.();
  await Promise.all(shares);
});

Deno.test("group commit repeats a failed group for each caller alone, so that only the guilty fails", async () => {
  const tried: string[][][] = [];
  const commit: Commit<string, string> = (batches) => {
    tried.push(batches);
    return Promise.resolve(
      batches.flat().includes("poison")
        ? { ok: false, failure: { code: "internal" } }
        : { ok: true, value: batches.map(String) },
    );
  };
  const group = new GroupCommit<string, string>({ concurrent: 1, items: 10 });
  const shares = await Promise.all([["first"], ["a"], ["poison"], ["b"]].map((batch) => group.add(batch, commit)));
  assert.deepEqual(shares.map(({ ok }) => ok), [true, true, false, true]);
  assert.deepEqual(tried, [[["first"]], [["a"], ["poison"], ["b"]], [["a"]], [["poison"]], [["b"]]]);
});

Deno.test("group commit fails for all at once when the database is away, and goes on when it is back", async () => {
  let away = true;
  let calls = 0;
  const commit: Commit<string, string> = async (batches) => {
    calls++;
    await settled();
    return away ? { ok: false, failure: { code: "database_unavailable" } } : { ok: true, value: batches.map(String) };
  };
  const group = new GroupCommit<string, string>({ concurrent: 1, items: 10 });
  const shares = await Promise.all(["a", "b", "c"].map((item) => group.add([item], commit)));
  assert.deepEqual(shares.map(({ ok }) => ok), [false, false, false]);
  assert.equal(calls, 2);
  away = false;
  assert.deepEqual(await group.add(["d"], commit), { ok: true, value: "d" });
});

Deno.test("group commit rejects only the caller whose own commit throws", async () => {
  const commit: Commit<string, string> = (batches) =>
    batches.flat().includes("throws")
      ? Promise.reject(new Error("thrown"))
      : Promise.resolve({ ok: true, value: batches.map(String) });
  const group = new GroupCommit<string, string>({ concurrent: 1, items: 10 });
  const shares = await Promise.allSettled(["a", "throws", "b"].map((item) => group.add([item], commit)));
  assert.deepEqual(shares.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
});
