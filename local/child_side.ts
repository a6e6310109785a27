/** The line by which a child says that it serves, and where. */
export const READY_MARK = "truetick-ready ";

/** Tells the parent that this process serves on a port. */
export function announceReady(port: number): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${READY_MARK}${port}\n`));
}

/** Ends this process when its parent does, however that ends: the parent holds the other side of standard input. */
export function endWithParent(): void {
  const wait = async () => {
    for await (const _ of Deno.stdin.readable) { /* nothing is ever sent */ }
    Deno.exit(0);
  };
  wait();
}

/** Writes one line to standard error, which the parent hands on to its log. */
export function logLine(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

const lastLogged = new Map<string, number>();

/** As {@linkcode logLine}, but the same line at most once a second: an outage fails every request alike. */
export function logOncePerSecond(line: string): void {
  const now = performance.now();
  if (now - (lastLogged.get(line) ?? -1000) < 1000) return;
  if (lastLogged.size > 1000) lastLogged.clear();
  lastLogged.set(line, now);
  logLine(line);
}
