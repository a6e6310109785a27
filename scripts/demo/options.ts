import { Command, InvalidArgumentError } from "commander";
import { randomInt } from "node:crypto";

/** What the demo was asked to do. */
export interface DemoOptions {
  /** Decides every fault, and every member of every group. */
  readonly seed: number;
  readonly groups: number;
  /** Where the database goes and stays, a new or empty folder; null: a temporary one, removed at the end. */
  readonly dataDir: string | null;
}

const MAX_SEED = 999_999;
const MAX_GROUPS = 2_000;

/** Reads the command line; prints help or what is wrong, and exits, where that is called for. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const command = new Command()
    .name("deno task demo")
    .description("Run a campaign to WhatsApp groups under faults, and prove every counter.")
    .option("--seed <number>", "repeat the decisions of an earlier run", wholeNumber(0, MAX_SEED))
    .option("--groups <number>", "groups to send to", wholeNumber(1, MAX_GROUPS), 200)
    .option("--data-dir <folder>", "keep the database in this new or empty folder (default: it is removed at the end)")
    .parse([...args], { from: "user" });
  const { seed, groups, dataDir } = command.opts<{ seed?: number; groups: number; dataDir?: string }>();
  return { seed: seed ?? randomInt(1, MAX_SEED + 1), groups, dataDir: dataDir ?? null };
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}
