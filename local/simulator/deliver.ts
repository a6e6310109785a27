import { setTimeout as delay } from "node:timers/promises";

/** A request to a webhook. */
export interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How often a post is tried, and for how long. */
export interface DeliverOptions {
  /** Ends the delivery, tries and waits included. */
  readonly signal: AbortSignal;
  /** The longest one try may take. Default 15,000. */
  readonly tryMs?: number;
  /** No new try begins later than this after the first. Default 60,000. */
  readonly retryForMs?: number;
  /** The wait before the second try; it doubles from try to try, up to 2,000. Default 100. */
  readonly backoffMs?: number;
}

/** How it ended: the webhook's last answer, or why there was none. */
export type Delivery =
  | { readonly status: number; readonly tries: number }
  | { readonly status: null; readonly tries: number; readonly reason: string };

/**
 * Posts as a real gateway does: refused connections, timeouts and 5xx are tried again, with backoff and for a bounded
 * time; any other answer is final, a 4xx above all.
 */
export async function deliver(post: Post, options: DeliverOptions): Promise<Delivery> {
  const { signal, tryMs = 15_000, retryForMs = 60_000, backoffMs = 100 } = options;
  const lastTryAt = performance.now() + retryForMs;
  for (let tries = 1;; tries++) {
    const answer = await tryOnce(post, AbortSignal.any([signal, AbortSignal.timeout(tryMs)]));
    if (typeof answer === "number" && answer < 500) return { status: answer, tries };
    const wait = Math.min(2000, backoffMs * 2 ** (tries - 1));
    if (signal.aborted) return { status: null, tries, reason: "the simulator is stopping" };
    if (performance.now() + wait > lastTryAt) {
      return typeof answer === "number" ? { status: answer, tries } : { status: null, tries, reason: answer };
    }
    await delay(wait, undefined, { signal }).catch(() => {});
  }
}

/** The status, or the reason why there is none. */
async function tryOnce({ url, headers, body }: Post, signal: AbortSignal): Promise<number | string> {
  try {
    const response = await fetch(url, { method: "POST", headers: { ...headers }, body, signal });
    await response.body?.cancel();
    return response.status;
  } catch (error) {
    return error instanceof Error ? error.message : `${error}`;
  }
}
