import { median } from "./median.ts";

/** One timed run of one side; answers its rate per second. */
export type Run = () => Promise<number>;

/** How fast each side was in each round. */
export interface Rates<Side extends string> {
  /** The median rate of a side, per second. */
  median(side: Side): number;
  /** The median over the rounds of one side's rate / the other's in the same round. */
  ratio(side: Side, other: Side): number;
  /** The lowest and the highest of those ratios, as `0.91 to 1.04`. */
  spread(side: Side, other: Side): string;
}

/**
 * Lets several sides run in turn: A B, B A, A B, …, so that whatever else the machine does, and whatever grows from run
 * to run, falls on all of them alike. The first round warms up and is not counted.
 *
 * @param afterEach puts things in order after a run; not timed
 */
export async function inTurns<Side extends string>(
  rounds: number,
  sides: Readonly<Record<Side, Run>>,
  afterEach: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Rates<Side>> {
  const measured = new Map<string, number[]>();
  const order = Object.entries<Run>(sides);
  for (let round = 0; round <= rounds; round++) {
    for (const [side, run] of order) {
      const rate = await run();
      if (round > 0) measured.set(side, [...measured.get(side) ?? [], rate]);
      await afterEach();
    }
    order.reverse();
  }
  const ratios = (side: Side, other: Side) => {
    const others = measured.get(other) ?? [];
    return (measured.get(side) ?? []).map((rate, round) => rate / (others[round] ?? NaN));
  };
  return {
    median: (side) => median(measured.get(side) ?? []),
    ratio: (side, other) => median(ratios(side, other)),
    spread(side, other) {
      const all = ratios(side, other);
      return `${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}`;
    },
  };
}
