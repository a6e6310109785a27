import assert from "node:assert/strict";
import { EnvironmentError } from "../_shared/environment_error.ts";
import { fakeDeps, type FakeDepsOptions } from "../_shared/fake_deps.ts";
import { handle } from "./handler.ts";
import type { HealthSnapshot } from "./health_snapshot.ts";
import { parseMetrics } from "./parse_metrics.ts";

const calm: HealthSnapshot = {
  checked_at: "2026-11-22T22:00:00.123456+00:00",
  silence_seconds: 900,
  alarms: [],
  queue: {
    processing_campaigns: 2,
    pending: 70,
    processing: 3,
    due: 60,
    oldest_due_at: "2026-11-22T21:59:00+00:00",
    oldest_due_seconds: 60,
    past_lease: 1,
    unconfirmed: 0,
  },
  campaigns_with_due: { sending: 1, paced: 1, stalled: 0 },
  receipts: { parked_messages: 4, oldest_parked_at: "2026-11-22T21:00:00+00:00", oldest_parked_seconds: 3600 },
  journal: [{ reason: "unmatched", count: 10_001, last_hour_count: 7, oldest_at: null, oldest_seconds: null }],
  senders: [
    {
      session_id: 'wa_"1"',
      organization_id: "00000000-0000-4000-8000-000000000001",
      status: "active",
      reason: null,
      is_stopped_automatically: false,
      hold_expires_at: null,
      messages_per_minute: 60,
      daily_limit: null,
      daily_allowance: null,
      next_send_at: null,
      last_claimed_at: "2026-11-22T21:59:59+00:00",
      last_heard_at: null,
      deaf_since: "2026-11-22T21:59:00+00:00",
      deaf_seconds: 60,
      is_deaf: false,
      attempts_last_minute: 12,
      attempts_last_day: null,
    },
  ],
  processor: { last_run_at: "2026-11-22T21:59:58+00:00", last_run_seconds: 2, gateways: ["vps"] },
  audit: { last_audit_at: null, last_audit_seconds: null, has_changes: true, campaigns_waiting: 3 },
  discrepancies: 0,
};

const alarmed: HealthSnapshot = {
  ...calm,
  alarms: [{
    cause: "sender_deaf",
    subject: "wa_1",
    message: "The sender wa_1 …",
    details: {},
    opened_at: "2026-11-22T21:30:00+00:00",
  }],
};

const environment = { CRON_SECRET_KEY: "cron" };

function request(headers: Record<string, string> = { "x-api-key": "cron" }, method = "GET", query = ""): Request {
  return new Request(`http://f/functions/v1/health${query}`, { method, headers });
}

function deps(snapshot: unknown = calm, options: FakeDepsOptions = {}) {
  return fakeDeps({ environment, rpc: () => ({ ok: true, value: snapshot }), ...options });
}

const away: FakeDepsOptions = {
  rpc: () => ({ ok: false, failure: { code: "database_unavailable", headers: { "retry-after": "5" } } }),
};

Deno.test("health answers the snapshot, and ok while no alarm is open", async () => {
  const it = deps();
  const response = await handle(request(), it);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.deepEqual(await response.json(), { ok: true, status: "ok", ...calm });
  assert.deepEqual(it.calls, [{ name: "health_snapshot", args: { p_silence: "15 minutes" } }]);
});

Deno.test("health answers 200 also while alarms are open, and lists them", async () => {
  const body = await (await handle(request(), deps(alarmed))).json();
  assert.equal(body.status, "alarm");
  assert.deepEqual(body.alarms, alarmed.alarms);
});

Deno.test("health asks with the silence that is configured", async () => {
  const it = deps(calm, { environment: { ...environment, ALERT_SILENT_MINUTES: "3" } });
  await handle(request(), it);
  assert.deepEqual(it.calls[0]?.args, { p_silence: "3 minutes" });
  const wrong = deps(calm, { environment: { ...environment, ALERT_SILENT_MINUTES: "soon" } });
  await assert.rejects(handle(request(), wrong), EnvironmentError);
});

Deno.test("health refuses a key that is missing, wrong, partial or another's, and asks nothing", async () => {
  const it = deps(calm, { environment: { ...environment, HEALTH_SECRET_KEY: "watch", WEBHOOK_SECRET_KEY: "hook" } });
  const refused: Record<string, string>[] = [
    {},
    { "x-api-key": "" },
    { "x-api-key": "cro" },
    { "x-api-key": "cronn" },
    { "x-api-key": "hook" },
    { "x-api-key": "cron,watch" },
    { authorization: "cron" },
    { authorization: "Basic Y3Jvbg==" },
    { authorization: "Bearer hook" },
    { apikey: "cron" },
  ];
  for (const headers of refused) {
    const response = await handle(request(headers), it);
    assert.equal(response.status, 401, JSON.stringify(headers));
    assert.deepEqual(await response.json(), { error: { code: "unauthorized", message: "Unauthorized." } });
  }
  assert.equal((await handle(request({}, "GET", "?x-api-key=cron&key=cron"), it)).status, 401);
  assert.deepEqual(it.calls, []);
});

Deno.test("health takes either secret, old and new while one is rotated, as a header or as a bearer token", async () => {
  const it = deps(calm, { environment: { CRON_SECRET_KEY: "old, new", HEALTH_SECRET_KEY: "watch, watch2" } });
  for (const key of ["old", "new", "watch", "watch2"]) {
    assert.equal((await handle(request({ "x-api-key": key }), it)).status, 200, key);
    assert.equal((await handle(request({ authorization: `Bearer ${key}` }), it)).status, 200, key);
  }
});

Deno.test("health refuses everybody while no secret is configured", async () => {
  for (const variables of [{}, { CRON_SECRET_KEY: " ", HEALTH_SECRET_KEY: "" }]) {
    await assert.rejects(
      handle(request({ "x-api-key": "" }), deps(calm, { environment: variables })),
      EnvironmentError,
    );
  }
});

Deno.test("health takes GET and HEAD alone", async () => {
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
    const response = await handle(request({ "x-api-key": "cron" }, method), deps());
    assert.equal(response.status, 405, method);
    assert.equal(response.headers.get("allow"), "GET, HEAD");
  }
  const head = await handle(request({ "x-api-key": "cron" }, "HEAD"), deps());
  assert.equal(head.status, 200);
  assert.equal(await head.text(), "");
  assert.equal((await handle(request({}, "HEAD"), deps())).status, 401);
});

Deno.test("health answers Prometheus with metrics that a strict reader takes", async () => {
  const response = await handle(request({ "x-api-key": "cron", accept: "text/plain;version=0.0.4" }), deps(alarmed));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const samples = parseMetrics(await response.text());
  const value = (name: string, labels: Record<string, string> = {}) =>
    samples.find((sample) =>
      sample.name === `truetick_${name}` &&
      Object.entries(labels).every(([label, text]) => sample.labels[label] === text)
    )?.value;
  assert.equal(value("up"), 1);
  assert.equal(value("alarms"), 1);
  assert.equal(
    value("alarm_opened_timestamp_seconds", { cause: "sender_deaf", subject: "wa_1" }),
    Date.parse("2026-11-22T21:30:00Z") / 1000,
  );
  assert.equal(value("recipients", { status: "pending" }), 70);
  assert.equal(value("due_recipients"), 60);
  assert.equal(value("oldest_due_age_seconds"), 60);
  assert.equal(value("campaigns_with_due", { state: "paced" }), 1);
  assert.equal(value("parked_messages"), 4);
  assert.equal(value("journal_events", { reason: "unmatched" }), 10_001);
  assert.equal(value("senders", { status: "active" }), 1);
  assert.equal(value("senders", { status: "restricted" }), 0);
  assert.equal(value("sender_deaf_seconds", { session: 'wa_"1"' }), 60);
  assert.equal(value("sender_attempts", { session: 'wa_"1"', window: "minute" }), 12);
  assert.equal(value("sender_attempts_limit", { window: "minute" }), 60);
  assert.equal(value("sender_attempts", { window: "day" }), undefined);
  assert.equal(value("sender_last_heard_timestamp_seconds"), undefined);
  assert.equal(value("processor_last_run_timestamp_seconds"), Date.parse("2026-11-22T21:59:58Z") / 1000);
  assert.equal(value("audit_last_timestamp_seconds"), undefined);
  assert.equal(value("audit_campaigns_waiting"), 3);
  for (const { name } of samples) assert.match(name, /^truetick_[a-z_]+$/);
});

Deno.test("health answers 503 while the database is away, in either format", async () => {
  const json = await handle(request(), deps(calm, away));
  assert.equal(json.status, 503);
  assert.equal(json.headers.get("retry-after"), "5");
  assert.equal((await json.json()).error.code, "database_unavailable");
  const text = await handle(request({ "x-api-key": "cron" }, "GET", "?format=prometheus"), deps(calm, away));
  assert.equal(text.status, 503);
  assert.equal(text.headers.get("retry-after"), "5");
  assert.deepEqual(parseMetrics(await text.text()), [{ name: "truetick_up", labels: {}, value: 0 }]);
  assert.equal((await handle(request({ "x-api-key": "cron" }, "HEAD"), deps(calm, away))).status, 503);
});

Deno.test("health answers 500 when the database says something else than this version knows", async () => {
  const it = deps({ queue: 7 });
  const response = await handle(request(), it);
  assert.equal(response.status, 500);
  assert.equal((await response.json()).error.code, "internal");
  assert.match(it.lines.join(), /unexpected_database_answer/);
});
