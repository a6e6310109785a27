import { authorize } from "../_shared/authorize.ts";
import type { Deps } from "../_shared/deps.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import { failures } from "../_shared/failures.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";
import { silentMinutes } from "../_shared/silent_minutes.ts";
import { healthMetrics } from "./health_metrics.ts";
import { type HealthSnapshot, healthSnapshot } from "./health_snapshot.ts";
import { type Metric, prometheusText } from "./prometheus_text.ts";
import { wantsPrometheus } from "./wants_prometheus.ts";

/**
 * How it goes, for monitoring: `GET` with a key of the schedule, or with one that opens nothing else
 * (`HEALTH_SECRET_KEY`), as `X-API-Key` or `Authorization: Bearer`.
 *
 * Answers `{ok: true, status: "ok" | "alarm", alarms, queue, senders, …}`, or the same as metrics where Prometheus asks
 * (`Accept`, or `?format=prometheus`). 200 also while alarms are open: what watches this reads them. 503 when the
 * database is away, for Prometheus with `truetick_up 0`.
 */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  const refusal = authorize(request, deps.environment, ["CRON_SECRET_KEY", "HEALTH_SECRET_KEY"], {
    methods: ["GET", "HEAD"],
    takesBearer: true,
  });
  if (refusal !== undefined) return failureResponse(refusal);

  const minutes = silentMinutes(deps.environment);
  const answer = await deps.rpc("health_snapshot", { p_silence: `${minutes} minutes` });
  const snapshot = parseAnswer(answer, healthSnapshot, "health_snapshot", deps.log);
  const response = wantsPrometheus(request) ? metricsResponse(snapshot) : jsonResponse(snapshot);
  response.headers.set("cache-control", "no-store");
  response.headers.set("vary", "accept");
  return request.method === "HEAD" ? new Response(null, response) : response;
}

function jsonResponse(snapshot: Result<HealthSnapshot>): Response {
  if (!snapshot.ok) return failureResponse(snapshot.failure);
  return Response.json({ ok: true, status: snapshot.value.alarms.length > 0 ? "alarm" : "ok", ...snapshot.value });
}

function metricsResponse(snapshot: Result<HealthSnapshot>): Response {
  const up: Metric = {
    name: "truetick_up",
    help: "Whether the database could be asked. Prometheus itself does not read an answer of 503.",
    samples: [{ value: snapshot.ok ? 1 : 0 }],
  };
  return new Response(prometheusText([up, ...snapshot.ok ? healthMetrics(snapshot.value) : []]), {
    status: snapshot.ok ? 200 : failures[snapshot.failure.code].status,
    headers: {
      ...snapshot.ok ? {} : snapshot.failure.headers,
      "content-type": "text/plain; version=0.0.4; charset=utf-8",
    },
  });
}
