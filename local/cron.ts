/** What the timers post to, and how often. */
export interface CronOptions {
  /** The processor. */
  readonly url: string;
  readonly key: string;
  /** 0: never, and no audit either. */
  readonly seconds: number;
  /** The database's API, whose audit of what changed is called every minute. */
  readonly restUrl: string;
  readonly secretKey: string;
  readonly log: (line: string) => void;
}

/** pg_cron fires whether or not the last run has ended; two runs at once show what that does, more would only queue. */
const RUNS_AT_ONCE = 2;
/** Longer than the processor's time budget. */
const RUN_TIMEOUT_MS = 150_000;

const AUDIT_SECONDS = 60;
const AUDIT_TIMEOUT_MS = 30_000;

/**
 * Posts to the processor on a timer, and audits what has changed, as pg_cron and pg_net do on the platform.
 *
 * @returns what stops it; a run under way is given up
 */
export function startCron(options: CronOptions): () => void {
  if (options.seconds === 0) return () => {};
  const stopped = new AbortController();
  let running = 0;
  const run = async () => {
    if (running >= RUNS_AT_ONCE) return;
    running++;
    try {
      const response = await fetch(options.url, {
        method: "POST",
        headers: { "X-API-Key": options.key, "content-type": "application/json" },
        body: "{}",
        signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(RUN_TIMEOUT_MS)]),
      });
      const text = await response.text();
      if (!response.ok) options.log(`cron: ${response.status} ${text.slice(0, 200)}`);
    } catch (error) {
      if (!stopped.signal.aborted) options.log(`cron: ${error instanceof Error ? error.message : error}`);
    } finally {
      running--;
    }
  };
  const audit = async () => {
    try {
      const response = await fetch(`${options.restUrl}/rpc/audit_changed_campaigns`, {
        method: "POST",
        headers: { apikey: options.secretKey, "content-type": "application/json" },
        body: "{}",
        signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(AUDIT_TIMEOUT_MS)]),
      });
      const text = await response.text();
      if (!response.ok) options.log(`audit: ${response.status} ${text.slice(0, 200)}`);
    } catch (error) {
      if (!stopped.signal.aborted) options.log(`audit: ${error instanceof Error ? error.message : error}`);
    }
  };
  const timers = [
    setInterval(() => void run(), options.seconds * 1000),
    setInterval(() => void audit(), AUDIT_SECONDS * 1000),
  ];
  return () => {
    for (const timer of timers) clearInterval(timer);
    stopped.abort();
  };
}
