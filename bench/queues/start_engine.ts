import { z } from "zod";
import { startThread } from "../thread.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import type { EngineName, EngineRequest } from "./plan.ts";

/** Starts an engine in a thread of its own, so that each has the same: one thread and Postgres. */
export async function startEngine(name: EngineName, options: EngineOptions): Promise<Engine> {
  const thread = startThread(name, new URL("./engine_thread.ts", import.meta.url));
  const ask = (request: EngineRequest) => thread.ask(request);
  await ask({ do: "open", engine: name, ...options });
  return {
    async enqueue(count) {
      await ask({ do: "enqueue", count });
    },
    drain: async (count) => z.number().parse(await ask({ do: "drain", count })),
    async close() {
      await ask({ do: "close" });
      await thread.close();
    },
  };
}
