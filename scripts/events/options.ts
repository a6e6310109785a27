import { Command, Option } from "commander";
import { databaseUrlOf, databaseUrlOption } from "../command/database_url.ts";

/** What `events:replay` was asked to do. */
export interface Options {
  readonly databaseUrl: string;
  /** Events of this source alone; null: all. */
  readonly source: string | null;
  readonly dryRun: boolean;
  readonly json: boolean;
}

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
    .addOption(databaseUrlOption)
    .addOption(new Option("--source <source>", "events of one source; default: all").choices(SOURCES))
    .option("--dry-run", "say what would be applied, and change nothing", false)
    .option("--json", "print the result as JSON", false)
    .action((options: { databaseUrl?: string; source?: string; dryRun: boolean; json: boolean }) => {
      given = {
        ...options,
        databaseUrl: databaseUrlOf(options.databaseUrl, program),
        source: options.source ?? null,
      };
    });
  program.parse([...args], { from: "user" });
  if (given === undefined) throw new Error("No command was given");
  return given;
}
