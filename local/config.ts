import { parse } from "smol-toml";
import { z } from "zod";
import { inRepository } from "./repository.ts";

const configFile = z.object({
  api: z.object({ max_rows: z.number().int().positive().default(1000) }).prefault({}),
  functions: z.record(z.string(), z.object({ verify_jwt: z.boolean().default(true) })).default({}),
});

/** What the stack takes from supabase/config.toml. */
export interface Config {
  /** Rows the Data API answers at most. */
  readonly maxRows: number;
  /** Whether the platform wants a valid token or key before it calls a function; true unless the file says otherwise. */
  verifyJwt(name: string): boolean;
}

/**
 * Reads supabase/config.toml.
 *
 * @throws Error naming the file and the field it cannot use
 */
export async function readConfig(): Promise<Config> {
  const path = inRepository("supabase", "config.toml");
  const parsed = configFile.safeParse(parse(await Deno.readTextFile(path)));
  if (!parsed.success) throw new Error(`Cannot use ${path}: ${z.prettifyError(parsed.error)}`);
  const { api, functions } = parsed.data;
  return { maxRows: api.max_rows, verifyJwt: (name) => functions[name]?.verify_jwt ?? true };
}
