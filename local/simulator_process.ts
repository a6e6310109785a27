/**
 * The simulator in a process of its own that ends with the stack.
 *
 * @module
 */
import { z } from "zod";
import { announceReady, endWithParent } from "./child_side.ts";
import { startSimulator } from "./simulator/simulator.ts";

const settings = z.object({
  FUNCTIONS_URL: z.string(),
  WHATSAPP_VPS_API_KEY: z.string(),
  WEBHOOK_SECRET_KEY: z.string(),
});

if (import.meta.main) {
  endWithParent();
  const env = settings.parse(Deno.env.toObject());
  const simulator = await startSimulator({
    functionsUrl: env.FUNCTIONS_URL,
    // A gateway has a key, also where the functions were given none.
    apiKey: env.WHATSAPP_VPS_API_KEY.trim() || "unset",
    // While secrets rotate the variable is a list; a gateway knows one of them.
    webhookKey: env.WEBHOOK_SECRET_KEY.split(",", 1)[0]?.trim() || "unset",
  });
  announceReady(Number(new URL(simulator.url).port));
}
