/** Time, as a dependency: milliseconds that only ever go forward, and waiting. */
export interface Clock {
  /** Milliseconds since some fixed moment. */
  now(): number;
  /** Waits `milliseconds`, or less when `signal` aborts; never throws. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      signal?.addEventListener("abort", done, { once: true });
    }),
};
