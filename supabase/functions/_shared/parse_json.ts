import type { Deps } from "./deps.ts";
import type { EventSource } from "./event_source.ts";
import { refuseMalformed } from "./refuse_malformed.ts";
import type { Result } from "./result.ts";
import { storable } from "./storable.ts";

/** What is kept of a body that is no JSON. */
const MAX_JOURNALED_TEXT = 8_192;

/** Escapes of NUL and of surrogates, which `jsonb` may refuse. */
const SUSPECT_ESCAPES = /\\u(?:0000|d[89a-f])/i;

/**
 * Authentic bytes as JSON in which every text is one that `jsonb` takes; a body that is no JSON is journaled.
 *
 * Bytes that are not UTF-8 become U+FFFD: a cut emoji in a name is no reason to lose a receipt.
 */
export async function parseJson(bytes: Uint8Array, deps: Deps, source: EventSource): Promise<Result<unknown>> {
  const text = new TextDecoder().decode(bytes);
  try {
    const body: unknown = JSON.parse(text);
    return { ok: true, value: SUSPECT_ESCAPES.test(text) ? storable(body) : body };
  } catch {
    return await refuseMalformed(deps, source, { code: "malformed_json" }, text.slice(0, MAX_JOURNALED_TEXT));
  }
}
