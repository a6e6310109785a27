const LONGEST = 24 * 60 * 60;

/**
 * Seconds that a `Retry-After` header asks for, at most a day: a number of seconds or an HTTP date.
 * Undefined when the header is missing or says neither.
 *
 * @param now Milliseconds since 1970, for dates.
 */
export function retryAfterSeconds(header: string | null, now: number = Date.now()): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d+$/.test(text)) return Math.min(Number(text), LONGEST);
  const date = /^[A-Za-z]{3}, .+ GMT$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(date)) return undefined;
  return Math.min(Math.max(Math.ceil((date - now) / 1000), 0), LONGEST);
}
