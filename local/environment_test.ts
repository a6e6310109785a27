import { equal, throws } from "node:assert/strict";
import { functionVariables, stackSettings } from "./environment.ts";
import { inRepository } from "./repository.ts";

Deno.test("settings have the documented defaults when nothing is set", () => {
  const { apiPort, dbPort, dataDir, cronSeconds } = stackSettings({});
  equal([apiPort, dbPort, cronSeconds].join(), "54321,54322,5");
  equal(dataDir, inRepository(".local"));
});

Deno.test("setting is named when it is no number or out of range", () => {
  throws(() => stackSettings({ TRUETICK_API_PORT: "70000" }), /TRUETICK_API_PORT must be a number from 0 to 65535/);
  throws(() => stackSettings({ TRUETICK_DB_PORT: "x" }), /TRUETICK_DB_PORT/);
  throws(() => stackSettings({ TRUETICK_API_PORT: "1.5" }), /TRUETICK_API_PORT must be a whole number/);
  throws(() => stackSettings({ TRUETICK_CRON_SECONDS: "-1" }), /TRUETICK_CRON_SECONDS/);
});

Deno.test("functions see the development keys, and what is given over them, and nothing else", () => {
  const env = functionVariables({ CRON_SECRET_KEY: "mine", TWILIO_FROM: "+15550000", PATH: "/bin" });
  equal(env.CRON_SECRET_KEY, "mine");
  equal(env.WEBHOOK_SECRET_KEY, "local-webhook-key");
  equal(env.TWILIO_FROM, "+15550000");
  equal(env.PATH, undefined);
  const address = "https://hooks.example.com/services/x?token=y";
  equal(functionVariables({ ALERT_WEBHOOK_URL: address }).ALERT_WEBHOOK_URL, address);
  equal(functionVariables({}).HEALTH_SECRET_KEY, undefined);
});

Deno.test("example file names every variable that the stack or the functions read", async () => {
  const example = await Deno.readTextFile(inRepository(".env.example"));
  const source = await Deno.readTextFile(inRepository("local", "environment.ts"));
  for (
    const [, name] of source.matchAll(
      /\b((?:TRUETICK|WEBHOOK|CRON|WHATSAPP|TWILIO|PUBLIC|PROCESS|HEALTH|ALERT)_[A-Z_]+)\b/g,
    )
  ) {
    equal(example.includes(`\n${name}=`), true, `${name} is missing in .env.example`);
  }
});

Deno.test("example file says what holds when nothing is said", async () => {
  const example = await Deno.readTextFile(inRepository(".env.example"));
  for (const [name, value] of Object.entries(functionVariables({}))) {
    equal(example.includes(`\n${name}=${value}\n`), true, `${name} is not ${value} in .env.example`);
  }
});
