import { countsResponse } from "../../_shared/counts_response.ts";
import type { Deps } from "../../_shared/deps.ts";
import { failureResponse } from "../../_shared/failure_response.ts";
import { noReceipts } from "../../_shared/no_receipts.ts";
import { parseJson } from "../../_shared/parse_json.ts";
import { readBody } from "../../_shared/read_body.ts";
import { refuseMalformed } from "../../_shared/refuse_malformed.ts";
import { recordReceipts } from "../record_receipts.ts";
import { isSignedByMeta, META_SIGNATURE_HEADER } from "./is_signed_by_meta.ts";
import { readMetaPost } from "./read_meta_post.ts";
import { recordWhatsappEvents } from "./record_whatsapp_events.ts";
import { seenSenders } from "./seen_senders.ts";

/**
 * Answers a post of Meta's: up to a thousand statuses, messages and other events in up to 3 MB, recorded in one call.
 *
 * Nothing is made of the body before its signature is verified; then its content type does not matter any more. Throws
 * `EnvironmentError` while no app secret is configured, which becomes a 500: nobody gets in.
 */
export async function receiveMetaPost(request: Request, deps: Deps): Promise<Response> {
  const secrets = deps.environment.list("WHATSAPP_APP_SECRET");
  const bytes = await readBody(request);
  if (!bytes.ok) return failureResponse(bytes.failure);
  const signature = request.headers.get(META_SIGNATURE_HEADER) ?? "";
  if (!isSignedByMeta(bytes.value, signature, secrets)) {
    return failureResponse({ code: "unauthorized" });
  }

  const body = await parseJson(bytes.value, deps, "receipt");
  if (!body.ok) return failureResponse(body.failure);
  const post = readMetaPost(body.value);
  if (!post.ok) {
    return countsResponse(await refuseMalformed(deps, "receipt", post.failure, body.value));
  }

  const { receipts, messages, signals, malformed } = post.value;
  if (malformed > 0) {
    deps.log.warn("malformed_events", { malformed, of: receipts.length + messages.length + signals.length });
  }
  if (messages.length + signals.length > 0) {
    // a message says more than it needs to of the sender it was written to
    const seen = messages.length > 0 ? seenSenders(body.value) : [];
    return countsResponse(await recordWhatsappEvents(deps, { receipts, messages, signals: [...signals, ...seen] }));
  }
  return countsResponse(receipts.length > 0 ? await recordReceipts(deps, receipts) : { ok: true, value: noReceipts });
}
