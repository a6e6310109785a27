import { equal, rejects } from "node:assert/strict";
import { type FrontDoor, openFrontDoor } from "./front_door.ts";
import { freePort } from "./ports.ts";

const keys = {
  publishable: "sb_publishable_x",
  secret: "sb_secret_x",
  jwtSecret: "a secret of at least thirty-two letters",
};

/** A front door with three functions: `open`, `verified`, and `gone`, which nothing serves. */
async function withDoor(work: (url: string, calls: string[]) => Promise<void>): Promise<void> {
  const calls: string[] = [];
  const upstream = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    calls.push(`${request.method} ${new URL(request.url).pathname}${new URL(request.url).search}`);
    return new Response(request.body, { status: 202, headers: { "x-seen": request.headers.get("x-api-key") ?? "" } });
  });
  const nobody = freePort();
  const door: FrontDoor = openFrontDoor({
    port: 0,
    backends: () => ({
      dataApiPort: upstream.addr.port,
      functions: {
        names: ["open", "verified", "gone", "broken"],
        portOf: (name) =>
          name === "broken"
            ? Promise.reject(new Error("does not start"))
            : Promise.resolve(name === "gone" ? nobody : upstream.addr.port),
        kill: () => Promise.resolve(),
        stop: () => Promise.resolve(),
      },
    }),
    config: { maxRows: 1000, verifyJwt: (name) => name === "verified" },
    keys,
    log: () => {},
  });
  try {
    await work(`http://127.0.0.1:${door.port}`, calls);
  } finally {
    await door.stop();
    await upstream.shutdown();
  }
}

async function statusOf(url: string, init?: RequestInit): Promise<number> {
  const response = await fetch(url, init);
  await response.body?.cancel();
  return response.status;
}

Deno.test("front door hands on method, path, query, headers and body, both ways", async () => {
  await withDoor(async (url, calls) => {
    const response = await fetch(`${url}/functions/v1/open/more?a=1`, {
      method: "POST",
      headers: { "x-api-key": "k" },
      body: "body",
    });
    equal(`${response.status} ${await response.text()} ${response.headers.get("x-seen")}`, "202 body k");
    await statusOf(`${url}/rest/v1/things?select=id`);
    equal(calls.join(), "POST /open/more?a=1,GET /rest/v1/things?select=id");
  });
});

Deno.test("front door passes a body on while it is still being sent", async () => {
  await withDoor(async (url) => {
    const { readable, writable } = new TransformStream<string, string>();
    const writer = writable.getWriter();
    const response = fetch(`${url}/functions/v1/open`, {
      method: "POST",
      body: readable.pipeThrough(new TextEncoderStream()),
    });
    await writer.write("first");
    const reader = (await response).body?.pipeThrough(new TextDecoderStream()).getReader();
    equal((await reader?.read())?.value, "first");
    await writer.write("last");
    equal((await reader?.read())?.value, "last");
    await writer.close();
    equal((await reader?.read())?.done, true);
  });
});

Deno.test("front door asks for a key or token where config.toml verifies, and only there", async () => {
  await withDoor(async (url, calls) => {
    equal(await statusOf(`${url}/functions/v1/open`), 202);
    equal(await statusOf(`${url}/functions/v1/verified`), 401);
    equal(await statusOf(`${url}/functions/v1/verified`, { headers: { apikey: "sb_secret_y" } }), 401);
    equal(await statusOf(`${url}/functions/v1/verified`, { headers: { apikey: keys.publishable } }), 202);
    equal(calls.length, 2);
  });
});

Deno.test("front door answers 404 for what does not exist and 503 for what cannot be reached", async () => {
  await withDoor(async (url) => {
    equal(await statusOf(`${url}/functions/v1/nothing`), 404);
    equal(await statusOf(`${url}/elsewhere`), 404);
    equal(await statusOf(`${url}/-/reload`), 404);
    for (const name of ["gone", "broken"]) {
      const response = await fetch(`${url}/functions/v1/${name}`, { method: "POST", body: "{}" });
      equal(response.status, 503);
      equal((await response.json()).error.code, "function_unavailable");
    }
  });
});

Deno.test("front door answers 503 while the stack starts", async () => {
  const config = { maxRows: 1000, verifyJwt: () => true };
  const door = openFrontDoor({ port: 0, backends: () => null, config, keys, log: () => {} });
  equal(await statusOf(`http://127.0.0.1:${door.port}/rest/v1/`), 503);
  await rejects(
    async () => await openFrontDoor({ port: door.port, backends: () => null, config, keys, log: () => {} }).stop(),
    new RegExp(`Port ${door.port} for the API is taken .*TRUETICK_API_PORT`),
  );
  await door.stop();
});
