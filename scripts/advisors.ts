import postgres from "postgres";
import { z } from "zod";
import { supabaseCli } from "./supabase_cli.ts";

const report = z.object({
  results: z.array(z.object({ name: z.string(), level: z.string(), detail: z.string() })),
});

/** What the advisors say of every fresh database, and what is meant to be so. */
const MEANT: readonly { name: string; detail?: RegExp; because: string }[] = [
  { name: "unused_index", because: "nothing has used a database that was made a second ago" },
  {
    name: "rls_enabled_no_policy",
    detail: /`private\./,
    because: "only service_role, which no policy binds, may use these tables",
  },
  {
    name: "no_primary_key",
    detail: /`private\.campaign_counter_deltas`/,
    because: "deltas are appended and summed, never looked up",
  },
];

/**
 * What Supabase's own advisors say of a migrated database, without what is meant to be so.
 *
 * A function with a parsed body needs no search path: its names were resolved when it was created.
 */
export async function advisorFaults(databaseUrl: string): Promise<string[]> {
  const said = await supabaseCli([
    "db",
    "advisors",
    `--remote=${databaseUrl}`,
    "--level",
    "info",
    "--fail-on",
    "none",
    "--output-format",
    "json",
  ]);
  const { results } = report.parse(JSON.parse(said));
  const parsedBodies = await functionsWithParsedBody(databaseUrl);
  return results
    .filter(({ name, detail }) => !MEANT.some((meant) => meant.name === name && (meant.detail?.test(detail) ?? true)))
    .filter(({ name, detail }) =>
      name !== "function_search_path_mutable" || !parsedBodies.some((known) => detail.includes(`\`${known}\``))
    )
    .map(({ name, level, detail }) => `${level} ${name}: ${detail}`);
}

async function functionsWithParsedBody(databaseUrl: string): Promise<string[]> {
  const sql = postgres(databaseUrl, { max: 1, connect_timeout: 10 });
  try {
    const rows = await sql<{ name: string }[]>`
      select p.pronamespace::regnamespace || '.' || p.proname as name from pg_proc p where p.prosqlbody is not null`;
    return rows.map((row) => row.name);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
