import { z } from "zod";

/** What the clients do with each of their arguments. */
export const clientPlan = z.discriminatedUnion("kind", [
  /** Runs a statement with the argument as its only parameter. */
  z.object({
    kind: z.literal("statement"),
    url: z.string(),
    clients: z.number(),
    settings: z.record(z.string(), z.string()),
    statement: z.string(),
  }),
  /** Reads the counter of the message named by the argument, then writes it one higher. */
  z.object({ kind: z.literal("read_then_write"), url: z.string(), clients: z.number() }),
  /** Posts the argument, a JSON body. */
  z.object({
    kind: z.literal("post"),
    url: z.string(),
    clients: z.number(),
    headers: z.record(z.string(), z.string()),
    /** Signs it as Meta does, with this app secret; null: not at all. */
    appSecret: z.string().nullable(),
  }),
]);

/** See {@linkcode clientPlan}. */
export type ClientPlan = z.infer<typeof clientPlan>;

/** What the thread is asked. */
export const clientRequest = z.discriminatedUnion("do", [
  z.object({ do: z.literal("open"), plan: clientPlan }),
  z.object({ do: z.literal("run"), inputs: z.array(z.string()) }),
  z.object({ do: z.literal("close") }),
]);

/** See {@linkcode clientRequest}. */
export type ClientRequest = z.infer<typeof clientRequest>;
