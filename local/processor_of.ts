import { endpoint } from "../supabase/functions/_shared/endpoint.ts";
import { Environment } from "../supabase/functions/_shared/environment.ts";
import { handle } from "../supabase/functions/process-notification-campaigns/handler.ts";
import { SendSlots } from "../supabase/functions/process-notification-campaigns/send_slots.ts";

/** A processor in this process, with slots of its own, as in an isolate of its own. Each call is a run, and logs nothing. */
export function processorOf(env: Readonly<Record<string, string>>): () => Promise<Response> {
  const environment = new Environment((name) => env[name]);
  const slots = new SendSlots();
  const run = endpoint("process-notification-campaigns", (request, deps) => handle(request, { ...deps, slots }), {
    environment,
    writeLog: () => {},
  });
  const headers = { "x-api-key": environment.list("CRON_SECRET_KEY")[0] ?? "" };
  return () => run(new Request("http://processor", { method: "POST", headers }));
}
