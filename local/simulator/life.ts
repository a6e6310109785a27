import { setTimeout as delay } from "node:timers/promises";

/** What a gateway has under way, and the end of all of it. */
export class Life {
  readonly #controller = new AbortController();
  #underWay = 0;

  /** Aborts when the gateway ends. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get ended(): boolean {
    return this.signal.aborted;
  }

  /** True when nothing is under way. */
  get idle(): boolean {
    return this.#underWay === 0;
  }

  /** Cuts all waits short. */
  end(): void {
    this.#controller.abort();
  }

  /** Waits so many milliseconds, or until the end. */
  async wait(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.signal }).catch(() => {});
  }

  /** Does some work, during which the gateway is not idle. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
    }
  }
}
