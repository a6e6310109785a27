import { createAdminClient } from "@supabase/server/core";
import type { SupabaseClient } from "@supabase/supabase-js";
import type { Database } from "./database.types.ts";
import type { Environment } from "./environment.ts";

let cached: { readonly url: string; readonly key: string; readonly client: SupabaseClient<Database> } | undefined;

/**
 * The client that acts as `service_role`; one per isolate, made anew when its address or its key has changed.
 *
 * Throws `EnvironmentError` while `SUPABASE_URL` or the secret key is missing.
 */
export function databaseClient(environment: Environment): SupabaseClient<Database> {
  const url = environment.url("SUPABASE_URL");
  const key = environment.secretKey();
  if (cached?.url !== url || cached.key !== key) {
    const client = createAdminClient<Database>({ env: { url, secretKeys: { default: key } } });
    cached = { url, key, client };
  }
  return cached.client;
}
