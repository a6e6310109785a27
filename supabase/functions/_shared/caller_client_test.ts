import assert from "node:assert/strict";
import { callerClient } from "./caller_client.ts";
import { callerRefusal } from "./caller_refusal.ts";
import { databaseRpc } from "./database_rpc.ts";
import { Environment } from "./environment.ts";
import { ImpatientClock } from "./fake_clock.ts";
import { Logger } from "./logger.ts";

/** Calls an rpc as a user; what the database API was asked with, and the result. */
async function callAs(token: string, status: number, body: unknown) {
  const asked: Headers[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    asked.push(request.headers);
    return Response.json(body, { status });
  });
  try {
    const variables: Readonly<Record<string, string>> = {
      SUPABASE_URL: `http://127.0.0.1:${server.addr.port}`,
      SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_a"}',
      SUPABASE_SECRET_KEYS: '{"default":"sb_secret_a"}',
    };
    const client = callerClient(new Environment((name) => variables[name]), token);
    const log = new Logger({}, () => {});
    const rpc = databaseRpc(client, new ImpatientClock(), log, { refusal: callerRefusal });
    return { result: await rpc("start_campaign", { p_campaign_id: crypto.randomUUID() }), asked };
  } finally {
    await server.shutdown();
  }
}

Deno.test("caller client speaks with the publishable key and the user's token, never the secret key", async () => {
  const { result, asked } = await callAs("x.y.z", 200, { id: 1 });
  assert.deepEqual(result, { ok: true, value: { id: 1 } });
  const [headers] = asked;
  assert.equal(headers?.get("apikey"), "sb_publishable_a");
  assert.equal(headers?.get("authorization"), "Bearer x.y.z");
  assert.ok(![...headers?.values() ?? []].some((value) => value.includes("sb_secret")));
});

Deno.test("caller client tells the user's refusals from our own faults", async () => {
  const cases = [
    [401, "PGRST301", "unauthorized"],
    [401, "PGRST303", "unauthorized"],
    // anon's rights do not reach
    [401, "42501", "unauthorized"],
    [403, "42501", "forbidden"],
    [404, "PT404", "not_found"],
    [410, "PT410", "gone"],
    // a function that is not deployed is nothing that the user could mend
    [404, "PGRST202", "internal"],
    [400, "22023", "internal"],
    [503, "PGRST001", "database_unavailable"],
  ] as const;
  for (const [status, code, expected] of cases) {
    const { result } = await callAs("x.y.z", status, { code, message: "m", details: null, hint: null });
    assert.equal(result.ok ? undefined : result.failure.code, expected, `${status} ${code}`);
  }
});
