import assert from "node:assert/strict";
import { pause } from "../../local/within.ts";
import { connect } from "../harness/connect.ts";
import { onStackOfItsOwn } from "./crash_stack.ts";
import { runThrough } from "./stormy_campaign.ts";

/** How long the database stays away: long enough for runs and posts to meet a closed door. */
const AWAY_MS = 700;

Deno.test("every counter is true after all connections were ended again and again in mid-run", () =>
  onStackOfItsOwn({}, async (stack) => {
    let ended = 0;
    await runThrough(stack, 101, [0.1, 0.3, 0.5, 0.7, 0.9], async () => {
      ended += await endAllConnections(stack.databaseUrl);
    });
    assert.ok(ended > 0, "there was no connection to end");
  }));

Deno.test("every counter is true after Postgres was killed and started again in mid-run", () =>
  onStackOfItsOwn({}, async (stack) => {
    await runThrough(stack, 102, [0.25, 0.6], async () => {
      await stack.postgres.kill();
      await pause(AWAY_MS);
      await stack.postgres.start();
    });
  }));

/** Answers how many there were. */
async function endAllConnections(databaseUrl: string): Promise<number> {
  const sql = connect(databaseUrl, 1);
  try {
    const [row] = await sql<{ ended: number }[]>`
      select count(*) filter (where pg_terminate_backend(a.pid)) as ended
      from pg_catalog.pg_stat_activity a
      where a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
    `;
    return row?.ended ?? 0;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
