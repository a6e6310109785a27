/**
 * Serves one edge function in a process of its own, as the platform does: `function_host.ts <path of index.ts>`.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { announceReady, endWithParent, logLine } from "./child_side.ts";

const functionModule = z.object({
  default: z.object({
    fetch: z.custom<(request: Request) => Response | Promise<Response>>((value) => typeof value === "function"),
  }),
});

if (import.meta.main) {
  endWithParent();
  const path = Deno.args[0] ?? "";
  const parsed = functionModule.safeParse(await import(pathToFileURL(path).href));
  if (!parsed.success) throw new Error(`${path} has no default export {fetch}`);
  const { fetch } = parsed.data.default;
  Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) => announceReady(port),
    onError: (error) => {
      logLine(error instanceof Error ? error.stack ?? error.message : String(error));
      return Response.json({ error: { code: "internal", message: "The function threw" } }, { status: 500 });
    },
  }, (request) => fetch(request));
}
