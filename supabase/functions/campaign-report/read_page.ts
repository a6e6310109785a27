import { z } from "zod";
import type { Deps } from "../_shared/deps.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";
import type { Rpc } from "../_shared/rpc.ts";

const reportPage = z.object({ csv: z.string(), next: z.string().nullable() });

/** A piece of the report. */
export type ReportPage = z.output<typeof reportPage>;

/** Reads the page of a campaign's report that follows the recipient `after`; the first where that is null. */
export async function readPage(
  rpc: Rpc,
  campaignId: string,
  after: string | null,
  log: Deps["log"],
): Promise<Result<ReportPage>> {
  const answer = await rpc("campaign_report_csv", {
    p_campaign_id: campaignId,
    ...after === null ? {} : { p_after: after },
  });
  return parseAnswer(answer, reportPage, "campaign_report_csv", log);
}
