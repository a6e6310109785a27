import { z } from "zod";
import type { Counts } from "./counts.ts";
import type { Json } from "./database.types.ts";
import type { Deps } from "./deps.ts";
import { GroupCommit } from "./group_commit.ts";
import { parseAnswer } from "./parse_answer.ts";
import { recordDespiteRefusals } from "./record_despite_refusals.ts";
import type { Result } from "./result.ts";

const counts = z.object({
  recorded: z.number(),
  duplicates: z.number(),
  parked: z.number(),
  journaled: z.number(),
});

/** A letter for each receipt: recorded, duplicate, parked, journaled. */
const verdicts = z.object({ verdicts: z.string().regex(/^[rdpj]*$/) });

/** Records receipts in one call, which those of other requests may share. */
export type RecordReceipts = (deps: Deps, receipts: Json[]) => Promise<Result<Counts>>;

/**
 * Makes what records the receipts of one webhook; `source` is its name in the journal. Make one per isolate, which serves
 * many requests: the receipts of those that come at the same time go to the database together.
 */
export function receiptRecorder(source: "receipt" | "sms_delivery"): RecordReceipts {
  const group = new GroupCommit<Json, Counts>({ concurrent: 4, items: 1_000 });
  return (deps, receipts) =>
    recordDespiteRefusals(deps, receipts, {
      recordTogether: (items) => group.add(items, (batches) => recordBatches(deps, source, batches)),
      record: (items) => recordBatch(deps, source, items),
      toJournal: (event) => ({ source, event }),
    });
}

async function recordBatch(deps: Deps, source: string, receipts: Json[]): Promise<Result<Counts>> {
  const answer = await deps.rpc("record_receipts", { p_receipts: receipts, p_source: source });
  return parseAnswer(answer, counts, "record_receipts", deps.log);
}

async function recordBatches(deps: Deps, source: string, batches: Json[][]): Promise<Result<Counts[]>> {
  const [first] = batches;
  if (first !== undefined && batches.length === 1) {
    const answer = await recordBatch(deps, source, first);
    return answer.ok ? { ok: true, value: [answer.value] } : answer;
  }
  const answer = await deps.rpc("record_receipts_with_verdicts", { p_receipts: batches.flat(), p_source: source });
  const parsed = parseAnswer(answer, verdicts, "record_receipts_with_verdicts", deps.log);
  if (!parsed.ok) return parsed;
  let from = 0;
  return {
    ok: true,
    value: batches.map((batch) => countOf(parsed.value.verdicts.slice(from, from += batch.length))),
  };
}

function countOf(letters: string): Counts {
  const count = (letter: string) => letters.split(letter).length - 1;
  return { recorded: count("r"), duplicates: count("d"), parked: count("p"), journaled: count("j") };
}
