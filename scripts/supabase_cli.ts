/** Newer than the one that applies migrations: only this one generates types and asks the advisors without Docker. */
const CLI = "supabase@3.1.0";
const BOUND_MS = 180_000;

/**
 * Runs the Supabase CLI through npx.
 *
 * @returns what it printed on standard output
 * @throws Error with what it printed on standard error, when it failed or took longer than three minutes
 */
export async function supabaseCli(args: readonly string[]): Promise<string> {
  const output = await new Deno.Command("npx", {
    args: ["-y", CLI, ...args],
    env: { SUPABASE_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", npm_config_loglevel: "error" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(BOUND_MS),
  }).output();
  if (!output.success) {
    const said = new TextDecoder().decode(output.stderr).trim();
    throw new Error(`npx ${CLI} ${args[0]} ${args[1]} failed with ${output.code}:\n${said}`);
  }
  return new TextDecoder().decode(output.stdout);
}
