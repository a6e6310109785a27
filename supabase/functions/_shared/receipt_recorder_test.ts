import assert from "node:assert/strict";
import { type FakeDeps, fakeDeps, type FakeRpc } from "./fake_deps.ts";
import { receiptRecorder } from "./receipt_recorder.ts";

/** The receipts of a call, which here are texts. */
function receiptsOf(args: unknown): string[] {
  return JSON.parse(JSON.stringify(args)).p_receipts;
}

/** A database that refuses "bad", and for the rest says so: recorded what starts with r, parked what starts with p. */
const database: FakeRpc = (name, args) => {
  if (name === "journal_webhook_event") return { ok: true, value: null };
  const receipts = receiptsOf(args);
  if (receipts.includes("bad")) return { ok: false, failure: { code: "internal" } };
  const letters = receipts.map((receipt) => receipt.charAt(0));
  const count = (letter: string) => letters.filter((each) => each === letter).length;
  const counts = { recorded: count("r"), duplicates: count("d"), parked: count("p"), journaled: count("j") };
  return { ok: true, value: { ...counts, verdicts: letters.join("") } };
};

/** Calls a recorder as several requests do at once: more of them than may be under way. */
async function recordAtOnce(batches: string[][]) {
  const record = receiptRecorder("sms_delivery");
  const requests = batches.map((batch) => ({ batch, deps: fakeDeps({ rpc: database }) }));
  const answers = await Promise.all(requests.map(({ batch, deps }) => record(deps, batch)));
  return { answers, calls: requests.flatMap(({ deps }: { deps: FakeDeps }) => deps.calls) };
}

const counted = (recorded: number, parked = 0, journaled = 0) => ({
  ok: true,
  value: { recorded, duplicates: 0, parked, journaled },
});

Deno.test("receipt recorder makes one call for a request, under its source", async () => {
  const { answers, calls } = await recordAtOnce([["r", "p"]]);
  assert.deepEqual(answers, [counted(1, 1)]);
  assert.deepEqual(calls, [{ name: "record_receipts", args: { p_receipts: ["r", "p"], p_source: "sms_delivery" } }]);
});

Deno.test("receipt recorder lets requests that wait go together, each with its own counts", async () => {
  const { answers, calls } = await recordAtOnce([["r"], ["r"], ["r"], ["r"], ["r", "r"], ["p"], ["d", "r", "j"]]);
  assert.deepEqual(answers.slice(4), [counted(2), counted(0, 1), {
    ok: true,
    value: { recorded: 1, duplicates: 1, parked: 0, journaled: 1 },
  }]);
  assert.equal(calls.length, 5);
  const together = { p_receipts: ["r", "r", "p", "d", "r", "j"], p_source: "sms_delivery" };
  assert.deepEqual(calls.find(({ name }) => name.endsWith("_with_verdicts"))?.args, together);
});

Deno.test("receipt recorder lets only the request pay whose receipt is refused", async () => {
  const { answers, calls } = await recordAtOnce([["r"], ["r"], ["r"], ["r"], ["r", "r"], ["r", "bad", "p"], ["r"]]);
  assert.deepEqual(answers.map((answer) => answer.ok && answer.value.journaled), [0, 0, 0, 0, 0, 1, 0]);
  assert.deepEqual(answers[5], counted(1, 1, 1));
  const journaled = calls.filter(({ name }) => name === "journal_webhook_event").map(({ args }) => args);
  assert.deepEqual(journaled, [{ p_source: "sms_delivery", p_reason: "error", p_payload: "bad" }]);
});
