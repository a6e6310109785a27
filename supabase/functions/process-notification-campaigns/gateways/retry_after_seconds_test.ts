import assert from "node:assert/strict";
import { retryAfterSeconds } from "./retry_after_seconds.ts";

Deno.test("retry after is read as seconds or as a date, and nothing else", () => {
  const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");
  assert.equal(retryAfterSeconds("120", now), 120);
  assert.equal(retryAfterSeconds("Wed, 21 Oct 2026 07:28:30 GMT", now), 30);
  assert.equal(retryAfterSeconds("Wed, 21 Oct 2026 07:00:00 GMT", now), 0);
  assert.equal(retryAfterSeconds("99999999999", now), 86_400);
  for (const header of [null, "", "-5", "1.5", "soon", "2026-10-21"]) {
    assert.equal(retryAfterSeconds(header, now), undefined);
  }
});
