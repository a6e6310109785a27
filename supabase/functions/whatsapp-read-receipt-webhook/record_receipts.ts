import { z } from "zod";
import type { Json } from "../_shared/database.types.ts";
import type { Deps } from "../_shared/deps.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";

const counts = z.object({
  recorded: z.number(),
  duplicates: z.number(),
  parked: z.number(),
  journaled: z.number(),
});

/** What became of a batch of receipts. */
export type ReceiptCounts = z.output<typeof counts>;

/** Records receipts in one call; the one place that does. */
export async function recordReceipts(deps: Deps, events: Json[]): Promise<Result<ReceiptCounts>> {
  const answer = await deps.rpc("record_receipts", { p_receipts: events });
  return parseAnswer(answer, counts, "record_receipts", deps.log);
}
