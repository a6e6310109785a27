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
  const put = authorize(new Request("http://f", { method: "PUT" }), environment(), "SECRET", {
    allow: "GET, POST",
  });
  assert.deepEqual(put, { code: "method_not_allowed", headers: { allow: "GET, POST" } });
});

const reading = { methods: ["GET", "HEAD"], takesBearer: true };
const get = (headers: Record<string, string>, method = "GET") => new Request("http://f", { method, headers });
const several = (variables: Record<string, string>) => new Environment((name) => variables[name]);

Deno.test("authorize takes the key as a bearer token only where it may come so", () => {
  for (const header of ["Bearer right", "bearer right", "Bearer  right "]) {
    assert.equal(authorize(get({ authorization: header }), environment("right"), "SECRET", reading), undefined, header);
  }
  for (const header of ["right", "Basic right", "Bearer", "Bearer wrong", "Bearer right right", "Bearerright"]) {
    const refused = authorize(get({ authorization: header }), environment("right"), "SECRET", reading);
    assert.deepEqual(refused, { code: "unauthorized" }, header);
  }
  const posted = new Request("http://f", { method: "POST", headers: { authorization: "Bearer right" } });
  assert.deepEqual(authorize(posted, environment("right"), "SECRET"), { code: "unauthorized" });
});

Deno.test("authorize takes a key of any variable that is set, and refuses everybody while none is", () => {
  const both = several({ A: "one", B: "two, three" });
  for (const key of ["one", "two", "three"]) {
    assert.equal(authorize(get({ "x-api-key": key }), both, ["A", "B"], reading), undefined, key);
  }
  assert.deepEqual(authorize(get({ "x-api-key": "two" }), several({ A: "one" }), ["A", "B"], reading), {
    code: "unauthorized",
  });
  assert.equal(authorize(get({ "x-api-key": "two" }), several({ B: "two" }), ["A", "B"], reading), undefined);
  assert.throws(() => authorize(get({ "x-api-key": "" }), several({}), ["A", "B"], reading), EnvironmentError);
  // set to nothing usable: somebody meant to let somebody in, and nobody knows whom
  assert.throws(() => authorize(get({ "x-api-key": "one" }), several({ A: "one", B: "," }), ["A", "B"], reading));
});

Deno.test("authorize names the methods that come with the key", () => {
  assert.equal(authorize(get({ "x-api-key": "right" }, "HEAD"), environment("right"), "SECRET", reading), undefined);
  const refused = authorize(get({ "x-api-key": "right" }, "POST"), environment("right"), "SECRET", reading);
  assert.deepEqual(refused, { code: "method_not_allowed", headers: { allow: "GET, HEAD" } });
});
