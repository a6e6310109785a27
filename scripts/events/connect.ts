import postgres from "postgres";
import { pause } from "../../local/within.ts";

/** No statement of a replay takes longer; one that would is given up, and its page with it. */
const STATEMENT_TIMEOUT = "60s";

/** Who loses a race against a webhook tries again: deadlock, serialization. */
const LOST_RACES: ReadonlySet<string | null> = new Set(["40001", "40P01"]);
const MAX_TRIES = 6;
const FIRST_WAIT_MS = 50;

/** One connection to the database whose journal is replayed. */
export type Sql = postgres.Sql;
/** The same within a transaction. */
export type Transaction = postgres.TransactionSql;

/** Opens it. `onNotice` is told what the database says beside its answers. */
export function connect(databaseUrl: string, onNotice: (notice: postgres.Notice) => void): Sql {
  return postgres(databaseUrl, {
    max: 1,
    connect_timeout: 10,
    // a pooler between us and the database may hand out another session each time
    prepare: false,
    onnotice: onNotice,
  });
}

/** What a transaction did, and whether that is to stay. */
export interface Done<Value> {
  readonly keep: boolean;
  readonly value: Value;
}

/** Runs a transaction, again where it lost a race; rolls back what is not to be kept. Each statement of it is bounded. */
export async function inTransaction<Value>(
  sql: Sql,
  work: (transaction: Transaction) => Promise<Done<Value>>,
): Promise<Value> {
  for (let attempt = 1;; attempt++) {
    let done: Done<Value> | undefined;
    try {
      await sql.begin(async (transaction) => {
        await transaction.unsafe(`
          set local statement_timeout = '${STATEMENT_TIMEOUT}';
          set local client_min_messages = warning;
        `);
        done = await work(transaction);
        if (!done.keep) throw new RolledBack();
      });
    } catch (error) {
      if (!(error instanceof RolledBack)) {
        if (!LOST_RACES.has(sqlState(error)) || attempt === MAX_TRIES) throw error;
        await pause(Math.random() * FIRST_WAIT_MS * 2 ** attempt);
        continue;
      }
    }
    if (done === undefined) throw new Error("The transaction ended without a result");
    return done.value;
  }
}

/** The SQLSTATE of an error of the database; null for any other. */
export function sqlState(error: unknown): string | null {
  return error instanceof postgres.PostgresError ? error.code : null;
}

/** Errors that say nothing about what was asked: connection, login, lost races, missing objects, resources, the server itself. */
const NOT_THE_EVENTS_FAULT = /^(08|28|40|42|53|55|57|58|XX)/;

/** The SQLSTATE with which the database refused an event; null for an error that is not the event's fault. */
export function refusalOf(error: unknown): string | null {
  const state = sqlState(error);
  return state === null || NOT_THE_EVENTS_FAULT.test(state) ? null : state;
}

/** Errors whose words are about the database, and quote nothing that it holds: connection, login, names, resources. */
const SAFE_WORDS = /^(08|28|3D|42|53|57)/;

/** What went wrong, without the contents of any event: other errors of the database may quote what they stumbled over. */
export function describeError(error: unknown): string {
  const state = sqlState(error);
  if (state !== null && !SAFE_WORDS.test(state)) return `SQLSTATE ${state}`;
  return error instanceof Error ? error.message : String(error);
}

class RolledBack extends Error {}
