import { z } from "zod";
import type { Sql } from "../command/connect.ts";
import { inTransaction } from "../command/in_transaction.ts";
import type { TakeChunk } from "./take_chunk.ts";

const count = z.number().int();
const answer = z.object({
  added: count,
  duplicates: count,
  skipped: count,
  refused: count,
  problems: z.array(z.object({ index: count, reason: z.string() })),
});

/** Adds chunks, each in a transaction of its own. */
export function addingChunks(sql: Sql, campaignId: string): TakeChunk {
  return async (recipients) => {
    const [row] = await inTransaction(sql, async (transaction) => ({
      keep: true,
      value: await transaction`
        select public.add_recipients(${campaignId}, ${JSON.stringify(recipients)}::text::jsonb) as answer
      `,
    }));
    const { skipped: otherSpellings, ...counts } = answer.parse(row?.answer);
    return { ...counts, otherSpellings };
  };
}
