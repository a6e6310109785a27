import assert from "node:assert/strict";

function run(env: Record<string, string>): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", new URL("./main.ts", import.meta.url).href],
    env: {
      SIMULATOR_PORT: "0",
      WHATSAPP_VPS_API_KEY: "vps",
      WEBHOOK_SECRET_KEY: "hook,old",
      WHATSAPP_ACCESS_TOKEN: "token",
      WHATSAPP_APP_SECRET: "secret,old",
      TWILIO_ACCOUNT_SID: "AC1",
      TWILIO_AUTH_TOKEN: "twilio,old",
      ...env,
    },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("the simulator process says where it is when ready, and stops on SIGTERM", async () => {
  const process = run({ FUNCTIONS_URL: "http://127.0.0.1:1/functions/v1" });
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await reader.read();
  const url = /^simulator ready at (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(value)?.[1];
  assert.ok(url !== undefined, `it printed ${JSON.stringify(value)}`);
  const record = await (await fetch(`${url}/control/record`)).json();
  assert.equal(record.totals.groups, 0);
  process.kill("SIGTERM");
  assert.equal((await process.status).code, 0);
  await reader.cancel();
  await process.stderr.cancel();
});

Deno.test("the simulator process names the variable that is missing, and fails", async () => {
  const { code, stderr } = await run({ FUNCTIONS_URL: "" }).output();
  assert.equal(code, 1);
  assert.match(new TextDecoder().decode(stderr), /FUNCTIONS_URL/);
});
