import { Command, CommanderError } from "commander";
import { campaignId } from "../command/campaign_id.ts";
import { databaseUrlOf, databaseUrlOption } from "../command/database_url.ts";

/** What `counters:check` or `counters:repair` was asked to do. */
export interface Options {
  readonly command: "check" | "repair";
  readonly databaseUrl: string;
  /** One campaign; null: all. */
  readonly campaign: string | null;
  readonly json: boolean;
}

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
      .addOption(databaseUrlOption)
      .option("--campaign <id>", "one campaign; default: all", campaignId)
      .option("--json", "print {campaigns, discrepancies, …} as JSON", false)
      .addHelpText("after", EXIT_CODES)
      .exitOverride()
      .action((options: { databaseUrl?: string; campaign?: string; json: boolean }) => {
        given = {
          command,
          databaseUrl: databaseUrlOf(options.databaseUrl, program),
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
