import { pause } from "../../local/within.ts";
import type { Sql, Transaction } from "./connect.ts";
import { sqlState } from "./sql_state.ts";

/** Who loses a race against another writer tries again: serialization, deadlock. */
const LOST_RACES: ReadonlySet<string | null> = new Set(["40001", "40P01"]);
const MAX_TRIES = 6;
const FIRST_WAIT_MS = 50;

/** What a transaction did, and whether that is to stay. */
export interface Done<Value> {
  readonly keep: boolean;
  readonly value: Value;
}

/** How a transaction is run. */
export interface TransactionOptions {
  /** A statement that takes longer is given up; default 60s, which no page of work takes. */
  readonly statementTimeout?: string;
}

/** Runs a transaction, again where it lost a race; rolls back what is not to be kept. Each statement of it is bounded. */
export async function inTransaction<Value>(
  sql: Sql,
  work: (transaction: Transaction) => Promise<Done<Value>>,
  { statementTimeout = "60s" }: TransactionOptions = {},
): Promise<Value> {
  for (let attempt = 1;; attempt++) {
    let done: Done<Value> | undefined;
    try {
      await sql.begin(async (transaction) => {
        await transaction.unsafe(`
          set local statement_timeout = '${statementTimeout}';
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

class RolledBack extends Error {}
