// For tests: what a payload looks like when a provider, or the wire, has made something else of it.
import { isObject } from "./is_object.ts";

const REPLACEMENTS: readonly unknown[] = [null, 7, [], [7], {}, { unknown: [null] }, "", "\0\ud800", false];

/** A JSON value with each of its parts, one at a time, left out or replaced by something of another type. */
export function* mutationsOf(value: unknown): Generator<unknown> {
  yield* REPLACEMENTS;
  if (Array.isArray(value)) {
    for (const [place, part] of value.entries()) {
      for (const mutation of mutationsOf(part)) yield value.with(place, mutation);
    }
  } else if (isObject(value)) {
    for (const [name, part] of Object.entries(value)) {
      const { [name]: _left, ...rest } = value;
      yield rest;
      for (const mutation of mutationsOf(part)) yield { ...rest, [name]: mutation };
    }
  }
}

/** A JSON value in which every object has keys that nobody knows. */
export function withUnknownKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withUnknownKeys);
  if (!isObject(value)) return value;
  const known = Object.entries(value).map(([name, part]) => [name, withUnknownKeys(part)] as const);
  return { unknown_key: { deep: [1] }, ["__proto__"]: "x", ...Object.fromEntries(known), "\0": "\ud800" };
}

/** The beginnings of a text, at up to `places` places. */
export function truncationsOf(text: string, places = 40): string[] {
  const step = Math.max(1, Math.floor(text.length / places));
  return Array.from({ length: Math.ceil(text.length / step) }, (_, place) => text.slice(0, place * step));
}
