import assert from "node:assert/strict";
import { Environment } from "../../_shared/environment.ts";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import { readyGateways } from "./ready_gateways.ts";

const ready = (variables: Record<string, string>) => readyGateways(new Environment((name) => variables[name]), fetch);
const names = (variable: string) => (error: unknown) =>
  error instanceof EnvironmentError && error.variable === variable;

const vps = { WHATSAPP_VPS_URL: "http://vps.test", WHATSAPP_VPS_API_KEY: "key" };
const cloudApi = { WHATSAPP_CLOUD_API_URL: "http://meta.test", WHATSAPP_ACCESS_TOKEN: "token" };
const sms = { TWILIO_API_URL: "http://twilio.test", TWILIO_ACCOUNT_SID: "AC1", TWILIO_AUTH_TOKEN: "token" };

Deno.test("gateways are ready when their variables are set", () => {
  const gateways = ready({ ...vps, ...cloudApi, ...sms });
  assert.deepEqual([...gateways.ready.keys()], ["vps", "cloud-api", "sms"]);
  assert.deepEqual(gateways.states, { vps: "ready", "cloud-api": "ready", sms: "ready" });
  assert.deepEqual(gateways.faults, []);
});

Deno.test("gateways of which nothing is set are not configured, which is no fault", () => {
  const gateways = ready(sms);
  assert.deepEqual([...gateways.ready.keys()], ["sms"]);
  assert.deepEqual(gateways.states, { vps: "not configured", "cloud-api": "not configured", sms: "ready" });
  assert.deepEqual(gateways.faults, []);
});

Deno.test("gateways of which something is missing or unusable say which variable, and never its value", () => {
  const gateways = ready({ ...vps, WHATSAPP_CLOUD_API_URL: "http://meta.test", ...sms, TWILIO_API_URL: "ftp://x731" });
  assert.deepEqual([...gateways.ready.keys()], ["vps"]);
  assert.match(gateways.states["cloud-api"] ?? "", /^WHATSAPP_ACCESS_TOKEN is not set/);
  assert.match(gateways.states.sms ?? "", /^TWILIO_API_URL must be/);
  assert.deepEqual(gateways.faults.map(({ variable }) => variable), ["WHATSAPP_ACCESS_TOKEN", "TWILIO_API_URL"]);
  assert.ok(!JSON.stringify(gateways.states).includes("x731"));
});

Deno.test("gateways refuse to go on when none is ready, with the fault of one that was begun", () => {
  assert.throws(() => ready({}), names("WHATSAPP_VPS_URL"));
  assert.throws(() => ready({ WHATSAPP_VPS_URL: "http://vps.test" }), names("WHATSAPP_VPS_API_KEY"));
  assert.throws(
    () => ready({ TWILIO_ACCOUNT_SID: "AC1", TWILIO_API_URL: "http://t.test" }),
    names("TWILIO_AUTH_TOKEN"),
  );
});
