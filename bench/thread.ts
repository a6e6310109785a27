import { parentPort, Worker } from "node:worker_threads";
import { within } from "../local/within.ts";

/** A thread of its own that does one thing at a time. */
export interface Thread {
  /**
   * Has it do something and waits for its answer.
   *
   * @throws Error with its own words when it fails, or when it has not answered in time
   */
  ask(request: unknown): Promise<unknown>;
  close(): Promise<unknown>;
}

/** No single run takes longer; a machine on which one does is too slow to say anything. */
const ANSWER_TIMEOUT_MS = 60_000;

/** What a thread posts back. */
type Answer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: string };

/** Starts a module that calls {@linkcode serveThread}. */
export function startThread(name: string, module: URL): Thread {
  const worker = new Worker(module);
  return {
    async ask(request) {
      const { promise, resolve } = Promise.withResolvers<Answer>();
      const fail = (error: Error) => resolve({ ok: false, error: error.message });
      worker.once("message", resolve);
      worker.once("error", fail);
      worker.postMessage(request);
      const answer = await within(promise, ANSWER_TIMEOUT_MS, null);
      worker.off("message", resolve);
      worker.off("error", fail);
      if (answer === null) throw new Error(`${name} did not finish within ${ANSWER_TIMEOUT_MS / 1000} s`);
      if (!answer.ok) throw new Error(`${name}: ${answer.error}`);
      return answer.value;
    },
    close: () => worker.terminate(),
  };
}

/** The other side of {@linkcode startThread}: answers each request with what `handle` gives, or throws. */
export function serveThread(handle: (request: unknown) => Promise<unknown>): void {
  parentPort?.on("message", async (request: unknown) => {
    const answer: Answer = await handle(request).then(
      (value) => ({ ok: true, value }),
      (error) => ({ ok: false, error: error instanceof Error ? error.message : String(error) }),
    );
    parentPort?.postMessage(answer);
  });
}
