import type { z } from "zod";

/** A field of an answer that counts as missing, which is null, where it is not what it should be. */
export function orNull<Field extends z.ZodType>(field: Field) {
  return field.nullable().catch(null).default(null);
}
