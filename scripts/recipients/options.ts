import { Command } from "commander";
import { campaignId } from "../command/campaign_id.ts";
import { databaseUrlOf, databaseUrlOption } from "../command/database_url.ts";

/** What `recipients:import` was asked to do. */
export interface Options {
  /** Path of the CSV file. */
  readonly file: string;
  readonly campaignId: string;
  readonly databaseUrl: string;
  /** The header of the column that names the recipients; null: the one that is called so. */
  readonly column: string | null;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** Reads the command line; prints help or what is wrong, and exits, where that is called for. */
export function parseOptions(args: readonly string[]): Options {
  let given: Options | undefined;
  const program = new Command("recipients");
  program.command("import <file.csv>")
    .description(
      "Add recipients to a campaign from a CSV file. Its first line names the columns: recipient (or phone, or group_jid), " +
        "member_count; every other column becomes a variable of the message. Run again, it adds what is not there yet. " +
        "Exits 1 when rows were refused or it ended early.",
    )
    .requiredOption("--campaign <id>", "which campaign", campaignId)
    .addOption(databaseUrlOption)
    .option("--column <name>", "the column that holds the recipients; default: recipient, phone or group_jid")
    .option("--dry-run", "say what would be added, and change nothing", false)
    .option("--json", "print the result as JSON", false)
    .action((
      file: string,
      options: { campaign: string; databaseUrl?: string; column?: string; dryRun: boolean; json: boolean },
    ) => {
      const { campaign, ...rest } = options;
      given = {
        ...rest,
        file,
        campaignId: campaign,
        databaseUrl: databaseUrlOf(options.databaseUrl, program),
        column: options.column ?? null,
      };
    });
  program.parse([...args], { from: "user" });
  if (given === undefined) throw new Error("No command was given");
  return given;
}
