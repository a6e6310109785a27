import { z } from "zod";

/** The engines. */
export const engineName = z.enum(["truetick", "truetick-contacts", "graphile-worker", "pg-boss"]);

/** See {@linkcode engineName}. */
export type EngineName = z.infer<typeof engineName>;

/** What the thread is asked. */
export const engineRequest = z.discriminatedUnion("do", [
  z.object({ do: z.literal("open"), engine: engineName, url: z.string(), clients: z.number(), batch: z.number() }),
  z.object({ do: z.literal("enqueue"), count: z.number() }),
  z.object({ do: z.literal("drain"), count: z.number() }),
  z.object({ do: z.literal("close") }),
]);

/** See {@linkcode engineRequest}. */
export type EngineRequest = z.infer<typeof engineRequest>;
