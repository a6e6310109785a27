import assert from "node:assert/strict";
import { escapeJson } from "./escape_json.ts";

Deno.test("JSON of Meta is ASCII alone, with lowercase escapes and escaped slashes", () => {
  assert.equal(escapeJson({ text: "äöå 😀 1/2" }), '{"text":"\\u00e4\\u00f6\\u00e5 \\ud83d\\ude00 1\\/2"}');
});

Deno.test("escaped JSON means the same as what went into it", () => {
  const value = { "ключ/1": ["a\\/b", "\u007f\u0080\uffff", '"\n', "محمد", null, 1.5] };
  assert.deepEqual(JSON.parse(escapeJson(value)), value);
});
