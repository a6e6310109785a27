import assert from "node:assert/strict";
import { authorize } from "./authorize.ts";
import { Environment } from "./environment.ts";
import { EnvironmentError } from "./environment_error.ts";

const environment = (secret?: string) => new Environment((name) => name === "SECRET" ? secret : undefined);
const post = (key?: string) =>
  new Request("http://f", { method: "POST", headers: key === undefined ? {} : { "X-API-Key": key } });

Deno.test("authorize lets the right key pass", () => {
  assert.equal(authorize(post("right"), environment("right"), "SECRET"), undefined);
});

Deno.test("authorize refuses a wrong, missing, empty, partial or longer key alike", () => {
  for (const key of ["wrong", undefined, "", "righ", "rightt", "RIGHT", "right,other"]) {
    assert.deepEqual(authorize(post(key), environment("right"), "SECRET"), { code: "unauthorized" });
  }
});

Deno.test("authorize takes the old and the new key while they are rotated, and neither the list nor a blank", () => {
  const rotating = environment("old, new,");
  assert.equal(authorize(post("old"), rotating, "SECRET"), undefined);
  assert.equal(authorize(post("new"), rotating, "SECRET"), undefined);
  for (const key of ["old, new,", "old, new", "", ","]) {
    assert.deepEqual(authorize(post(key), rotating, "SECRET"), { code: "unauthorized" });
  }
});

Deno.test("authorize refuses everybody while no secret is configured", () => {
  for (const secret of [undefined, "", "  ", ","]) {
    for (const key of ["", "right", undefined]) {
      assert.throws(() => authorize(post(key), environment(secret), "SECRET"), EnvironmentError);
    }
  }
});

Deno.test("authorize answers other methods before it looks at the key", () => {
  for (const method of ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
    const failure = authorize(new Request("http://f", { method }), environment(), "SECRET");
    assert.deepEqual(failure, { code: "method_not_allowed", headers: { allow: "POST" } });
  }
  const put = authorize(new Request("http://f", { method: "PUT" }), environment(), "SECRET", "GET, POST");
  assert.deepEqual(put, { code: "method_not_allowed", headers: { allow: "GET, POST" } });
});
