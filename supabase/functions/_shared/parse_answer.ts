import type { z } from "zod";
import type { Logger } from "./logger.ts";
import type { Result } from "./result.ts";

/** What the database answered, if it has the shape that this version of the functions knows; else logged, and a 500. */
export function parseAnswer<Schema extends z.ZodType>(
  result: Result<unknown>,
  schema: Schema,
  rpc: string,
  log: Logger,
): Result<z.output<Schema>> {
  if (!result.ok) return result;
  const parsed = schema.safeParse(result.value);
  if (parsed.success) return { ok: true, value: parsed.data };
  log.error("unexpected_database_answer", { rpc, message: parsed.error.message });
  return { ok: false, failure: { code: "internal" } };
}
