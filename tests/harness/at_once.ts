/**
 * Starts all works in the same turn, so that they race, and gives their answers in order. Fails with the first error only
 * after all have ended: what still runs would disturb the next round.
 */
export async function atOnce<T>(works: readonly (() => Promise<T>)[]): Promise<T[]> {
  const settled = await Promise.allSettled(works.map((work) => work()));
  return settled.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}

/** The same things in another order, drawn anew each time. */
export function shuffled<T>(things: readonly T[]): T[] {
  return things.map((thing) => ({ thing, place: Math.random() })).sort((a, b) => a.place - b.place).map(({ thing }) =>
    thing
  );
}
