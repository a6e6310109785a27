import assert from "node:assert/strict";
import { databaseClient } from "./database_client.ts";
import { Environment } from "./environment.ts";
import { EnvironmentError } from "./environment_error.ts";

Deno.test("database client is one per isolate until its key is rotated", () => {
  const variables = new Map([["SUPABASE_URL", "http://127.0.0.1:1"], ["SUPABASE_SECRET_KEYS", '{"default":"sb_a"}']]);
  const environment = new Environment((name) => variables.get(name));
  const first = databaseClient(environment);
  assert.equal(databaseClient(environment), first);
  variables.set("SUPABASE_SECRET_KEYS", '{"default":"sb_b"}');
  assert.notEqual(databaseClient(environment), first);
});

Deno.test("database client names the variable that is missing", () => {
  const none = new Environment(() => undefined);
  assert.throws(
    () => databaseClient(none),
    (error) => error instanceof EnvironmentError && error.variable === "SUPABASE_URL",
  );
});
