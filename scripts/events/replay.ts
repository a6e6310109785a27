import { connect } from "../command/connect.ts";
import { inTransaction } from "../command/in_transaction.ts";
import { readPage } from "./read_page.ts";
import { recordAgain } from "./record_again.ts";
import { retryPage } from "./retry_page.ts";
import { type JournaledEvent, type Outcome, type ReplayRow, Tally } from "./tally.ts";

/** What is replayed, and how. */
export interface ReplayOptions {
  readonly databaseUrl: string;
  /** Events of this source alone; null: all. */
  readonly source: string | null;
  /** Do it all, and take it back: nothing changes. */
  readonly dryRun: boolean;
  /** Ends the replay after the page that is under way. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** How far a pass over the journal has come. */
export interface Progress {
  readonly tried: number;
  readonly of: number;
}

/** What a replay came to. */
export interface ReplayReport {
  readonly rows: readonly ReplayRow[];
  /** The first events that the database refused. */
  readonly refusals: readonly Refusal[];
  /** False where the signal ended it early. */
  readonly isComplete: boolean;
}

/** An event that the database refused with an error. */
export interface Refusal {
  readonly id: string;
  readonly sqlState: string;
}

const TRIED = ["unmatched", "error", "malformed", "unknown_event"];
/** What is applied may be what another event waited for. More rounds than these are left to the next replay. */
const MAX_PASSES = 5;
const MAX_NAMED = 20;

/** What the database says of an event that it refuses again; its reason may quote the event, and is left out. */
const REFUSED = /^event (\d+) of the journal is refused again: .*\((\w{5})\)$/s;

/**
 * Applies the events of a database's journal again: first those that were unmatched or refused, then those that the
 * parsers of this version can read. Over and over, until nothing more finds its place.
 *
 * Safe to repeat, to interrupt, and beside webhooks and other replays: an event is applied and marked in one transaction.
 *
 * @throws Error when the database cannot be reached, or fails; what was applied until then stays applied
 */
export async function replayEvents(options: ReplayOptions): Promise<ReplayReport> {
  const states = new Map<string, string>();
  const sql = connect(options.databaseUrl, {
    onNotice({ message }) {
      const [, id, sqlState] = REFUSED.exec(message ?? "") ?? [];
      if (id !== undefined && sqlState !== undefined) states.set(id, sqlState);
    },
  });
  const { source, dryRun } = options;
  const stopped = () => options.signal?.aborted === true;

  /** One time through the journal. */
  async function pass(tally: Tally, refusals: Refusal[]): Promise<void> {
    const of = await countEvents();
    let tried = 0;
    const note = (event: JournaledEvent, outcome: Outcome) => {
      tally.add(event, outcome);
      if (outcome.kind === "refused" && refusals.length < MAX_NAMED) {
        refusals.push({ id: event.id, sqlState: outcome.sqlState });
      }
      options.onProgress?.({ tried: ++tried, of: Math.max(of, tried) });
    };
    const retrying = {
      source,
      dryRun,
      takeRefused() {
        const taken = new Map(states);
        states.clear();
        return taken;
      },
    };

    for (let after = "0"; !stopped();) {
      const { outcomes, lastId } = await retryPage(sql, after, retrying);
      for (const [event, outcome] of outcomes) note(event, outcome);
      if (lastId === null) break;
      after = lastId;
    }
    for (let after = "0"; !stopped();) {
      const events = await readPage(sql, after, source);
      for (const event of events) {
        if (stopped()) break;
        const outcome = await recordAgain(sql, event, dryRun);
        if (outcome !== undefined) note(event, outcome);
        after = event.id;
      }
      if (events.length === 0) break;
    }
  }

  async function countEvents(): Promise<number> {
    const [row] = await inTransaction(sql, async (transaction) => ({
      keep: true,
      value: await transaction<{ count: number }[]>`
        select count(*)::integer as count
        from private.webhook_events e
        where e.replayed_at is null and e.reason = any (${TRIED}) and (${source}::text is null or e.source = ${source})
      `,
    }));
    return row?.count ?? 0;
  }

  /** Conflicts, and what else is for a person to look into. */
  async function addUntried(tally: Tally): Promise<void> {
    const rows = await inTransaction(sql, async (transaction) => ({
      keep: true,
      value: await transaction<{ source: string; reason: string; count: number; oldest: Date }[]>`
        select e.source, e.reason, count(*)::integer as count, min(e.received_at) as oldest
        from private.webhook_events e
        where e.replayed_at is null and e.reason <> all (${TRIED}) and (${source}::text is null or e.source = ${source})
        group by e.source, e.reason
      `,
    }));
    for (const { source, reason, count, oldest } of rows) tally.addUntried(source, reason, count, oldest);
  }

  try {
    let tally = new Tally();
    let refusals: Refusal[] = [];
    for (let round = 1; round <= (dryRun ? 1 : MAX_PASSES) && !stopped(); round++) {
      const before = tally.applied;
      tally = new Tally(tally);
      refusals = [];
      await pass(tally, refusals);
      if (tally.applied === before) break;
    }
    await addUntried(tally);
    const inOrder = (a: ReplayRow, b: ReplayRow) =>
      a.source.localeCompare(b.source) || a.reason.localeCompare(b.reason);
    return { rows: tally.rows.toSorted(inOrder), refusals, isComplete: !stopped() };
  } finally {
    await sql.end({ timeout: 5 });
  }
}
