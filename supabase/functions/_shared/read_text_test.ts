import assert from "node:assert/strict";
import { MAX_BODY_BYTES, readText } from "./read_text.ts";

function post(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request("http://f", {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
}

async function code(request: Request, timeoutMs?: number): Promise<string> {
  const result = await readText(request, timeoutMs);
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

Deno.test("read text takes JSON with a charset, in any case", async () => {
  for (const type of ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]) {
    assert.deepEqual(await readText(post("{}", { "content-type": type })), { ok: true, value: "{}" });
  }
});

Deno.test("read text refuses another content type, or an encoding", async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]) {
    assert.equal(await code(post("{}", { "content-type": type })), "unsupported_media_type");
  }
  assert.equal(await code(post("{}", { "content-encoding": "gzip" })), "unsupported_media_type");
  assert.equal(await code(new Request("http://f", { method: "POST" })), "unsupported_media_type");
});

Deno.test("read text refuses a declared length above the limit without reading", async () => {
  const { body, pulled } = chunked(100);
  const length = String(MAX_BODY_BYTES + 1);
  const before = pulled();
  assert.equal(await code(post(body, { "content-length": length })), "payload_too_large");
  assert.ok(pulled() - before <= 1);
});

Deno.test("read text counts a body of undeclared length and stops at the limit", async () => {
  const { body, pulled } = chunked(1_000);
  assert.equal(await code(post(body)), "payload_too_large");
  assert.ok(pulled() <= MAX_BODY_BYTES / 65_536 + 3);
  assert.equal(await code(post(chunked(MAX_BODY_BYTES / 65_536).body)), "ok");
});

Deno.test("read text does not trust a declared length that is too small", async () => {
  assert.equal(await code(post(chunked(1_000).body, { "content-length": "2" })), "payload_too_large");
});

Deno.test("read text gives up on a body that never ends", async () => {
  const stalled = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(1)) });
  assert.equal(await code(post(stalled), 10), "body_timeout");
});

Deno.test("read text survives a sender that breaks off", async () => {
  const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("gone")) });
  assert.equal(await code(post(broken)), "body_timeout");
});

Deno.test("read text joins characters that are cut between chunks and replaces bytes that are no UTF-8", async () => {
  const bytes = new TextEncoder().encode('"é😀"');
  const halves = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  assert.deepEqual(await readText(post(halves)), { ok: true, value: '"é😀"' });
  assert.deepEqual(await readText(post(Uint8Array.of(34, 0xff, 34))), { ok: true, value: '"\uFFFD"' });
});
