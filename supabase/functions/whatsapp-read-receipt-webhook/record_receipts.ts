import { z } from "zod";
import type { Json } from "../_shared/database.types.ts";
import type { Deps } from "../_shared/deps.ts";
import { GroupCommit } from "../_shared/group_commit.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";

const counts = z.object({
  recorded: z.number(),
  duplicates: z.number(),
  parked: z.number(),
  journaled: z.number(),
});

/** A letter for each receipt: recorded, duplicate, parked, journaled. */
const verdicts = z.object({ verdicts: z.string().regex(/^[rdpj]*$/) });

/** What became of a batch of receipts. */
export type ReceiptCounts = z.output<typeof counts>;

/** One isolate serves many requests: the receipts of those that come at the same time go to the database together. */
const group = new GroupCommit<Json, ReceiptCounts>({ concurrent: 4, items: 1_000 });

/** Records receipts in one call, which those of other requests may share; the one place that does. */
export function recordReceipts(deps: Deps, events: Json[]): Promise<Result<ReceiptCounts>> {
  return group.add(events, (batches) => record(deps, batches));
}

async function record(deps: Deps, batches: Json[][]): Promise<Result<ReceiptCounts[]>> {
  const receipts = batches.flat();
  if (batches.length === 1) {
    const answer = await deps.rpc("record_receipts", { p_receipts: receipts });
    const parsed = parseAnswer(answer, counts, "record_receipts", deps.log);
    return parsed.ok ? { ok: true, value: [parsed.value] } : parsed;
  }
  const answer = await deps.rpc("record_receipts_with_verdicts", { p_receipts: receipts });
  const parsed = parseAnswer(answer, verdicts, "record_receipts_with_verdicts", deps.log);
  if (!parsed.ok) return parsed;
  let from = 0;
  return {
    ok: true,
    value: batches.map((batch) => countOf(parsed.value.verdicts.slice(from, from += batch.length))),
  };
}

function countOf(letters: string): ReceiptCounts {
  const count = (letter: string) => letters.split(letter).length - 1;
  return { recorded: count("r"), duplicates: count("d"), parked: count("p"), journaled: count("j") };
}
