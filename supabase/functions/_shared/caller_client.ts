import { createContextClient } from "@supabase/server/core";
import type { SupabaseClient } from "@supabase/supabase-js";
import type { Database } from "./database.types.ts";
import type { Environment } from "./environment.ts";

/**
 * The client that acts as the user whose access token it is: the publishable key opens the door of the database API, the
 * token alone says who is there. Whether it is genuine and has not expired, that API decides at every call.
 *
 * Throws `EnvironmentError` while `SUPABASE_URL` or the publishable key is missing.
 */
export function callerClient(environment: Environment, accessToken: string): SupabaseClient<Database> {
  const url = environment.url("SUPABASE_URL");
  const key = environment.publishableKey();
  return createContextClient<Database>({
    auth: { token: accessToken },
    env: { url, publishableKeys: { default: key } },
  });
}
