import { z } from "zod";
import type { Json } from "../_shared/database.types.ts";
import type { Deps } from "../_shared/deps.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";

const counts = z.object({
  recorded: z.number(),
  duplicates: z.number(),
  unmatched: z.number(),
  journaled: z.number(),
});

/** What became of a batch of callbacks. */
export type SendCallbackCounts = z.output<typeof counts>;

/** Records callbacks in one call; the one place that does. */
export async function recordSendCallbacks(deps: Deps, events: Json[]): Promise<Result<SendCallbackCounts>> {
  const answer = await deps.rpc("record_send_callback", { p_event: events });
  return parseAnswer(answer, counts, "record_send_callback", deps.log);
}
