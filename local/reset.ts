import { Command } from "commander";
import colors from "picocolors";
import { removeDataFolder } from "./data_folder.ts";
import { readVariables, stackSettings } from "./environment.ts";
import { startStack } from "./stack.ts";

/** `deno task db:reset`: deletes the local data, migrates afresh and loads supabase/seed.sql. */
async function main(): Promise<void> {
  const started = performance.now();
  const { dataDir } = stackSettings(readVariables());
  await removeDataFolder(dataDir);
  const stack = await startStack({ apiPort: 0, dbPort: 0, cronSeconds: 0, simulator: false, seed: true });
  await stack.stop();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  write(Deno.stdout, `${colors.green("✓✓")} ${dataDir} is new, migrated and seeded ${colors.dim(`in ${seconds} s`)}`);
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

try {
  await new Command("deno task db:reset")
    .description("Delete the local data, migrate afresh and load supabase/seed.sql. Refuses while a stack runs on it.")
    .action(main)
    .parseAsync(Deno.args, { from: "user" });
  Deno.exit(0);
} catch (error) {
  write(Deno.stderr, colors.red(error instanceof Error ? error.message : `${error}`));
  Deno.exit(1);
}
