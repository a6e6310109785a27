/**
 * Decides what chance brings. A failure prints it; FAST_CHECK_SEED sets it.
 *
 * @throws Error when FAST_CHECK_SEED is no whole number
 */
export function propertySeed(): number {
  return wholeNumber("FAST_CHECK_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/**
 * How many histories a property tries; TRUETICK_PROPERTY_RUNS sets it.
 *
 * @throws Error when TRUETICK_PROPERTY_RUNS is no whole number
 */
export function propertyRuns(usual: number): number {
  return wholeNumber("TRUETICK_PROPERTY_RUNS") ?? usual;
}

function wholeNumber(name: string): number | undefined {
  const text = Deno.env.get(name);
  if (text === undefined || text === "") return undefined;
  if (!/^\d{1,10}$/.test(text)) throw new Error(`${name} must be a whole number, not "${text}"`);
  return Number(text);
}
