import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { classifyDatabaseError } from "./classify_database_error.ts";
import { databaseRpc } from "./database_rpc.ts";
import type { Database } from "./database.types.ts";
import { ImpatientClock } from "./fake_clock.ts";
import { Logger } from "./logger.ts";

/** Calls an rpc whose answers are given, and tells the result, the number of requests and the log. */
async function call(...answers: (() => Response | Promise<Response>)[]) {
  let requests = 0;
  const lines: string[] = [];
  const answer = () => answers[Math.min(requests++, answers.length - 1)]?.() ?? Response.error();
  const client = createClient<Database>("http://127.0.0.1:1", "sb_secret_test", {
    auth: { persistSession: false, autoRefreshToken: false },
    global: { fetch: async () => await answer() },
  });
  const rpc = databaseRpc(client, new ImpatientClock(), new Logger({}, (line) => lines.push(line)));
  const result = await rpc("record_receipts", { p_receipts: [] });
  return { result, requests, log: lines.join("\n") };
}

const error = (status: number, code: string) => () =>
  Response.json({ code, message: "relation secret_table", details: null, hint: null }, { status });

Deno.test("rpc hands over what the database answered", async () => {
  const { result, requests } = await call(() => Response.json({ recorded: 1 }));
  assert.deepEqual(result, { ok: true, value: { recorded: 1 } });
  assert.equal(requests, 1);
});

Deno.test("rpc tries a lost race again, a few times", async () => {
  const won = await call(error(500, "40P01"), error(500, "40001"), () => Response.json(7));
  assert.deepEqual(won.result, { ok: true, value: 7 });
  assert.equal(won.requests, 3);
  const lost = await call(error(500, "40P01"));
  assert.equal(lost.requests, 4);
  assert.equal(lost.result.ok ? undefined : lost.result.failure.code, "database_unavailable");
});

Deno.test("rpc says that the database is unavailable when nobody answers", async () => {
  const { result, requests } = await call(() => Promise.reject(new TypeError("fetch failed")));
  assert.deepEqual(result, {
    ok: false,
    failure: { code: "database_unavailable", headers: { "retry-after": "5" } },
  });
  assert.equal(requests, 1);
});

Deno.test("rpc logs a database error with its SQLSTATE and keeps it from the caller", async () => {
  const { result, requests, log } = await call(error(400, "22P02"));
  assert.deepEqual(result, { ok: false, failure: { code: "internal" } });
  assert.equal(requests, 1);
  assert.equal(JSON.parse(log).sqlstate, "22P02");
});

Deno.test("rpc takes a proxy's page for an unavailable database", async () => {
  for (const status of [500, 502, 503, 504, 520]) {
    const { result } = await call(() => new Response("<html>bad gateway</html>", { status }));
    assert.equal(result.ok ? undefined : result.failure.code, "database_unavailable");
  }
});

Deno.test("database errors are sorted by who can mend them", () => {
  for (const code of ["40P01", "40001"]) assert.equal(classifyDatabaseError(500, code), "retry");
  for (const code of ["08006", "08P01", "57P01", "57P03", "53300", "53100", "57014", "55P03", "25006", "PGRST002"]) {
    assert.equal(classifyDatabaseError(500, code), "unavailable");
  }
  for (const code of ["23505", "22023", "42501", "P0001", "XX000", "PGRST202", "PGRST301"]) {
    assert.equal(classifyDatabaseError(500, code), "fault");
  }
  assert.equal(classifyDatabaseError(0, ""), "unavailable");
  assert.equal(classifyDatabaseError(500, "ECONNREFUSED"), "unavailable");
  assert.equal(classifyDatabaseError(401, ""), "fault");
});

Deno.test("rpc ends when the database hangs", async () => {
  const client = createClient<Database>("http://127.0.0.1:1", "sb_secret_test", {
    auth: { persistSession: false, autoRefreshToken: false },
    global: {
      fetch: (_input, init) =>
        new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason))),
    },
  });
  const rpc = databaseRpc(client, new ImpatientClock(), new Logger({}, () => {}), { timeoutMs: 20 });
  const result = await rpc("finalize_campaigns");
  assert.equal(result.ok ? undefined : result.failure.code, "database_unavailable");
});
