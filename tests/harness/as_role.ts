import type postgres from "postgres";
import type { Sql } from "./connect.ts";

/** The client inside a transaction. */
export type RoleSql = postgres.TransactionSql<{ int8: number; numeric: number }>;

/** As whom the API speaks to the database. */
export type ApiRole = "anon" | "authenticated" | "service_role";

/**
 * Runs in one transaction as the API would: with the role, and with the claims of the token.
 *
 * @param userId `sub` of the token; null for anon and for a secret key
 */
export async function asRole<T>(
  sql: Sql,
  role: ApiRole,
  userId: string | null,
  work: (sql: RoleSql) => Promise<T>,
): Promise<T> {
  const claims = JSON.stringify({ role, ...userId === null ? {} : { sub: userId } });
  let outcome: { readonly value: T } | undefined;
  await sql.begin(async (transaction) => {
    await transaction`select set_config('role', ${role}, true), set_config('request.jwt.claims', ${claims}, true)`;
    outcome = { value: await work(transaction) };
  });
  if (outcome === undefined) throw new Error("The transaction ended without an outcome");
  return outcome.value;
}
