import { type Command, Option } from "commander";

const LOCAL = "postgresql://postgres:postgres@127.0.0.1:54322/postgres";

/** Names a database. It has no default of commander's, which help would print, and a password with it. */
export const databaseUrlOption: Option = new Option(
  "--database-url <url>",
  "which database; default: DATABASE_URL, else the local one",
);

/**
 * The address of the database that was asked for: the one given, else DATABASE_URL, else the local one. Ends the command
 * where that is no address; it is not quoted, as a parser of commander's would: it may hold a password.
 */
export function databaseUrlOf(given: string | undefined, command: Command): string {
  const databaseUrl = given ?? (Deno.env.get("DATABASE_URL") || LOCAL);
  const { protocol } = URL.parse(databaseUrl) ?? {};
  if (protocol !== "postgresql:" && protocol !== "postgres:") {
    command.error("error: the database's address is written postgresql://user:password@host:5432/postgres");
  }
  return databaseUrl;
}
