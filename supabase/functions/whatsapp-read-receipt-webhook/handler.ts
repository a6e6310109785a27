import { authorize } from "../_shared/authorize.ts";
import type { Deps } from "../_shared/deps.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import { noReceipts } from "../_shared/no_receipts.ts";
import { receiveEvents } from "../_shared/receive_events.ts";
import { answerVerification } from "./meta/answer_verification.ts";
import { META_SIGNATURE_HEADER } from "./meta/is_signed_by_meta.ts";
import { receiveMetaPost } from "./meta/receive_meta_post.ts";
import { recordReceipts } from "./record_receipts.ts";
import { parseReceipt } from "./parse_receipt.ts";

/**
 * What WhatsApp reports, from either side.
 *
 * The VPS gateway (X-API-Key) tells who got, read or played a message: one receipt or an array of thousands. Meta
 * (X-Hub-Signature-256, and a GET when its webhook is set up) tells that of the Cloud API's messages, and what people
 * write back.
 *
 * Answers `{ok: true, recorded, duplicates, parked, journaled}`, for a post with messages `stored, opted_out, opted_in` too.
 */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  if (request.method === "GET") return answerVerification(request, deps);
  if (request.method === "POST" && request.headers.has(META_SIGNATURE_HEADER)) {
    return await receiveMetaPost(request, deps);
  }
  const refusal = authorize(request, deps.environment, "WEBHOOK_SECRET_KEY", { allow: "GET, POST" });
  if (refusal !== undefined) return failureResponse(refusal);
  return await receiveEvents(request, deps, {
    source: "receipt",
    parse: parseReceipt,
    record: (events) => recordReceipts(deps, events),
    none: noReceipts,
  });
}
