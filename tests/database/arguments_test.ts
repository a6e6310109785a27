import assert from "node:assert/strict";
import { databaseTest, journal, recordReceipts, recordSendCallback } from "../harness/mod.ts";

const notArrays: [string, unknown][] = [["object", {}], ["number", 7], ["string", "x"], ["boolean", true], [
  "null",
  null,
]];

databaseTest("record_receipts refuses anything but an array and says what it got", async ({ sql }) => {
  for (const [type, value] of notArrays) {
    await assert.rejects(() => recordReceipts(sql, value), {
      code: "22023",
      message: `p_receipts must be an array of receipts, not ${type}`,
    });
  }
  await assert.rejects(async () => await sql`select public.record_receipts(null)`, {
    code: "22023",
    message: "p_receipts must be an array of receipts, not null",
  });
});

databaseTest("record_send_results refuses anything but an array and says what it got", async ({ sql }) => {
  for (const [type, value] of notArrays) {
    await assert.rejects(
      async () => await sql`select public.record_send_results(${JSON.stringify(value)}::text::jsonb)`,
      { code: "22023", message: `p_results must be an array of results, not ${type}` },
    );
  }
});

databaseTest("record_send_callback refuses anything but an event or an array and says what it got", async ({ sql }) => {
  for (const [type, value] of notArrays.filter(([type]) => type !== "object")) {
    await assert.rejects(() => recordSendCallback(sql, value), {
      code: "22023",
      message: `p_event must be an event or an array of events, not ${type}`,
    });
  }
});

databaseTest("journal_webhook_event keeps a body once with how often it came", async ({ sql }) => {
  for (let times = 0; times < 3; times++) {
    await sql`select public.journal_webhook_event('receipt', 'malformed', '{"body": "<html>"}')`;
  }
  await sql`select public.journal_webhook_event('send_callback', 'malformed', '{"body": "<html>"}')`;
  const entries = await journal(sql);
  assert.deepEqual(entries.map((entry) => [entry.source, entry.reason, entry.seen_count]), [
    ["receipt", "malformed", 3],
    ["send_callback", "malformed", 1],
  ]);
});

databaseTest("journal_webhook_event refuses a source that it does not know", async ({ sql }) => {
  await assert.rejects(async () => await sql`select public.journal_webhook_event('elsewhere', 'malformed', '{}')`, {
    code: "23514",
    message: /source_is_known/,
  });
});
