import assert from "node:assert/strict";
import { wantsPrometheus } from "./wants_prometheus.ts";

const wants = (accept: string | undefined, query = "") =>
  wantsPrometheus(new Request(`http://f/health${query}`, { headers: accept === undefined ? {} : { accept } }));

Deno.test("metrics go to whoever accepts their type and does not name JSON", () => {
  const scrapers = [
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "text/plain",
    "Text/Plain; version=0.0.4",
    "application/openmetrics-text",
  ];
  for (const accept of scrapers) assert.equal(wants(accept), true, accept);
  const others = [
    undefined,
    "*/*",
    "application/json",
    "application/json, text/plain, */*",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "",
  ];
  for (const accept of others) assert.equal(wants(accept), false, accept);
});

Deno.test("the query decides before the header", () => {
  assert.equal(wants("application/json", "?format=prometheus"), true);
  assert.equal(wants("text/plain", "?format=json"), false);
});
