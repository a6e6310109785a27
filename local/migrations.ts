import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { inRepository } from "./repository.ts";

const TIMEOUT_MS = 60_000;

/**
 * Never called. The literal import puts the supabase CLI, and with it the program of this platform, into the module
 * graph, so that Deno downloads both.
 */
export async function supabaseCliInModuleGraph(): Promise<unknown> {
  return await import("supabase/package.json", { with: { type: "json" } });
}

/**
 * Applies what is new in supabase/migrations with the official CLI, as `supabase db push` would on the platform.
 *
 * @param home where the CLI keeps its notes about itself; default: the user's home
 * @throws Error with the CLI's own words when a migration fails or a minute has passed
 */
export async function applyMigrations(databaseUrl: string, home?: string): Promise<void> {
  const tooLate = AbortSignal.timeout(TIMEOUT_MS);
  const { success, stdout, stderr } = await new Deno.Command(supabaseCli(), {
    args: [
      "migration",
      "up",
      "--include-all",
      "--db-url",
      `${databaseUrl}?sslmode=disable`,
      "--workdir",
      inRepository(),
    ],
    cwd: inRepository(),
    env: { SUPABASE_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", ...home === undefined ? {} : { HOME: home } },
    stdin: "null",
    signal: tooLate,
  }).output();
  if (success) return;
  const decoder = new TextDecoder();
  const what = tooLate.aborted ? `did not end within ${TIMEOUT_MS / 1000} s` : "failed";
  throw new Error(`The migrations ${what}. The CLI's own words:\n${decoder.decode(stdout)}${decoder.decode(stderr)}`);
}

/**
 * The path of the CLI's program. The package's own launcher looks for it in the same way; without it a run is faster by
 * one process, and needs no network once the package is there.
 */
export function supabaseCli(): string {
  const cli = createRequire(import.meta.url).resolve("supabase/package.json");
  const require = createRequire(cli);
  for (const suffix of ["", "-musl"]) {
    try {
      const file = require.resolve(`@supabase/cli-${process.platform}-${process.arch}${suffix}/package.json`);
      return join(dirname(file), "bin", "supabase");
    } catch {
      // The other C library, or none for this platform.
    }
  }
  throw new Error(`The supabase CLI has no program for ${process.platform}-${process.arch}; use Linux or macOS`);
}
