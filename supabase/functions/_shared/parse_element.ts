import type { z } from "zod";

/** An element of a webhook's body, read; or the field that makes it unusable, and why. */
export type ParsedElement<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly field: string; readonly reason: string };

/**
 * Reads an element of a webhook's body as the schema says.
 *
 * @param whole What is named where the element as a whole is wrong.
 */
export function parseElement<Schema extends z.ZodType>(
  element: unknown,
  schema: Schema,
  whole: string,
): ParsedElement<z.output<Schema>> {
  const parsed = schema.safeParse(element);
  if (parsed.success) return { ok: true, value: parsed.data };
  const issue = parsed.error.issues[0];
  const field = issue === undefined || issue.path.length === 0 ? whole : issue.path.join(".");
  return { ok: false, field, reason: issue?.message ?? "is malformed" };
}
