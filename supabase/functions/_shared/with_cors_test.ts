import assert from "node:assert/strict";
import { withCors } from "./with_cors.ts";

const serve = withCors(() => Promise.resolve(new Response("ok", { status: 401 })), "GET");

Deno.test("cors answers a preflight itself, with the headers that supabase-js sends", async () => {
  const response = await serve(
    new Request("http://f", { method: "OPTIONS", headers: { origin: "https://crm.example" } }),
  );
  assert.equal(response.status, 204);
  assert.deepEqual(
    ["origin", "methods", "headers"].map((name) => response.headers.get(`access-control-allow-${name}`)),
    ["*", "GET, OPTIONS", "authorization, apikey, content-type, x-client-info"],
  );
  // credentials are headers that a page sends on purpose, never cookies
  assert.equal(response.headers.get("access-control-allow-credentials"), null);
});

Deno.test("cors lets a page read every answer, refusals included", async () => {
  const response = await serve(new Request("http://f"));
  assert.equal(response.status, 401);
  assert.equal(await response.text(), "ok");
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  assert.match(response.headers.get("access-control-expose-headers") ?? "", /content-disposition/);
});
