import postgres from "postgres";

/** A client whose int8 and numeric columns are numbers. */
export type Sql = postgres.Sql<{ int8: number; numeric: number }>;

/** The longest that a statement of a test may take: a lock that is never released fails the test, not the run. */
const STATEMENT_TIMEOUT_MS = 30_000;

/**
 * A client for tests.
 *
 * @param connections how many it may open at once
 */
export function connect(url: string, connections: number): Sql {
  return postgres(url, {
    max: connections,
    connect_timeout: 20,
    // the same statement is planned anew on every connection anyway, and functions change under tests
    prepare: false,
    onnotice: () => {},
    // what a test stored is dropped at its end: nobody needs to wait for the disk
    connection: {
      application_name: "truetick tests",
      statement_timeout: STATEMENT_TIMEOUT_MS,
      synchronous_commit: "off",
    },
    types: {
      int8: { to: 20, from: [20], serialize: String, parse: Number },
      numeric: { to: 1700, from: [1700], serialize: String, parse: Number },
    },
  });
}
