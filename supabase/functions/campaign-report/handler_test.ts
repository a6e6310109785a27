import { createClient } from "@supabase/supabase-js";
import assert from "node:assert/strict";
import { endpoint } from "../_shared/endpoint.ts";
import { Environment } from "../_shared/environment.ts";
import { type FakeDeps, fakeDeps, type FakeRpc } from "../_shared/fake_deps.ts";
import type { FailureCode } from "../_shared/failures.ts";
import { withCors } from "../_shared/with_cors.ts";
import { handle } from "./handler.ts";

const ID = "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10";
const TOKEN = "aaa.bbb-b.ccc_c";
const BOM = "\uFEFF";

/** A report of so many pages, of which one may fail. */
function pages(count: number, failing?: { readonly page: number; readonly code: FailureCode }): FakeRpc {
  return (_name, args) => {
    const after = args !== null && typeof args === "object" && "p_after" in args ? Number(args.p_after) : 0;
    const page = after + 1;
    if (page === failing?.page) return { ok: false, failure: { code: failing.code } };
    return { ok: true, value: { csv: `page ${page}\r\n`, next: page < count ? String(page) : null } };
  };
}

function get(query = `?campaign_id=${ID}`, headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` }) {
  return new Request(`http://f/campaign-report${query}`, { headers });
}

async function answerTo(request: Request, deps: FakeDeps = fakeDeps({ rpc: pages(1) })) {
  const response = await handle(request, deps);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, deps };
}

/** Serves over HTTP while `body` runs. */
async function served(
  serve: (request: Request) => Promise<Response>,
  body: (url: string) => Promise<void>,
): Promise<void> {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: () => Response.error() },
    serve,
  );
  try {
    await body(`http://127.0.0.1:${server.addr.port}/campaign-report?campaign_id=${ID}`);
  } finally {
    await server.shutdown();
  }
}

Deno.test("report is one file of all pages, read with the user's token", async () => {
  const deps = fakeDeps({ rpc: pages(3) });
  const response = await handle(get(`?campaign_id=${ID.toUpperCase()}&format=csv`), deps);
  const bytes = new Uint8Array(await response.arrayBuffer());
  assert.equal(response.status, 200);
  assert.equal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), `${BOM}page 1\r\npage 2\r\npage 3\r\n`);
  assert.equal(response.headers.get("content-type"), "text/csv; charset=utf-8");
  assert.equal(response.headers.get("content-disposition"), `attachment; filename="campaign-report-${ID}.csv"`);
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.deepEqual(deps.calls, [
    { name: "campaign_report_csv", args: { p_campaign_id: ID }, accessToken: TOKEN },
    { name: "campaign_report_csv", args: { p_campaign_id: ID, p_after: "1" }, accessToken: TOKEN },
    { name: "campaign_report_csv", args: { p_campaign_id: ID, p_after: "2" }, accessToken: TOKEN },
  ]);
  assert.deepEqual(deps.lines.map((line) => JSON.parse(line).event), ["report_complete"]);
});

Deno.test("report refuses every method but GET", async () => {
  for (const method of ["POST", "PUT", "DELETE", "HEAD"]) {
    const response = await handle(new Request("http://f", { method }), fakeDeps());
    await response.body?.cancel();
    assert.equal(response.status, 405);
    assert.equal(response.headers.get("allow"), "GET, OPTIONS");
  }
});

Deno.test("report refuses a request without an access token, a key in its place included", async () => {
  for (
    const authorization of [
      undefined,
      "",
      "Bearer",
      "Bearer ",
      TOKEN,
      `Basic ${TOKEN}`,
      "Bearer sb_publishable_local",
      "Bearer sb_secret_local",
      "Bearer a.b",
      `Bearer ${TOKEN}.d`,
      `Bearer ${TOKEN} x`,
    ]
  ) {
    const headers: Record<string, string> = { apikey: "sb_publishable_local" };
    if (authorization !== undefined) headers.authorization = authorization;
    const { status, text, deps } = await answerTo(get(undefined, headers));
    assert.equal(status, 401, authorization);
    assert.deepEqual(JSON.parse(text), { error: { code: "unauthorized", message: "Unauthorized." } });
    assert.deepEqual(deps.calls, []);
  }
});

Deno.test("report names the field of a malformed query", async () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["", /campaign_id/],
    ["?campaign_id=", /campaign_id/],
    ["?campaign_id=1", /campaign_id/],
    [`?campaign_id=${ID}%22%0d%0aset-cookie:x`, /campaign_id/],
    [`?campaign_id=${ID}' or 1`, /campaign_id/],
    [`?campaign_id=${ID}&format=xlsx`, /format/],
  ];
  for (const [query, field] of wrong) {
    const { status, text, deps } = await answerTo(get(query));
    assert.equal(status, 400, query);
    assert.equal(JSON.parse(text).error.code, "malformed_query");
    assert.match(JSON.parse(text).error.message, field);
    assert.deepEqual(deps.calls, []);
  }
});

Deno.test("report says what is wrong before anything of the file is sent", async () => {
  const failures = [["unauthorized", 401], ["not_found", 404], ["database_unavailable", 503], [
    "internal",
    500,
  ]] as const;
  for (const [code, expected] of failures) {
    const { status, headers, text } = await answerTo(get(), fakeDeps({ rpc: pages(3, { page: 1, code }) }));
    assert.equal(status, expected);
    assert.equal(JSON.parse(text).error.code, code);
    assert.equal(headers.get("content-disposition"), null);
  }
});

Deno.test("report does not take an unknown answer of the database for a page", async () => {
  const { status } = await answerTo(get(), fakeDeps({ rpc: () => ({ ok: true, value: { csv: 1 } }) }));
  assert.equal(status, 500);
});

Deno.test("report that cannot go on breaks off, so that nobody takes a part of it for all", async () => {
  for (const code of ["database_unavailable", "not_found", "unauthorized"] as const) {
    const deps = fakeDeps({ rpc: pages(4, { page: 3, code }) });
    await served((request) => handle(request, deps), async (url) => {
      const response = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } });
      assert.equal(response.status, 200);
      await assert.rejects(response.text());
    });
    const [line] = deps.lines.map((each) => JSON.parse(each));
    assert.deepEqual([line.event, line.level, line.campaign_id, line.pages], ["report_broken_off", "error", ID, 2]);
  }
});

Deno.test("report reads a page ahead of its reader, and no more", async () => {
  const deps = fakeDeps({ rpc: pages(10) });
  const response = await handle(get(), deps);
  assert.equal(deps.calls.length, 1);
  const reader = response.body?.getReader() ?? assert.fail("no body");
  for (let page = 1; page <= 4; page++) {
    assert.equal(new TextDecoder().decode((await reader.read()).value), `page ${page}\r\n`);
    // whatever could go on by itself has gone on
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    assert.equal(deps.calls.length, page + 1);
  }
  await reader.cancel();
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  assert.equal(deps.calls.length, 5);
  assert.deepEqual(deps.lines.map((line) => JSON.parse(line).event), ["report_cancelled"]);
});

Deno.test("report ends when what was left of the campaign has been deleted meanwhile", async () => {
  const { text } = await answerTo(
    get(),
    fakeDeps({
      rpc: (_name, args) => ({
        ok: true,
        value: JSON.stringify(args).includes("p_after") ? { csv: "", next: null } : { csv: "page 1\r\n", next: "1" },
      }),
    }),
  );
  assert.equal(text, "page 1\r\n");
});

Deno.test("report answers 503 while the database API is away, to pages of any origin", async () => {
  const lines: string[] = [];
  const variables: Record<string, string> = {
    SUPABASE_URL: "http://127.0.0.1:1",
    SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_local"}',
  };
  const serve = withCors(
    endpoint("campaign-report", handle, {
      environment: new Environment((name) => variables[name]),
      writeLog: (line) => lines.push(line),
    }),
    "GET",
  );
  const response = await serve(get());
  await response.body?.cancel();
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "5"]);
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  delete variables.SUPABASE_PUBLISHABLE_KEYS;
  const unset = await serve(get());
  assert.equal((await unset.json()).error.code, "misconfigured");
  assert.equal(unset.headers.get("access-control-allow-origin"), "*");
  assert.equal(JSON.parse(lines.at(-1) ?? "").variable, "SUPABASE_PUBLISHABLE_KEYS");
});

Deno.test("report is what supabase-js gives for a function, the error where it broke off", async () => {
  for (const failing of [undefined, { page: 2, code: "internal" } as const]) {
    const deps = fakeDeps({ rpc: pages(3, failing) });
    await served((request) => handle(request, deps), async (url) => {
      const supabase = createClient(new URL(url).origin, "sb_publishable_local", {
        accessToken: () => Promise.resolve(TOKEN),
        global: { fetch: (input, init) => fetch(String(input).replace("/functions/v1", ""), init) },
      });
      const invoked = supabase.functions.invoke(`campaign-report?campaign_id=${ID}`, { method: "GET" });
      const { data, error } = await invoked;
      if (failing === undefined) assert.deepEqual([data, error], ["page 1\r\npage 2\r\npage 3\r\n", null]);
      else assert.ok(error !== null && data === null);
    });
  }
});
