import { Command, Option } from "commander";
import { measurements } from "./measurements/all.ts";

/** What the benchmark was asked to do. */
export interface BenchOptions {
  /** Print JSON in place of the table. */
  readonly json: boolean;
  readonly quick: boolean;
  /** The one measurement to run; null: all. */
  readonly only: string | null;
}

/** Reads the command line; prints help or what is wrong, and exits, where that is called for. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const names = measurements.map((measurement) => measurement.name);
  const command = new Command()
    .name("deno task bench")
    .description("Measure Truetick against what it is held against, side by side, on a stack of its own.")
    .option("--json", "print an array of {name, ratio, goal, figures}", false)
    .option("--quick", "smaller sizes: does everything still run?", false)
    .addOption(new Option("--only <name>", "run one measurement").choices(names))
    .parse([...args], { from: "user" });
  const { json, quick, only } = command.opts<{ json: boolean; quick: boolean; only?: string }>();
  return { json, quick, only: only ?? null };
}
