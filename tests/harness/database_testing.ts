import assert from "node:assert/strict";
import { within } from "../../local/within.ts";
import { openTestDatabase, type TestDatabase } from "./test_database.ts";

/** What may differ from the usual. */
export interface DatabaseTestOptions {
  /** Default 60 s. */
  readonly timeoutMs?: number;
  /** The test leaves counters wrong on purpose: no audit at its end. */
  readonly leavesDiscrepancies?: boolean;
}

/**
 * A test on a database of its own. At its end every counter is recounted: a test that passes also proves that nothing it
 * did made a counter differ from its rows.
 */
export function databaseTest(
  name: string,
  body: (database: TestDatabase) => Promise<void>,
  options: DatabaseTestOptions = {},
): void {
  const timeoutMs = options.timeoutMs ?? 60_000;
  Deno.test(name, async () => {
    const database = await openTestDatabase();
    try {
      const running = body(database).then(() => true);
      if (!await within(running, timeoutMs, false)) {
        running.catch(() => {});
        throw new Error(`Not done after ${timeoutMs} ms`);
      }
      if (options.leavesDiscrepancies !== true) await assertAuditIsClean(database);
    } finally {
      await database.drop();
    }
  });
}

/** Fails with what differs when any counter is not what its rows and receipts say, or counters contradict each other. */
export async function assertAuditIsClean({ sql }: Pick<TestDatabase, "sql">): Promise<void> {
  const found = await sql`
    select campaign_id, recipient_id, counter, stored, actual from public.audit_campaign_counters()
  `;
  assert.deepEqual([...found], [], "the audit found counters that differ from their rows");
  const contradictions = await sql`
    select s.*
    from public.notification_campaign_stats s
    where s.total_count <> s.pending_count + s.processing_count + s.unconfirmed_count + s.sent_count + s.failed_count + s.skipped_count
      or s.progress not between 0 and 100
      or (s.progress = 100) <> (s.total_count > 0 and s.pending_count + s.processing_count + s.unconfirmed_count = 0)
      or s.read_count > s.delivered_count
      or least(s.pending_count, s.processing_count, s.unconfirmed_count, s.sent_count, s.failed_count, s.skipped_count) < 0
  `;
  assert.deepEqual([...contradictions], [], "counters of a campaign contradict each other");
}
