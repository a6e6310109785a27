import { cloneDatabase } from "../../local/database.ts";
import { connect, type Sql } from "./connect.ts";
import { openSession, type Session } from "./session.ts";
import { testStack } from "./test_stack.ts";

/** A freshly migrated, empty database for one test. */
export interface TestDatabase {
  readonly url: string;
  /** A pool of up to 10 connections, as the superuser postgres. */
  readonly sql: Sql;
  /** A pool of more connections, for many sessions at once; closed with the database. */
  pool(connections: number): Sql;
  /** One connection of its own, to be steered step by step; closed with the database. */
  session(name: string): Promise<Session>;
  /** Closes what was opened and drops the database. */
  drop(): Promise<void>;
}

const POOL_SIZE = 10;

/** Copies the template. The caller drops it; {@link databaseTest} does so by itself. */
export async function openTestDatabase(): Promise<TestDatabase> {
  const stack = testStack();
  const clone = await cloneDatabase(stack, stack.template);
  const pools: Sql[] = [];
  const pool = (connections: number) => {
    const opened = connect(clone.url, connections);
    pools.push(opened);
    return opened;
  };
  const sql = pool(POOL_SIZE);
  return {
    url: clone.url,
    sql,
    pool,
    session: (name) => openSession(name, pool(1), sql),
    async drop() {
      await Promise.all(pools.map((opened) => opened.end({ timeout: 1 })));
      await clone.drop();
    },
  };
}
