import { Command, InvalidArgumentError } from "commander";
import { randomInt } from "node:crypto";

/** What the demo was asked to do. */
export interface DemoOptions {
  /** Decides every fault, and every person. */
  readonly seed: number;
  readonly groups: number;
  /** People to write to, by WhatsApp and by SMS together. */
  readonly contacts: number;
  /** Where the database goes and stays, a new or empty folder; null: a temporary one, removed at the end. */
  readonly dataDir: string | null;
}

const MAX_SEED = 999_999;
const MAX_GROUPS = 2_000;
/** Enough that each kind of recipient is among them. */
const MIN_CONTACTS = 200;
const MAX_CONTACTS = 50_000;

/** Reads the command line; prints help or what is wrong, and exits, where that is called for. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const command = new Command()
    .name("deno task demo")
    .description(
      "Run campaigns to WhatsApp groups, to WhatsApp contacts and by SMS under faults, and prove every counter.",
    )
    .option("--seed <number>", "repeat the decisions of an earlier run", wholeNumber(0, MAX_SEED))
    .option("--groups <number>", "groups to send to", wholeNumber(1, MAX_GROUPS), 200)
    .option(
      "--contacts <number>",
      "contacts to send to, 7 of 10 by WhatsApp",
      wholeNumber(MIN_CONTACTS, MAX_CONTACTS),
      5000,
    )
    .option("--data-dir <folder>", "keep the database in this new or empty folder (default: it is removed at the end)")
    .parse([...args], { from: "user" });
  const { seed, dataDir, ...sizes } = command.opts<
    { seed?: number; groups: number; contacts: number; dataDir?: string }
  >();
  return { seed: seed ?? randomInt(1, MAX_SEED + 1), ...sizes, dataDir: dataDir ?? null };
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
