import { z } from "zod";
import type { Counts } from "../../_shared/counts.ts";
import type { Deps } from "../../_shared/deps.ts";
import { parseAnswer } from "../../_shared/parse_answer.ts";
import { recordDespiteRefusals } from "../../_shared/record_despite_refusals.ts";
import type { Result } from "../../_shared/result.ts";
import type { MetaPost } from "./read_meta_post.ts";

const counts = z.object({
  recorded: z.number(),
  stored: z.number(),
  duplicates: z.number(),
  parked: z.number(),
  journaled: z.number(),
  opted_out: z.number(),
  opted_in: z.number(),
  applied: z.number(),
  ignored: z.number(),
  unmatched: z.number(),
});

/** Records receipts, messages and signals of one post in one call and one transaction; the one place that does. */
export function recordWhatsappEvents(
  deps: Deps,
  { receipts, messages, signals }: Pick<MetaPost, "receipts" | "messages" | "signals">,
): Promise<Result<Counts>> {
  const items = [
    ...receipts.map((event) => ({ source: "receipt", event }) as const),
    ...messages.map((event) => ({ source: "inbound", event }) as const),
    ...signals.map((event) => ({ source: "signal", event }) as const),
  ];
  return recordDespiteRefusals(deps, items, {
    record: async (part) => {
      const of = (source: string) => part.filter((item) => item.source === source).map(({ event }) => event);
      const answer = await deps.rpc("record_whatsapp_events", {
        p_receipts: of("receipt"),
        p_messages: of("inbound"),
        p_signals: of("signal"),
      });
      return parseAnswer(answer, counts, "record_whatsapp_events", deps.log);
    },
    toJournal: (item) => item,
  });
}
