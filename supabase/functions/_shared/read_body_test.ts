import assert from "node:assert/strict";
import { type BodyLimits, MAX_BODY_BYTES, readBody } from "./read_body.ts";

function post(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request("http://f", {
    method: "POST",
    body,
    headers,
  });
}

async function code(request: Request, limits?: BodyLimits): Promise<string> {
  const result = await readBody(request, limits);
  return result.ok ? "ok" : result.failure.code;
}

/** A body that comes in `count` chunks of 64 KB, and tells how many were asked for. */
function chunked(count: number): { readonly body: ReadableStream<Uint8Array>; readonly pulled: () => number } {
  const chunk = new Uint8Array(65_536).fill(32);
  let pulled = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (pulled++ < count) controller.enqueue(chunk);
      else controller.close();
    },
  });
  return { body, pulled: () => pulled };
}

Deno.test("read body refuses a declared length above the limit without reading", async () => {
  const { body, pulled } = chunked(100);
  const length = String(MAX_BODY_BYTES + 1);
  const before = pulled();
  assert.equal(await code(post(body, { "content-length": length })), "payload_too_large");
  assert.ok(pulled() - before <= 1);
});

Deno.test("read body counts a body of undeclared length and stops at the limit", async () => {
  const { body, pulled } = chunked(1_000);
  assert.equal(await code(post(body)), "payload_too_large");
  assert.ok(pulled() <= MAX_BODY_BYTES / 65_536 + 3);
  assert.equal(await code(post(chunked(MAX_BODY_BYTES / 65_536).body)), "ok");
});

Deno.test("read body keeps to a smaller limit where one is asked for", async () => {
  const bytes = 65_536;
  assert.equal(await code(post(chunked(1).body), { bytes }), "ok");
  assert.equal(await code(post(chunked(2).body), { bytes }), "payload_too_large");
  assert.equal(await code(post("x", { "content-length": String(bytes + 1) }), { bytes }), "payload_too_large");
});

Deno.test("read body does not trust a declared length that is too small", async () => {
  assert.equal(await code(post(chunked(1_000).body, { "content-length": "2" })), "payload_too_large");
});

Deno.test("read body gives up on a body that never ends", async () => {
  const stalled = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(1)) });
  assert.equal(await code(post(stalled), { timeoutMs: 10 }), "body_timeout");
});

Deno.test("read body survives a sender that breaks off", async () => {
  const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("gone")) });
  assert.equal(await code(post(broken)), "body_timeout");
});

Deno.test("read body gives the bytes as they came, however they were cut", async () => {
  const bytes = Uint8Array.of(34, 0xff, 0, 0xf0, 0x9f, 0x98, 0x80, 34);
  const cut = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  assert.deepEqual(await readBody(post(cut)), { ok: true, value: bytes });
  assert.deepEqual(await readBody(post(bytes)), { ok: true, value: bytes });
  assert.deepEqual(await readBody(post(null)), { ok: true, value: new Uint8Array() });
});
