import { Command, CommanderError, InvalidArgumentError } from "commander";

/** What `counters:check` or `counters:repair` was asked to do. */
export interface Options {
  readonly command: "check" | "repair";
  readonly databaseUrl: string;
  /** One campaign; null: all. */
  readonly campaign: string | null;
  readonly json: boolean;
}

const LOCAL = "postgresql://postgres:postgres@127.0.0.1:54322/postgres";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const EXIT_CODES = `
Exit codes:
  0  every counter equals its rows, or was mended
  1  something differs
  2  bad arguments, no connection, or interrupted`;

/** Reads the command line; prints help or what is wrong, and exits, where that is called for. */
export function parseOptions(args: readonly string[]): Options {
  let given: Options | undefined;
  const program = new Command("counters").exitOverride().addHelpText("after", EXIT_CODES);
  for (
    const [command, description] of [
      ["check", "Recount counters from rows and receipts, beside traffic, and say what differs."],
      ["repair", "Recount, and mend what differs: recipients from their receipts, counters from the rows."],
    ] as const
  ) {
    program.command(command)
      .description(description)
      // not as a default, which help would print, and a password with it
      .option("--database-url <url>", "which database; default: DATABASE_URL, else the local one")
      .option("--campaign <id>", "one campaign; default: all", campaignId)
      .option("--json", "print {campaigns, discrepancies, …} as JSON", false)
      .addHelpText("after", EXIT_CODES)
      .exitOverride()
      .action((options: { databaseUrl?: string; campaign?: string; json: boolean }) => {
        const databaseUrl = options.databaseUrl ?? (Deno.env.get("DATABASE_URL") || LOCAL);
        const { protocol } = URL.parse(databaseUrl) ?? {};
        if (protocol !== "postgresql:" && protocol !== "postgres:") {
          // which is not quoted, as a parser of commander's would: it may hold a password
          program.error("error: the database's address is written postgresql://user:password@host:5432/postgres");
        }
        given = {
          command,
          databaseUrl,
          campaign: options.campaign ?? null,
          json: options.json,
        };
      });
  }
  try {
    program.parse([...args], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) Deno.exit(error.exitCode === 0 ? 0 : 2);
    throw error;
  }
  if (given === undefined) throw new Error("No command was given");
  return given;
}

function campaignId(text: string): string {
  if (!UUID.test(text)) throw new InvalidArgumentError("A campaign's id is a uuid.");
  return text;
}
