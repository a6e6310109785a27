import { Command, Option } from "commander";

/** What `events:replay` was asked to do. */
export interface Options {
  readonly databaseUrl: string;
  /** Events of this source alone; null: all. */
  readonly source: string | null;
  readonly dryRun: boolean;
  readonly json: boolean;
}

const LOCAL = "postgresql://postgres:postgres@127.0.0.1:54322/postgres";
const SOURCES = ["send_callback", "receipt", "inbound", "sms_delivery", "signal"];

/** Reads the command line; prints help or what is wrong, and exits, where that is called for. */
export function parseOptions(args: readonly string[]): Options {
  let given: Options | undefined;
  const program = new Command("events");
  program.command("replay")
    .description(
      "Apply the events of the journal again: unmatched, refused, and those that this version can read. " +
        "Exits 1 when the database refused one with an error.",
    )
    .option("--database-url <url>", "which database", Deno.env.get("DATABASE_URL") ?? LOCAL)
    .addOption(new Option("--source <source>", "events of one source; default: all").choices(SOURCES))
    .option("--dry-run", "say what would be applied, and change nothing", false)
    .option("--json", "print the result as JSON", false)
    .action((options: { databaseUrl: string; source?: string; dryRun: boolean; json: boolean }) => {
      given = { ...options, source: options.source ?? null };
    });
  program.parse([...args], { from: "user" });
  if (given === undefined) throw new Error("No command was given");
  return given;
}
