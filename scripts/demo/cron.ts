import type { Stack } from "../../local/stack.ts";

const EVERY_MS = 1_000;
const TIMEOUT_MS = 60_000;
/** Overlapping processors are part of the exercise; a crowd of them is not. */
const AT_ONCE = 2;

/** Stands in for pg_cron: posts to process-notification-campaigns every second. */
export class Cron {
  readonly #stack: Stack;
  readonly #life = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #underWay = 0;
  /** Runs that ended with an error, such as those of a killed processor. */
  broken = 0;

  constructor(stack: Stack) {
    this.#stack = stack;
    this.#timer = setInterval(() => void this.#tick(), EVERY_MS);
    void this.#tick();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#life.abort();
  }

  async #tick(): Promise<void> {
    if (this.#underWay >= AT_ONCE) return;
    this.#underWay++;
    try {
      const response = await fetch(`${this.#stack.apiUrl}/functions/v1/process-notification-campaigns`, {
        method: "POST",
        headers: { "x-api-key": this.#stack.env.CRON_SECRET_KEY ?? "" },
        signal: AbortSignal.any([this.#life.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await response.body?.cancel();
      if (!response.ok) this.broken++;
    } catch {
      if (!this.#life.signal.aborted) this.broken++;
    } finally {
      this.#underWay--;
    }
  }
}
