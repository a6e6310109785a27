/**
 * Whether the answer is to be metrics: `?format=prometheus` or `?format=json` says so; else whoever accepts plain or
 * OpenMetrics text and does not name JSON. A browser, curl and supabase-js get JSON.
 */
export function wantsPrometheus(request: Request): boolean {
  const format = new URL(request.url).searchParams.get("format");
  if (format !== null) return format === "prometheus";
  const accepted = (request.headers.get("accept") ?? "").toLowerCase().split(",").map((range) =>
    range.split(";")[0]?.trim()
  );
  if (accepted.includes("application/json")) return false;
  return accepted.includes("text/plain") || accepted.includes("application/openmetrics-text");
}
