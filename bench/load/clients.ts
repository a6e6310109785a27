import { startThread, type Thread } from "../thread.ts";
import type { ClientPlan, ClientRequest } from "./plan.ts";

/** Clients that work at the same time. */
export interface Clients {
  /**
   * Every input is taken by the next client that is free.
   *
   * @returns inputs per second
   */
  run(inputs: readonly string[]): Promise<number>;
  close(): Promise<void>;
}

/** One thread cannot drive 32 connections fast enough to keep two cores busy. */
const THREADS = 2;

/** Opens the clients of a plan, shared out over two threads. */
export async function openClients(plan: ClientPlan): Promise<Clients> {
  const threads = Array.from(
    { length: THREADS },
    (_, n) => startThread(`${plan.kind} clients ${n + 1}`, new URL("./clients_thread.ts", import.meta.url)),
  );
  const each = { ...plan, clients: Math.ceil(plan.clients / THREADS) };
  await Promise.all(threads.map((thread) => ask(thread, { do: "open", plan: each })));
  return {
    async run(inputs) {
      const began = performance.now();
      await Promise.all(
        threads.map((thread, n) => ask(thread, { do: "run", inputs: inputs.filter((_, i) => i % THREADS === n) })),
      );
      return inputs.length / ((performance.now() - began) / 1000);
    },
    async close() {
      await Promise.all(threads.map((thread) => ask(thread, { do: "close" })));
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

function ask(thread: Thread, request: ClientRequest): Promise<unknown> {
  return thread.ask(request);
}
