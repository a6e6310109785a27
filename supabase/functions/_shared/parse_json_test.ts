import assert from "node:assert/strict";
import { assertStorable } from "./assert_storable.ts";
import { fakeDeps } from "./fake_deps.ts";
import { parseJson } from "./parse_json.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("parse json replaces what is no UTF-8, and what jsonb refuses", async () => {
  const deps = fakeDeps();
  assert.deepEqual(await parseJson(Uint8Array.of(34, 0xff, 34), deps, "receipt"), { ok: true, value: "\uFFFD" });
  const escaped = await parseJson(
    bytesOf('{"\\u0000":"\\ud83d","emoji":"\\ud83d\\ude00","plain":"é😀"}'),
    deps,
    "receipt",
  );
  assert.deepEqual(escaped, { ok: true, value: { "\uFFFD": "\uFFFD", emoji: "😀", plain: "é😀" } });
  assert.deepEqual(deps.calls, []);
});

Deno.test("parse json journals the beginning of what is no JSON", async () => {
  for (const text of ["", "{", "a=b", '{"a":1,}', `"${"😀".repeat(10_000)}`]) {
    const deps = fakeDeps();
    const parsed = await parseJson(bytesOf(text), deps, "inbound");
    assert.deepEqual(parsed, { ok: false, failure: { code: "malformed_json" } });
    assert.deepEqual(deps.calls.map(({ name }) => name), ["journal_webhook_event"]);
    assertStorable(deps.calls);
    assert.ok(JSON.stringify(deps.calls).length < 10_000);
  }
});
