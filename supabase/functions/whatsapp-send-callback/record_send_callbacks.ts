import { z } from "zod";
import type { Counts } from "../_shared/counts.ts";
import type { Json } from "../_shared/database.types.ts";
import type { Deps } from "../_shared/deps.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import { recordDespiteRefusals } from "../_shared/record_despite_refusals.ts";
import type { Result } from "../_shared/result.ts";

const counts = z.object({ recorded: z.number(), duplicates: z.number(), unmatched: z.number(), journaled: z.number() });

/** Records callbacks in one call; the one place that does. */
export function recordSendCallbacks(deps: Deps, callbacks: Json[]): Promise<Result<Counts>> {
  return recordDespiteRefusals(deps, callbacks, {
    record: async (events) => {
      const answer = await deps.rpc("record_send_callback", { p_event: events });
      return parseAnswer(answer, counts, "record_send_callback", deps.log);
    },
    toJournal: (event) => ({ source: "send_callback", event }),
  });
}
