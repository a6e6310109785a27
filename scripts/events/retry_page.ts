import type { Sql, Transaction } from "../command/connect.ts";
import { inTransaction } from "../command/in_transaction.ts";
import { refusalOf } from "./refusal_of.ts";
import type { JournaledEvent, Outcome } from "./tally.ts";

/** Few enough that the rows a page touches are not held for long. */
const PAGE = 100;

/** What came of one page. */
export interface Page {
  readonly outcomes: readonly (readonly [JournaledEvent, Outcome])[];
  /** The last event looked at; null behind the last page. */
  readonly lastId: string | null;
}

interface Row extends JournaledEvent {
  readonly is_bundle: boolean;
}

/** How a page is tried. */
export interface RetryOptions {
  /** Events of this source alone; null: all. */
  readonly source: string | null;
  readonly dryRun: boolean;
  /** The events that the database refused, with their SQLSTATE, since this was last called. */
  readonly takeRefused: () => ReadonlyMap<string, string>;
}

/**
 * Tries the next page of events that were unmatched or refused, after an event, through `replay_webhook_events`.
 *
 * All of it is one transaction that holds the page's events: two replays at once apply none of them twice.
 */
export async function retryPage(sql: Sql, after: string, { source, dryRun, takeRefused }: RetryOptions): Promise<Page> {
  return await inTransaction(sql, async (transaction) => {
    const ids = (await transaction<{ id: string }[]>`
      select e.id::text as id
      from private.webhook_events e
      where e.replayed_at is null and e.reason in ('unmatched', 'error') and e.id > ${after}::bigint
      order by e.id
      limit ${PAGE}
    `).map(({ id }) => id);
    const rows = await transaction<Row[]>`
      select e.id::text as id, e.source, e.reason, e.received_at, coalesce(e.payload ->> 'event' = 'refused', false) as is_bundle
      from private.webhook_events e
      where e.id = any (${ids}::bigint[]) and e.replayed_at is null
      order by e.id
      for update
    `;
    takeRefused();
    const wanted = (row: Row) => source === null || row.source === source;
    const refused = new Map<string, string>();
    for (const run of runsOf(rows, wanted)) await replay(transaction, run, refused);
    for (const [id, sqlState] of takeRefused()) refused.set(id, sqlState);
    const applied = new Set(
      (await transaction<{ id: string }[]>`
        select e.id::text as id
        from private.webhook_events e
        where e.id = any (${ids}::bigint[]) and e.replayed_at is not null
      `).map(({ id }) => id),
    );
    const outcomeOf = ({ id }: Row): Outcome => {
      if (applied.has(id)) return { kind: "applied" };
      const sqlState = refused.get(id);
      return sqlState === undefined ? { kind: "left" } : { kind: "refused", sqlState };
    };
    const outcomes = rows.filter(wanted).map((row) => [row, outcomeOf(row)] as const)
      // a bundle of events that cannot be applied whole is taken apart elsewhere
      .filter(([row, { kind }]) => !row.is_bundle || kind === "applied");
    return { keep: !dryRun, value: { outcomes, lastId: ids.at(-1) ?? null } };
  });
}

/**
 * The rpc takes events from one on, as many as it is told: those of a run follow one another. Where it fails over one of
 * them, each has its turn alone.
 */
async function replay(transaction: Transaction, run: readonly Row[], refused: Map<string, string>): Promise<void> {
  const [first] = run;
  if (first === undefined) return;
  try {
    await transaction.savepoint((savepoint) =>
      savepoint`select public.replay_webhook_events(${run.length}, ${first.id}::bigint - 1)`
    );
  } catch (error) {
    const sqlState = refusalOf(error);
    if (sqlState === null) throw error;
    if (run.length === 1) refused.set(first.id, sqlState);
    else for (const row of run) await replay(transaction, [row], refused);
  }
}

function runsOf(rows: readonly Row[], wanted: (row: Row) => boolean): Row[][] {
  const runs: Row[][] = [[]];
  for (const row of rows) {
    if (wanted(row)) runs.at(-1)?.push(row);
    else runs.push([]);
  }
  return runs;
}
