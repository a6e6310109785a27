import type { Json } from "./database.types.ts";
import type { Deps } from "./deps.ts";
import { failureResponse } from "./failure_response.ts";
import type { ParsedEvent } from "./parsed_event.ts";
import { readText } from "./read_text.ts";
import type { Result } from "./result.ts";
import { storable } from "./storable.ts";

/** Beyond this many an array is refused: what a body of 4 MB could still hold would pass the 2 s of CPU. */
const MAX_EVENTS = 50_000;

/** What is kept of a body that is no JSON. */
const MAX_JOURNALED_TEXT = 8_192;

/** Escapes of NUL and of surrogates, which `jsonb` may refuse. */
const SUSPECT_ESCAPES = /\\u(?:0000|d[89a-f])/i;

/** What is particular to one webhook. */
export interface EventWebhook<Counts> {
  /** Its name in the journal. */
  readonly source: "send_callback" | "receipt";
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
export async function receiveEvents<Counts extends object>(
  request: Request,
  deps: Deps,
  webhook: EventWebhook<Counts>,
): Promise<Response> {
  const text = await readText(request);
  if (!text.ok) return failureResponse(text.failure);

  let body: unknown;
  try {
    body = JSON.parse(text.value);
  } catch {
    await journal(deps, webhook.source, malformedEvent("malformed JSON", text.value.slice(0, MAX_JOURNALED_TEXT)));
    return failureResponse({ code: "malformed_json" });
  }
  if (SUSPECT_ESCAPES.test(text.value)) body = storable(body);

  if (!Array.isArray(body)) {
    const parsed = webhook.parse(body);
    if (!parsed.ok) {
      const detail = `${parsed.field}: ${parsed.reason}`;
      await journal(deps, webhook.source, malformedEvent(detail, body));
      return failureResponse({ code: "malformed_event", detail });
    }
    return answer(await webhook.record([parsed.event]));
  }
  if (body.length === 0) return answer({ ok: true, value: webhook.none });
  if (body.length > MAX_EVENTS) {
    return failureResponse({ code: "payload_too_large", detail: `More than ${MAX_EVENTS} events; split them.` });
  }

  const events: Json[] = [];
  let malformed = 0;
  for (const element of body) {
    const parsed = webhook.parse(element);
    if (parsed.ok) {
      events.push(parsed.event);
    } else {
      malformed++;
      events.push(malformedEvent(`${parsed.field}: ${parsed.reason}`, element));
    }
  }
  if (malformed > 0) deps.log.warn("malformed_events", { malformed, of: body.length });
  return answer(await webhook.record(events));
}

function answer<Counts extends object>(result: Result<Counts>): Response {
  return result.ok ? Response.json({ ok: true, ...result.value }) : failureResponse(result.failure);
}

/** The form in which the journal keeps what could not be read. */
function malformedEvent(reason: string, payload: unknown): Json {
  return { event: "malformed", reason, payload: storable(payload) };
}

/** Best effort: whether it was kept changes nothing for the caller, and the log says when it was not. */
async function journal(deps: Deps, source: string, payload: Json): Promise<void> {
  const kept = await deps.rpc("journal_webhook_event", { p_source: source, p_reason: "malformed", p_payload: payload });
  deps.log.warn("malformed_body", { journaled: kept.ok });
}
