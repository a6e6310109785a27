import { z } from "zod";
import type { Counts } from "../_shared/counts.ts";
import type { Json } from "../_shared/database.types.ts";
import type { Deps } from "../_shared/deps.ts";
import { isSenderSignal } from "../_shared/is_sender_signal.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import { recordDespiteRefusals } from "../_shared/record_despite_refusals.ts";
import type { Result } from "../_shared/result.ts";

const callbackCounts = z.object({
  recorded: z.number(),
  duplicates: z.number(),
  unmatched: z.number(),
  journaled: z.number(),
});
const counts = callbackCounts.extend({ applied: z.number(), ignored: z.number() });

/** Records callbacks, and signals about sessions where there are any, in one call; the one place that does. */
export function recordGatewayEvents(deps: Deps, events: Json[]): Promise<Result<Counts>> {
  const hasSignals = events.some(isSenderSignal);
  return recordDespiteRefusals(deps, events, {
    record: async (part) => {
      if (!hasSignals) {
        const answer = await deps.rpc("record_send_callback", { p_event: part });
        return parseAnswer(answer, callbackCounts, "record_send_callback", deps.log);
      }
      const answer = await deps.rpc("record_gateway_events", {
        p_callbacks: part.filter((event) => !isSenderSignal(event)),
        p_signals: part.filter(isSenderSignal),
      });
      return parseAnswer(answer, counts, "record_gateway_events", deps.log);
    },
    toJournal: (event) => ({ source: isSenderSignal(event) ? "signal" : "send_callback", event }),
  });
}
