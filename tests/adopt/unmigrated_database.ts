import { bootstrapPlatform } from "../../local/bootstrap.ts";
import { cloneDatabase } from "../../local/database.ts";
import { applyMigrations } from "../../local/migrations.ts";
import { connect, type Sql, testStack } from "../harness/mod.ts";

/** A hosted project before Truetick. */
export interface UnmigratedDatabase {
  readonly sql: Sql;
  /** What `supabase db push` does. */
  migrate(): Promise<void>;
}

/** Runs a test on a database that has what a hosted project has, and nothing of Truetick. */
export async function withUnmigratedDatabase(body: (database: UnmigratedDatabase) => Promise<void>): Promise<void> {
  const clone = await cloneDatabase(testStack(), "template0");
  const sql = connect(clone.url, 4);
  const home = await Deno.makeTempDir({ prefix: "truetick adopt " });
  try {
    await bootstrapPlatform(clone.url);
    await body({ sql, migrate: () => applyMigrations(clone.url, home) });
  } finally {
    await sql.end({ timeout: 1 });
    await clone.drop();
    await Deno.remove(home, { recursive: true });
  }
}
