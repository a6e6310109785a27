import { z } from "zod";
import { eventFields } from "../_shared/event_fields.ts";
import { isObject } from "../_shared/is_object.ts";
import { parseElement } from "../_shared/parse_element.ts";
import type { ParsedEvent } from "../_shared/parsed_event.ts";
import { storable } from "../_shared/storable.ts";
import { SMS_READER } from "./sms_reader.ts";

const EVENTS: ReadonlyMap<unknown, string> = new Map([["sent", "message_sent"], ["delivered", "message_delivered"], [
  "undelivered",
  "message_failed",
], ["failed", "message_failed"]]);

const schema = z.object({
  messageId: eventFields.requiredId,
  timestamp: eventFields.timestamp,
  clientMessageId: eventFields.context,
  errorCode: eventFields.code,
  errorMessage: eventFields.message,
  cost: eventFields.cost,
  currency: eventFields.currency,
});

/**
 * Reads one report of a gateway without a form of its own: `{messageId, status: sent|delivered|undelivered|failed,
 * errorCode?, errorMessage?, cost?, currency?, clientMessageId?, timestamp?}`.
 *
 * A report with another status goes on whole for the journal.
 */
export function parseSmsReport(element: unknown): ParsedEvent {
  if (!isObject(element)) {
    return { ok: false, field: "status", reason: "each report must be a JSON object" };
  }
  if (typeof element.status !== "string") {
    return { ok: false, field: "status", reason: "must be a text" };
  }
  const event = EVENTS.get(element.status);
  if (event === undefined) {
    return { ok: true, event: storable({ ...element, event: "sms status" }) };
  }

  const parsed = parseElement(element, schema, "status");
  if (!parsed.ok) return parsed;
  const { errorCode, errorMessage, cost, currency, ...report } = parsed.value;
  return {
    ok: true,
    event: {
      event,
      reader: SMS_READER,
      ...report,
      ...event === "message_failed" ? { errorCode, errorMessage: errorMessage ?? element.status } : {},
      ...cost === null ? {} : { cost, currency },
    },
  };
}
