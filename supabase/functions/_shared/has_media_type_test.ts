import assert from "node:assert/strict";
import { hasMediaType } from "./has_media_type.ts";

function accepts(headers: Record<string, string>): boolean {
  return hasMediaType(new Request("http://f", { method: "POST", headers }), "application/json");
}

Deno.test("media type is recognised with a charset, in any case", () => {
  for (const type of ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]) {
    assert.ok(accepts({ "content-type": type }), type);
    assert.ok(accepts({ "content-type": type, "content-encoding": "identity" }), type);
  }
});

Deno.test("media type is refused when it is another, missing, or encoded", () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]) {
    assert.ok(!accepts({ "content-type": type }), type);
  }
  assert.ok(!accepts({}));
  assert.ok(!accepts({ "content-type": "application/json", "content-encoding": "gzip" }));
});
