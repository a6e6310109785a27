import { pause } from "../../local/within.ts";

const POLL_MS = 5;

/**
 * Looks again and again until there is something to return: any value but false, null and undefined.
 *
 * @param what what is waited for, for the error: "the campaign to be completed"
 * @throws Error naming it when the time is over
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = 20_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const seen = await look();
    if (isThere(seen)) return seen;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`);
    await pause(POLL_MS);
  }
}

function isThere<T>(seen: T): seen is Exclude<T, false | null | undefined> {
  return seen !== false && seen !== null && seen !== undefined;
}
