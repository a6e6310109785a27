import type { Counts } from "../../_shared/counts.ts";
import { countsResponse } from "../../_shared/counts_response.ts";
import type { Deps } from "../../_shared/deps.ts";
import type { EventSource } from "../../_shared/event_source.ts";
import { failureResponse } from "../../_shared/failure_response.ts";
import { noReceipts } from "../../_shared/no_receipts.ts";
import { readBody } from "../../_shared/read_body.ts";
import { refuseMalformed } from "../../_shared/refuse_malformed.ts";
import type { Result } from "../../_shared/result.ts";
import { recordSmsReports } from "../record_sms_reports.ts";
import { isSignedByTwilio, TWILIO_SIGNATURE_HEADER } from "./is_signed_by_twilio.ts";
import { parseTwilioMessage } from "./parse_twilio_message.ts";
import { parseTwilioStatus } from "./parse_twilio_status.ts";
import { recordInboundMessages } from "./record_inbound_messages.ts";
import { type TwilioForm, twilioForm } from "./twilio_form.ts";

/** A form holds one message, and is taken apart before it is known who sent it. */
const MAX_FORM_BYTES = 256 * 1024;

/** Still with Twilio: nothing has happened yet that anybody counts. */
const ON_ITS_WAY: ReadonlySet<string> = new Set(["accepted", "scheduled", "queued", "sending", "receiving"]);

/**
 * Answers a form of Twilio's: the status of a message that we sent, or a message that came in.
 *
 * The signature is over the address that Twilio called. What the function itself sees is an inner one of the platform, so
 * the configured address stands for it, with the query as it arrived. Throws `EnvironmentError` while that address or the
 * auth token is not configured, which becomes a 500: nobody gets in.
 *
 * A status before `sent` is answered with zeros and not kept.
 */
export async function receiveTwilioPost(request: Request, deps: Deps): Promise<Response> {
  const tokens = deps.environment.list("TWILIO_AUTH_TOKEN");
  const query = /\?[^#]*/.exec(request.url)?.[0] ?? "";
  const address = `${deps.environment.url("PUBLIC_FUNCTIONS_URL")}/sms-delivery-webhook${query}`;

  const bytes = await readBody(request, { bytes: MAX_FORM_BYTES });
  if (!bytes.ok) return failureResponse(bytes.failure);
  const params = new URLSearchParams(new TextDecoder().decode(bytes.value));
  const signature = request.headers.get(TWILIO_SIGNATURE_HEADER) ?? "";
  if (!isSignedByTwilio(address, params, signature, tokens)) {
    return failureResponse({ code: "unauthorized" });
  }

  const form = twilioForm(params);
  return countsResponse(
    form.status === "received" || (form.status === "" && form.fields.Body !== undefined)
      ? await recordMessage(deps, form)
      : await recordStatus(deps, form, new URLSearchParams(query).get("attempt")),
  );
}

async function recordMessage(deps: Deps, form: TwilioForm): Promise<Result<Counts>> {
  const message = parseTwilioMessage(form);
  return message.ok
    ? await recordInboundMessages(deps, message.value)
    : await refuse(deps, "inbound", form, `${message.field}: ${message.reason}`);
}

async function recordStatus(deps: Deps, form: TwilioForm, attempt: string | null): Promise<Result<Counts>> {
  if (ON_ITS_WAY.has(form.status)) return { ok: true, value: noReceipts };
  const report = parseTwilioStatus(form, attempt);
  return report.ok
    ? await recordSmsReports(deps, [report.event])
    : await refuse(deps, "sms_delivery", form, `${report.field}: ${report.reason}`);
}

async function refuse(deps: Deps, source: EventSource, form: TwilioForm, detail: string): Promise<Result<never>> {
  return await refuseMalformed(deps, source, { code: "malformed_event", detail }, form.payload);
}
