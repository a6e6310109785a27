import assert from "node:assert/strict";
import { endpoint } from "./endpoint.ts";
import { Environment } from "./environment.ts";

Deno.test("endpoint answers a throwing handler with 500 and the request id, and tells the log the rest", async () => {
  const lines: string[] = [];
  const serve = endpoint("f", () => Promise.reject(new Error("secret detail")), {
    writeLog: (line) => lines.push(line),
  });
  const response = await serve(new Request("http://f"));
  const body = await response.text();
  assert.equal(response.status, 500);
  assert.ok(!body.includes("secret detail"));
  assert.equal(JSON.parse(body).error.code, "internal");
  const line = JSON.parse(lines[0] ?? "");
  assert.equal(line.request_id, response.headers.get("x-request-id"));
  assert.ok(line.message.includes("secret detail"));
});

Deno.test("endpoint names a missing variable in the log alone", async () => {
  const lines: string[] = [];
  const serve = endpoint("f", (_request, deps) => Promise.resolve(new Response(deps.environment.required("MY_KEY"))), {
    environment: new Environment(() => undefined),
    writeLog: (line) => lines.push(line),
  });
  const response = await serve(new Request("http://f"));
  assert.equal(response.status, 500);
  assert.ok(!(await response.text()).includes("MY_KEY"));
  assert.equal(JSON.parse(lines[0] ?? "").variable, "MY_KEY");
});

Deno.test("endpoint keeps a request id that looks like one and replaces any other", async () => {
  const serve = endpoint("f", () => Promise.resolve(new Response("ok")));
  const id = async (given: string) => {
    const response = await serve(new Request("http://f", { headers: { "x-request-id": given } }));
    return response.headers.get("x-request-id");
  };
  assert.equal(await id("abc-12345678"), "abc-12345678");
  assert.notEqual(await id('"}, {"forged": 1'), '"}, {"forged": 1');
});

Deno.test("endpoint answers 500 for a database that is not configured", async () => {
  const lines: string[] = [];
  const serve = endpoint("f", async (_request, deps) => Response.json(await deps.rpc("finalize_campaigns")), {
    environment: new Environment(() => undefined),
    writeLog: (line) => lines.push(line),
  });
  const response = await serve(new Request("http://f"));
  assert.equal(response.status, 500);
  await response.body?.cancel();
  assert.equal(JSON.parse(lines[0] ?? "").variable, "SUPABASE_URL");
});
