let controller: AbortController | undefined;

/** A signal that aborts when the platform announces the isolate's end (`beforeunload`); the same one at each call. */
export function shutdownSignal(): AbortSignal {
  if (controller === undefined) {
    const created = new AbortController();
    globalThis.addEventListener("beforeunload", () => created.abort(), { once: true });
    controller = created;
  }
  return controller.signal;
}
