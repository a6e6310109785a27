// deno-lint-ignore-file no-console -- a command of the terminal
import color from "picocolors";
import { advisorFaults } from "./advisors.ts";
import { databaseTypes, databaseTypesPath } from "./database_types.ts";
import { functionVersionFaults } from "./function_versions.ts";
import { inRepository } from "../local/repository.ts";
import { withTemporaryStack } from "./temporary_stack.ts";

/** Everything that can be said of the code without running it. All steps run; exits 1 if one found something. */
let failed = false;

await step("formatting", () => deno("fmt", "--check"));
await step("lint", () => deno("lint"));
await step("types", () => deno("check", "."));
await step("versions of the functions", () => functionVersionFaults());
await withTemporaryStack(async ({ databaseUrl }) => {
  await step("generated types in step with the migrations", async () => {
    const [now, then] = [await databaseTypes(databaseUrl), await Deno.readTextFile(databaseTypesPath)];
    return now === then ? [] : ["database.types.ts is not what the migrations say; run `deno task types`"];
  });
  await step("SQL advisors", () => advisorFaults(databaseUrl));
});
if (failed) Deno.exit(1);

async function step(name: string, find: () => Promise<string[]>): Promise<void> {
  const began = performance.now();
  const faults = await find().catch((error) => [error instanceof Error ? error.message : String(error)]);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${faults.length === 0 ? color.green("✓") : color.red("✗")} ${name} ${color.dim(`${seconds} s`)}`);
  for (const fault of faults) console.log(fault.replaceAll(/^/gm, "    "));
  failed ||= faults.length > 0;
}

async function deno(...args: string[]): Promise<string[]> {
  const output = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: inRepository(),
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(300_000),
  }).output();
  const said = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes).trim()).join("\n").trim();
  return output.success ? [] : [said];
}
