import type { z } from "zod";
import type { Json } from "./database.types.ts";
import { isObject } from "./is_object.ts";
import { parseElement } from "./parse_element.ts";
import type { ParsedEvent } from "./parsed_event.ts";
import { storable } from "./storable.ts";

/**
 * Reads one element of a webhook's body that names its kind in `event`.
 *
 * An event that `known` does not list is valid and goes on whole: the database journals it. So does one that
 * `setAside` gives a reason for; its name is changed to say so, and to keep it from being counted now or at a replay.
 *
 * @param schema What a known event must look like; its output goes to the database.
 */
export function parseEvent<Schema extends z.ZodType<Json>>(
  element: unknown,
  known: ReadonlySet<string>,
  schema: Schema,
  setAside: (element: Readonly<Record<string, unknown>>) => string | undefined = () => undefined,
): ParsedEvent {
  if (!isObject(element)) return { ok: false, field: "event", reason: "each event must be a JSON object" };
  const name = element.event;
  if (typeof name !== "string" || name.trim() === "") {
    return { ok: false, field: "event", reason: "must be the name of an event, such as message_sent" };
  }
  if (!known.has(name)) return { ok: true, event: storable(element) };
  const reason = setAside(element);
  if (reason !== undefined) {
    return { ok: true, event: storable({ ...element, event: `${name} (${reason})` }) };
  }
  const parsed = parseElement(element, schema, "event");
  return parsed.ok ? { ok: true, event: parsed.value } : parsed;
}
