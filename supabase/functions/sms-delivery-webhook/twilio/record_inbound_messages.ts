import { z } from "zod";
import type { Counts } from "../../_shared/counts.ts";
import type { Json } from "../../_shared/database.types.ts";
import type { Deps } from "../../_shared/deps.ts";
import { parseAnswer } from "../../_shared/parse_answer.ts";
import { recordDespiteRefusals } from "../../_shared/record_despite_refusals.ts";
import type { Result } from "../../_shared/result.ts";

const counts = z.object({
  stored: z.number(),
  duplicates: z.number(),
  journaled: z.number(),
  opted_out: z.number(),
  opted_in: z.number(),
});

/** Records messages that came in, and preferences, in one call; the one place that does. */
export function recordInboundMessages(deps: Deps, messages: Json[]): Promise<Result<Counts>> {
  return recordDespiteRefusals(deps, messages, {
    record: async (part) => {
      const answer = await deps.rpc("record_inbound_messages", { p_messages: part });
      return parseAnswer(answer, counts, "record_inbound_messages", deps.log);
    },
    toJournal: (event) => ({ source: "inbound", event }),
  });
}
