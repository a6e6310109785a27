import type { Report } from "./report.ts";

/** 0: nothing differs, or all of it was mended; 1: something differs; 2: it could not be seen to the end. */
export function exitCodeOf({ discrepancies, isComplete }: Report): 0 | 1 | 2 {
  if (discrepancies.some(({ isMended }) => !isMended)) return 1;
  return isComplete ? 0 : 2;
}
