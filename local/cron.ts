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
  const post = async (name: string, url: string, headers: Record<string, string>, timeoutMs: number) => {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: "{}",
        signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(timeoutMs)]),
      });
      const text = await response.text();
      if (!response.ok) options.log(`${name}: ${response.status} ${text.slice(0, 200)}`);
    } catch (error) {
      if (!stopped.signal.aborted) options.log(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  };
  const run = async () => {
    if (running >= RUNS_AT_ONCE) return;
    running++;
    await post("cron", options.url, { "X-API-Key": options.key }, RUN_TIMEOUT_MS).finally(() => running--);
  };
  const audit = () =>
    post("audit", `${options.restUrl}/rpc/audit_changed_campaigns`, { apikey: options.secretKey }, AUDIT_TIMEOUT_MS);
  const timers = [
    setInterval(() => void run(), options.seconds * 1000),
    setInterval(() => void audit(), AUDIT_SECONDS * 1000),
  ];
  return () => {
    for (const timer of timers) clearInterval(timer);
    stopped.abort();
  };
}
