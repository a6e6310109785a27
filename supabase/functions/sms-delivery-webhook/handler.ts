import { authorize } from "../_shared/authorize.ts";
import type { Deps } from "../_shared/deps.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import { hasMediaType } from "../_shared/has_media_type.ts";
import { noReceipts } from "../_shared/no_receipts.ts";
import { receiveEvents } from "../_shared/receive_events.ts";
import { parseSmsReport } from "./parse_sms_report.ts";
import { recordSmsReports } from "./record_sms_reports.ts";
import { receiveTwilioPost } from "./twilio/receive_twilio_post.ts";

/**
 * SMS providers report how messages went, and what people write back.
 *
 * Twilio posts forms (X-Twilio-Signature); any other gateway posts JSON (X-API-Key), one report or an array of thousands.
 *
 * Answers `{ok: true, recorded, duplicates, parked, journaled}`, or for a message that came in
 * `{ok: true, stored, duplicates, journaled, opted_out, opted_in}`.
 */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  if (request.method === "POST" && hasMediaType(request, "application/x-www-form-urlencoded")) {
    return await receiveTwilioPost(request, deps);
  }
  const refusal = authorize(request, deps.environment, "WEBHOOK_SECRET_KEY");
  if (refusal !== undefined) return failureResponse(refusal);
  return await receiveEvents(request, deps, {
    source: "sms_delivery",
    parse: parseSmsReport,
    record: (events) => recordSmsReports(deps, events),
    none: noReceipts,
  });
}
