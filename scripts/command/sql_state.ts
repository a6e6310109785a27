import postgres from "postgres";

/** The SQLSTATE of an error of the database; null for any other. */
export function sqlState(error: unknown): string | null {
  return error instanceof postgres.PostgresError ? error.code : null;
}
