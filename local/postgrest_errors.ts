import { z } from "zod";
import { isConnectionError } from "./query_slots.ts";

const databaseError = z.object({
  code: z.string(),
  message: z.string(),
  detail: z.string().optional(),
  hint: z.string().optional(),
});

const answerBody = z.object({ code: z.string() });

/**
 * The status PostgREST answers for an SQLSTATE, first match wins; everything else is 400. 42501 is 401 for anon and 403
 * for others.
 */
const STATUS_BY_SQLSTATE: readonly (readonly [RegExp, number])[] = [
  [/^08/, 503],
  [/^09/, 500],
  [/^0[LP]/, 403],
  [/^2350[35]$/, 409],
  [/^25006$/, 405],
  [/^25/, 500],
  [/^28/, 403],
  [/^2D/, 500],
  [/^3[89B]/, 500],
  [/^40/, 500],
  [/^42883$/, 404],
  [/^42P01$/, 404],
  [/^42P17$/, 500],
  [/^53400$/, 500],
  [/^53/, 503],
  [/^5[458]/, 500],
  [/^57P01$/, 503],
  [/^57/, 500],
  [/^F0/, 500],
  [/^HV/, 500],
  [/^P0001$/, 400],
  [/^P0/, 500],
  [/^XX/, 500],
];

/**
 * Answers a database error as PostgREST does. lite answers `raise exception` and SQLSTATEs of one's own with
 * `500 SUP` and without the code, and a database that is away with `500 SUP`: callers switch on code and status, so
 * that a test against it would prove nothing about the platform.
 *
 * @param error what the database or its driver threw
 * @param answer what lite made of it; given back where it already says the same
 */
export async function toPostgrestAnswer(error: unknown, answer: Response): Promise<Response> {
  if (isConnectionError(error)) {
    return json(503, "PGRST001", "Database connection error. Retrying the connection.", null, null);
  }
  const parsed = databaseError.safeParse(error);
  if (!parsed.success) return answer;
  const { code, message, detail, hint } = parsed.data;
  if (code === "POOL_EXHAUSTED") {
    return json(504, "PGRST003", "Timed out acquiring connection from connection pool.", message, null);
  }
  // lite knows these two: a function's own answer (PGRST) and its own status (PTxxx).
  if (!/^[0-9A-Z]{5}$/.test(code) || code === "PGRST" || code.startsWith("PT")) return answer;
  const status = code === "42501" ? answer.status : statusOf(code, message);
  const body = answerBody.safeParse(await answer.clone().json().catch(() => null));
  if (body.success && body.data.code === code && answer.status === status) return answer;
  return json(status, code, message, detail ?? null, hint ?? null);
}

function statusOf(code: string, message: string): number {
  if (code === "21000") return message.endsWith("requires a WHERE clause") ? 400 : 500;
  if (code === "22023" && /^role ".*" does not exist$/.test(message)) return 401;
  return STATUS_BY_SQLSTATE.find(([pattern]) => pattern.test(code))?.[1] ?? 400;
}

function json(status: number, code: string, message: string, details: string | null, hint: string | null): Response {
  return Response.json({ code, details, hint, message }, {
    status,
    headers: { "content-type": "application/json; charset=utf-8", "access-control-allow-origin": "*" },
  });
}
