import { FAULT_NAMES, type FaultName } from "./fault_names.ts";

const UNEXPECTED_MAX = 50;

/** Where a gateway writes down the faults it injected, and the answers that it should not have been given. */
export class Notes {
  readonly #faults = new Map<FaultName, number>();
  readonly #unexpected: string[] = [];

  /** Counts an injected fault. */
  fault(name: FaultName, times = 1): void {
    if (times > 0) this.#faults.set(name, (this.#faults.get(name) ?? 0) + times);
  }

  /** Writes down an answer that a webhook must not give. */
  unexpected(what: string): void {
    if (this.#unexpected.length < UNEXPECTED_MAX) this.#unexpected.push(what);
  }

  /** How often each fault was injected; those that never were are left out. */
  get faults(): Record<string, number> {
    return Object.fromEntries(FAULT_NAMES.flatMap((name) => {
      const times = this.#faults.get(name);
      return times === undefined ? [] : [[name, times]];
    }));
  }

  /** The first fifty answers that a webhook must not give. */
  get unexpectedAnswers(): readonly string[] {
    return [...this.#unexpected];
  }
}
