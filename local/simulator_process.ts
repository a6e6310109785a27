/**
 * The simulator in a process of its own that ends with the stack.
 *
 * @module
 */
import { announceReady, endWithParent } from "./child_side.ts";
import { simulatorKeys } from "./simulator/keys.ts";
import { startSimulator } from "./simulator/simulator.ts";

if (import.meta.main) {
  endWithParent();
  const functionsUrl = Deno.env.get("FUNCTIONS_URL") ?? "";
  const simulator = await startSimulator({
    functionsUrl,
    publicFunctionsUrl: Deno.env.get("PUBLIC_FUNCTIONS_URL") || functionsUrl,
    // A gateway has its keys, also where the functions were given none.
    keys: simulatorKeys((name) => Deno.env.get(name)?.trim() || "unset"),
  });
  announceReady(Number(new URL(simulator.url).port));
}
