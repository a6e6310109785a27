import { inRepository } from "../../local/repository.ts";
import type { Sql } from "./connect.ts";

/**
 * Runs supabase/partitioning/receipts.sql.
 *
 * @param partitions 0: one table again
 * @returns what partition_receipts answers
 */
export async function partitionReceipts(sql: Sql, partitions = 16): Promise<unknown> {
  await sql.unsafe(await Deno.readTextFile(inRepository("supabase", "partitioning", "receipts.sql"))).simple();
  const [row] = await sql<{ answer: unknown }[]>`select partitioning.partition_receipts(${partitions}) as answer`;
  return row?.answer;
}
