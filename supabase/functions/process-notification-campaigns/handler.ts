import { authorize } from "../_shared/authorize.ts";
import { EnvironmentError } from "../_shared/environment_error.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import { keepAlive } from "../_shared/keep_alive.ts";
import { callCount } from "./call_count.ts";
import { type ReadyGateways, readyGateways } from "./gateways/ready_gateways.ts";
import { postAlarms } from "./post_alarms.ts";
import type { ProcessorDeps } from "./processor_deps.ts";
import { Run } from "./run.ts";
import { readSettings, type Settings } from "./settings.ts";

/**
 * The tick: posted every few seconds by a timer, and by nobody else.
 *
 * Answers `{ok: true, started, claimed, accepted, sent, failed, …, gateways}`: the figures of this run, and for each
 * gateway whether it is ready, or why not. Messages of a gateway that is not are left alone. While none is ready
 * nothing is claimed: campaigns are started and closed, and the answer is a 500.
 */
export async function handle(request: Request, deps: ProcessorDeps): Promise<Response> {
  const refusal = authorize(request, deps.environment, "CRON_SECRET_KEY");
  if (refusal !== undefined) return failureResponse(refusal);

  let settings: Settings;
  let gateways: ReadyGateways;
  try {
    settings = readSettings(deps.environment);
    gateways = readyGateways(deps.environment, deps.fetch);
  } catch (thrown) {
    if (thrown instanceof EnvironmentError) await withoutSending(deps);
    await postAlarms(deps);
    throw thrown;
  }
  for (const { variable, message } of gateways.faults) {
    deps.log.error("gateway_misconfigured", { variable, message });
  }

  const began = deps.clock.now();
  // a caller that hangs up stops nothing: timers wait a few seconds at most (pg_net 5), a run lasts up to its budget
  const run = new Run(deps, settings, gateways.ready, deps.shutdown);
  const ending = run.toTheEnd().finally(() => postAlarms(deps, gateways.ready));
  keepAlive(ending);
  const result = await ending;
  const elapsed = Math.round(deps.clock.now() - began);
  // a timer calls every few seconds: a run that found nothing to do is not worth a line
  if (!result.ok || Object.values(run.figures).some((figure) => figure > 0)) {
    deps.log.info("run", { ...run.figures, elapsed_ms: elapsed, ok: result.ok });
  }
  return result.ok
    ? Response.json({ ok: true, ...result.value, elapsed_ms: elapsed, gateways: gateways.states })
    : failureResponse(result.failure);
}

/** What can be done without a gateway. */
async function withoutSending(deps: ProcessorDeps): Promise<void> {
  await callCount(deps, "start_due_campaigns");
  await callCount(deps, "finalize_campaigns");
  await callCount(deps, "fold_campaign_counters");
}
