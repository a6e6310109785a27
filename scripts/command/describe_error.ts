import { sqlState } from "./sql_state.ts";

/** Errors whose words are about the database, and quote nothing that it holds: connection, login, names, resources. */
const SAFE_WORDS = /^(08|28|3D|42|53|57)/;

/** What went wrong, without the contents of any row: other errors of the database may quote what they stumbled over. */
export function describeError(error: unknown): string {
  const state = sqlState(error);
  if (state !== null && !SAFE_WORDS.test(state)) return `SQLSTATE ${state}`;
  return error instanceof Error ? error.message : String(error);
}
