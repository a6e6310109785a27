interface Platform {
  waitUntil(work: Promise<unknown>): void;
}

/**
 * Asks the platform to keep the isolate until `work` is done, also where the caller has hung up; elsewhere nothing
 * happens. What `work` fails with is its caller's to handle.
 */
export function keepAlive(work: Promise<unknown>): void {
  if ("EdgeRuntime" in globalThis && isPlatform(globalThis.EdgeRuntime)) {
    globalThis.EdgeRuntime.waitUntil(work.catch(() => {}));
  }
}

function isPlatform(value: unknown): value is Platform {
  return typeof value === "object" && value !== null && "waitUntil" in value && typeof value.waitUntil === "function";
}
