import postgres from "postgres";
import { inRepository } from "./repository.ts";

const TIMEOUT_S = 30;

/** Makes a database look like a hosted project's before its first migration; see local/platform.sql. */
export async function bootstrapPlatform(databaseUrl: string): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, connect_timeout: TIMEOUT_S, onnotice: () => {} });
  try {
    await sql.unsafe(await Deno.readTextFile(inRepository("local", "platform.sql"))).simple();
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Loads supabase/seed.sql. */
export async function seed(databaseUrl: string): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, connect_timeout: TIMEOUT_S, onnotice: () => {} });
  try {
    await sql.unsafe(await Deno.readTextFile(inRepository("supabase", "seed.sql"))).simple();
  } finally {
    await sql.end({ timeout: 5 });
  }
}
