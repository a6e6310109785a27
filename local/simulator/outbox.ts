import { randomFor } from "./random.ts";

/** Events to be posted together. */
export interface Batch<Event> {
  readonly events: readonly Event[];
  /** How many of them are as they should be. */
  readonly good: number;
}

/** How an outbox posts. */
export interface OutboxOptions<Event> {
  /** Posts one batch; must not throw. */
  readonly post: (batch: Batch<Event>) => Promise<void>;
  /** Most posts under way at one moment. */
  readonly concurrency: number;
  /** Most events in one batch, and the seed that sizes are drawn from; asked anew for each batch. */
  readonly sizing: () => { readonly seed: number; readonly batchMax: number };
}

interface Waiting<Event> {
  readonly event: Event;
  readonly good: boolean;
  readonly settle: () => void;
}

/** Gathers events of all messages and posts them in batches of mixed size, a bounded number of posts at a time. */
export class Outbox<Event> {
  readonly #options: OutboxOptions<Event>;
  readonly #waiting: Waiting<Event>[] = [];
  #underWay = 0;
  #batches = 0;

  constructor(options: OutboxOptions<Event>) {
    this.#options = options;
  }

  /** True when nothing waits and nothing is under way. */
  get idle(): boolean {
    return this.#waiting.length === 0 && this.#underWay === 0;
  }

  /** Queues events; settles when each of them was posted. */
  put(events: readonly Event[]): Promise<void> {
    return this.#put(events, true);
  }

  /** Queues an undigestible event, to travel among good ones where there are any. */
  putBad(event: Event): Promise<void> {
    return this.#put([event], false);
  }

  /** Forgets what waits; posts under way run on. */
  clear(): void {
    for (const { settle } of this.#waiting.splice(0)) settle();
  }

  #put(events: readonly Event[], good: boolean): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    let open = events.length;
    const settle = () => {
      if (--open === 0) resolve();
    };
    for (const event of events) this.#waiting.push({ event, good, settle });
    while (this.#waiting.length > 0 && this.#underWay < this.#options.concurrency) void this.#postNext();
    return promise;
  }

  async #postNext(): Promise<void> {
    this.#underWay++;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#nextSize());
      if (!batch.some(({ good }) => good)) batch.push(...this.#waiting.splice(0, 1));
      await this.#options.post({
        events: batch.map(({ event }) => event),
        good: batch.filter(({ good }) => good).length,
      });
      for (const { settle } of batch) settle();
    }
    this.#underWay--;
  }

  /** A third of the posts are single events, a third short arrays, a third arrays up to the longest. */
  #nextSize(): number {
    const { seed, batchMax } = this.#options.sizing();
    const draw = randomFor(seed, "batch size", ++this.#batches);
    return Math.min(batchMax, draw.pick([1, draw.int(2, 10), draw.int(2, batchMax)]));
  }
}
