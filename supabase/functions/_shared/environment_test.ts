import assert from "node:assert/strict";
import { Environment } from "./environment.ts";
import { EnvironmentError } from "./environment_error.ts";

const from = (variables: Record<string, string>) => new Environment((name) => variables[name]);

/** Matches the error that names this variable. */
const names = (variable: string) => (error: unknown) =>
  error instanceof EnvironmentError && error.variable === variable && error.message.startsWith(variable);

Deno.test("environment names a required variable when it is missing or blank", () => {
  assert.throws(() => from({}).required("A"), names("A"));
  assert.throws(() => from({ A: "  " }).required("A"), names("A"));
  assert.equal(from({ A: " x " }).required("A"), "x");
});

Deno.test("environment refuses a list that has no entry and drops blank ones", () => {
  assert.deepEqual(from({ A: "old, new,," }).list("A"), ["old", "new"]);
  assert.throws(() => from({ A: " , " }).list("A"), names("A"));
});

Deno.test("environment refuses a number out of its bounds, and tells the bounds but not the value", () => {
  assert.equal(from({}).integer("A", 1, 5), undefined);
  assert.equal(from({ A: "5" }).integer("A", 1, 5), 5);
  for (const bad of ["0", "6", "1.5", "x731", "NaN"]) {
    assert.throws(() => from({ A: bad }).integer("A", 1, 5), names("A"));
  }
  assert.throws(() => from({ A: "x731" }).integer("A", 1, 5), (error: Error) => !error.message.includes("x731"));
});

Deno.test("environment takes an address without its trailing slash and refuses what is none", () => {
  assert.equal(from({ A: "https://gw.example.com/base//" }).url("A"), "https://gw.example.com/base");
  for (const bad of ["gw.example.com", "ftp://gw.example.com", "https://gw.example.com/?key=1", "http://"]) {
    assert.throws(() => from({ A: bad }).url("A"), names("A"));
  }
});

Deno.test("environment takes a webhook's address whole, and says nothing of one that it refuses", () => {
  assert.equal(from({}).secretAddress("A"), undefined);
  const address = "https://chat.example.com/v1/spaces/x/messages?key=s3cret&token=t";
  assert.equal(from({ A: address }).secretAddress("A"), address);
  for (const bad of ["s3cret", "ftp://h/s3cret", "http://", "https://user:s3cret@h/x"]) {
    assert.throws(() => from({ A: bad }).secretAddress("A"), names("A"));
    assert.throws(() => from({ A: bad }).secretAddress("A"), (error: Error) => !error.message.includes("s3cret"));
  }
});

Deno.test("environment prefers the key named default, else the first, else the legacy key", () => {
  assert.equal(from({ SUPABASE_SECRET_KEYS: '{"other":"a","default":"b"}' }).secretKey(), "b");
  assert.equal(from({ SUPABASE_SECRET_KEYS: '{"other":"a"}', SUPABASE_SERVICE_ROLE_KEY: "c" }).secretKey(), "a");
  assert.equal(from({ SUPABASE_SERVICE_ROLE_KEY: "c" }).secretKey(), "c");
  assert.throws(() => from({}).secretKey(), names("SUPABASE_SECRET_KEYS"));
});

Deno.test("environment finds the publishable key as it finds the secret one, and never takes one for the other", () => {
  assert.equal(from({ SUPABASE_PUBLISHABLE_KEYS: '{"other":"a","default":"b"}' }).publishableKey(), "b");
  assert.equal(from({ SUPABASE_ANON_KEY: "c" }).publishableKey(), "c");
  const secrets = from({ SUPABASE_SECRET_KEYS: '{"default":"b"}', SUPABASE_SERVICE_ROLE_KEY: "c" });
  assert.throws(() => secrets.publishableKey(), names("SUPABASE_PUBLISHABLE_KEYS"));
  assert.throws(
    () => from({ SUPABASE_PUBLISHABLE_KEYS: "[]", SUPABASE_ANON_KEY: "c" }).publishableKey(),
    names("SUPABASE_PUBLISHABLE_KEYS"),
  );
});

Deno.test("environment does not fall back silently when the key map is broken", () => {
  for (const broken of ["sb_secret_x", "[]", "{}", "null", '{"default":1}']) {
    const environment = from({ SUPABASE_SECRET_KEYS: broken, SUPABASE_SERVICE_ROLE_KEY: "c" });
    assert.throws(() => environment.secretKey(), names("SUPABASE_SECRET_KEYS"));
  }
});
