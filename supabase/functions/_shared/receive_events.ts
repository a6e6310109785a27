import type { Counts } from "./counts.ts";
import { countsResponse } from "./counts_response.ts";
import type { Json } from "./database.types.ts";
import type { Deps } from "./deps.ts";
import type { EventSource } from "./event_source.ts";
import { failureResponse } from "./failure_response.ts";
import { hasMediaType } from "./has_media_type.ts";
import { malformedEvent } from "./malformed_event.ts";
import { MAX_EVENTS } from "./max_events.ts";
import { parseJson } from "./parse_json.ts";
import type { ParsedEvent } from "./parsed_event.ts";
import { readBody } from "./read_body.ts";
import { refuseMalformed } from "./refuse_malformed.ts";
import type { Result } from "./result.ts";

/** What is particular to one webhook. */
export interface EventWebhook {
  /** Its name in the journal. */
  readonly source: EventSource;
  /** Reads one element of the body. */
  readonly parse: (element: unknown) => ParsedEvent;
  /** Hands the events to the database, all in one call. */
  readonly record: (events: Json[]) => Promise<Result<Counts>>;
  /** The answer to an empty array. */
  readonly none: Counts;
}

/**
 * Answers the authenticated post of one event or of an array of them.
 *
 * An array is recorded in one call whatever it holds: an element that cannot be read goes along as
 * `{event: "malformed", reason, payload}` for the journal. A single event, or a body, that cannot be read is journaled
 * as well as may be and answered 400 with the field. Answers `{ok: true, ...counts}`.
 */
export async function receiveEvents(request: Request, deps: Deps, webhook: EventWebhook): Promise<Response> {
  if (!hasMediaType(request, "application/json")) {
    await request.body?.cancel().catch(() => {});
    return failureResponse({ code: "unsupported_media_type" });
  }
  const bytes = await readBody(request);
  if (!bytes.ok) return failureResponse(bytes.failure);
  const body = await parseJson(bytes.value, deps, webhook.source);
  if (!body.ok) return failureResponse(body.failure);

  if (!Array.isArray(body.value)) {
    const parsed = webhook.parse(body.value);
    if (parsed.ok) return countsResponse(await webhook.record([parsed.event]));
    const failure = { code: "malformed_event", detail: `${parsed.field}: ${parsed.reason}` } as const;
    return countsResponse(await refuseMalformed(deps, webhook.source, failure, body.value));
  }
  if (body.value.length === 0) return countsResponse({ ok: true, value: webhook.none });
  if (body.value.length > MAX_EVENTS) {
    return failureResponse({ code: "payload_too_large", detail: `More than ${MAX_EVENTS} events; split them.` });
  }

  const events: Json[] = [];
  let malformed = 0;
  for (const element of body.value) {
    const parsed = webhook.parse(element);
    if (parsed.ok) {
      events.push(parsed.event);
    } else {
      malformed++;
      events.push(malformedEvent(`${parsed.field}: ${parsed.reason}`, element));
    }
  }
  if (malformed > 0) deps.log.warn("malformed_events", { malformed, of: body.value.length });
  return countsResponse(await webhook.record(events));
}
