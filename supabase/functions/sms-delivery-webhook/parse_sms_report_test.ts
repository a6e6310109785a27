import assert from "node:assert/strict";
import { parseSmsReport } from "./parse_sms_report.ts";

const report = { messageId: "m1", status: "delivered", timestamp: 1_720_000_000, clientMessageId: "0b2f7c1e" };
/** The same as the database gets it. */
const receipt = {
  event: "message_delivered",
  messageId: "m1",
  reader: "sms",
  timestamp: 1_720_000_000,
  clientMessageId: "0b2f7c1e",
};

Deno.test("report becomes a receipt of the SMS", () => {
  assert.deepEqual(parseSmsReport(report), { ok: true, event: receipt });
  const sent = { ...receipt, event: "message_sent" };
  assert.deepEqual(parseSmsReport({ ...report, status: "sent" }), { ok: true, event: sent });
  const bare = { ...receipt, timestamp: null, clientMessageId: null };
  assert.deepEqual(parseSmsReport({ messageId: "m1", status: "delivered" }), { ok: true, event: bare });
});

Deno.test("report of a failure keeps its code and its reason", () => {
  const failed = { ...receipt, event: "message_failed", errorCode: null };
  const reasons: [object, object][] = [[{}, {}], [{ errorCode: 30_003 }, { errorCode: "30003" }], [{
    errorCode: "30003",
    errorMessage: "Unreachable",
  }, { errorCode: "30003", errorMessage: "Unreachable" }], [{ errorCode: {}, errorMessage: [] }, {}]];
  for (const status of ["undelivered", "failed"]) {
    for (const [given, expected] of reasons) {
      const event = { ...failed, errorMessage: status, ...expected };
      assert.deepEqual(parseSmsReport({ ...report, status, ...given }), { ok: true, event });
    }
  }
});

Deno.test("report keeps what the message cost, and nothing that is no cost", () => {
  const costs: [object, object][] = [
    [{ cost: 0.0079, currency: "USD" }, { cost: 0.0079, currency: "USD" }],
    [{ cost: "0.25", currency: "inr" }, { cost: 0.25, currency: "INR" }],
    [{ cost: 0 }, { cost: 0, currency: null }],
    [{ cost: -1, currency: "USD" }, {}],
    [{ cost: "free" }, {}],
    [{ currency: "USD" }, {}],
  ];
  for (const [given, expected] of costs) {
    assert.deepEqual(parseSmsReport({ ...report, ...given }), { ok: true, event: { ...receipt, ...expected } });
  }
});

Deno.test("report with another status goes on whole for the journal", () => {
  for (const status of ["queued", "read", "Delivered", "huh", ""]) {
    const odd = { ...report, status, event: "message_sent" };
    assert.deepEqual(parseSmsReport(odd), { ok: true, event: { ...odd, event: "sms status" } });
  }
});

Deno.test("report is malformed without a message or a status, and the field is named", () => {
  const malformed: [string, unknown][] = [
    ["messageId", { status: "sent" }],
    ["messageId", { ...report, messageId: " " }],
    ["messageId", { ...report, messageId: 7 }],
    ["messageId", { ...report, messageId: "m".repeat(257) }],
    ["status", { messageId: "m1" }],
    ["status", { ...report, status: 7 }],
    ["status", null],
    ["status", "delivered"],
    ["status", [report]],
  ];
  for (const [field, given] of malformed) {
    const parsed = parseSmsReport(given);
    assert.ok(!parsed.ok, JSON.stringify(given));
    assert.equal(parsed.field, field);
  }
});
