/**
 * Asks the platform to keep the isolate until `work` is done, also where the caller has hung up; elsewhere nothing
 * happens. What `work` fails with is its caller's to handle.
 */
export function keepAlive(work: Promise<unknown>): void {
  const platform: unknown = Reflect.get(globalThis, "EdgeRuntime");
  if (typeof platform === "object" && platform !== null && "waitUntil" in platform) {
    const { waitUntil } = platform;
    if (typeof waitUntil === "function") waitUntil.call(platform, work.catch(() => {}));
  }
}
