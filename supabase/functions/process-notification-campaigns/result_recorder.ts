import type { Clock } from "../_shared/clock.ts";
import type { Logger } from "../_shared/logger.ts";
import type { Rpc } from "../_shared/rpc.ts";

/** One element of what `record_send_results` takes. */
export type SendResult = {
  readonly clientMessageId: string;
  readonly outcome:
    | "accepted"
    | "sent"
    | "skipped"
    | "failed"
    | "deferred"
    | "unknown"
    | "not_found";
  readonly messageId?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly retryAfterSeconds?: number;
  /** The lease from now on, where it is not the channel's own. */
  readonly leaseSeconds?: number;
  /** Of `not_found`: false where nobody could be asked. */
  readonly asked?: boolean;
  /** Of `sent` and `accepted`: when to ask whether it was delivered, should nobody have said by then. */
  readonly pollAfterSeconds?: number;
  /** What WhatsApp calls the recipient, where that is not the number dialled. */
  readonly waId?: string;
};

const BATCH_SIZE = 100;
const INTERVAL_MS = 150;
const MAX_TRIES = 6;
const FIRST_WAIT_MS = 250;

/**
 * Collects what gateways answered and records it in batches: when a hundred have come together, or 150 ms after the
 * first. While one batch is on its way the next one gathers.
 *
 * A batch that the database cannot take now is tried again with growing waits, eight seconds in all. One that it
 * refuses is halved until the results it refuses stand alone. What is still not recorded is logged and counted; those
 * rows come back when their lease ends, and the gateway is asked about them.
 */
export class ResultRecorder {
  readonly #rpc: Rpc;
  readonly #clock: Clock;
  readonly #log: Logger;
  #waiting: SendResult[] = [];
  #worker: Promise<void> | undefined;
  #hurry = new AbortController();
  #draining = false;
  #unrecorded = 0;

  constructor(rpc: Rpc, clock: Clock, log: Logger) {
    this.#rpc = rpc;
    this.#clock = clock;
    this.#log = log;
  }

  /** Results that could not be recorded. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  add(result: SendResult): void {
    this.#waiting.push(result);
    if (this.#waiting.length >= BATCH_SIZE) this.#hurry.abort();
    this.#worker ??= this.#work();
  }

  /** Records at once whatever is there, and returns when it is done. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#hurry.abort();
    await this.#worker;
    this.#draining = false;
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      if (this.#waiting.length < BATCH_SIZE && !this.#draining) {
        await this.#clock.sleep(INTERVAL_MS, this.#hurry.signal);
      }
      if (this.#hurry.signal.aborted) this.#hurry = new AbortController();
      await this.#record(this.#waiting.splice(0, BATCH_SIZE));
    }
    this.#worker = undefined;
  }

  async #record(batch: SendResult[]): Promise<void> {
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const recorded = await this.#rpc("record_send_results", { p_results: batch });
      if (recorded.ok) return;
      if (recorded.failure.code !== "database_unavailable") {
        if (batch.length === 1) break;
        const half = Math.ceil(batch.length / 2);
        await this.#record(batch.slice(0, half));
        await this.#record(batch.slice(half));
        return;
      }
      if (attempt < MAX_TRIES) {
        await this.#clock.sleep(FIRST_WAIT_MS * 2 ** (attempt - 1));
      }
    }
    this.#unrecorded += batch.length;
    this.#log.error("results_not_recorded", {
      count: batch.length,
      first_client_message_id: batch[0]?.clientMessageId,
      remedy: "none needed: the rows come back when their lease ends, and the gateway is asked about them",
    });
  }
}
