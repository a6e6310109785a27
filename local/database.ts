import postgres from "postgres";
import { pause } from "./within.ts";

/** A database of a test's own. */
export interface ClonedDatabase {
  readonly name: string;
  /** Connection string, as the source's but for the database. */
  readonly url: string;
  /** Ends every connection to it and drops it. Takes a checkpoint: where the data folder goes anyway, leave it out. */
  drop(): Promise<void>;
}

const CONNECT_TIMEOUT_S = 10;
const COPY_ATTEMPTS = 10;
const OBJECT_IN_USE = "55006";

/**
 * Copies a database, so that test files may commit and still run at once. Postgres copies none that is in use:
 * connections to the template are ended, and a stack's API answers 503 for a moment. For many copies make one of the
 * stack's database first and hand its name in as the template: nothing connects to that, and copies of it can be made
 * side by side.
 *
 * @param source a stack, or a connection string of any database on the server
 * @param template the database to copy; default: the one that the connection string names
 * @throws Error when the template stays in use
 */
export async function cloneDatabase(
  source: string | { readonly databaseUrl: string },
  template?: string,
): Promise<ClonedDatabase> {
  const base = new URL(typeof source === "string" ? source : source.databaseUrl);
  const original = template ?? base.pathname.slice(1);
  const name = `clone_${crypto.randomUUID().replaceAll("-", "")}`;
  const url = new URL(base);
  url.pathname = `/${name}`;
  await onServer(base, (sql) => copyDatabase(sql, original, name));
  return {
    name,
    url: url.href,
    drop: () => onServer(base, async (sql) => void await sql`drop database if exists ${sql(name)} with (force)`),
  };
}

async function copyDatabase(sql: postgres.Sql, original: string, name: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    await sql`select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where datname = ${original}`;
    try {
      await sql`create database ${sql(name)} template ${sql(original)}`;
      return;
    } catch (error) {
      if (!(error instanceof postgres.PostgresError) || error.code !== OBJECT_IN_USE) throw error;
      if (attempt === COPY_ATTEMPTS) throw new Error(`Cannot copy "${original}": connections to it keep coming`);
      await pause(100 * Math.random());
    }
  }
}

/** Not through the database to be copied: our own connection would be in the way. */
async function onServer(base: URL, work: (sql: postgres.Sql) => Promise<void>): Promise<void> {
  const url = new URL(base);
  url.pathname = "/template1";
  const sql = postgres(url.href, { max: 1, connect_timeout: CONNECT_TIMEOUT_S, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
