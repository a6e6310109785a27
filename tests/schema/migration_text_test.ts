import assert from "node:assert/strict";
import { join } from "node:path";
import { inRepository } from "../../local/repository.ts";
import { type Migration, shoutedKeywords, unexplainedDefiners, unrevokedFunctions } from "./migration_text.ts";

const folder = inRepository("supabase", "migrations");

async function readMigrations(): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && name.endsWith(".sql")) migrations.push({ name, text: await Deno.readTextFile(join(folder, name)) });
  }
  assert.ok(migrations.length > 0);
  return migrations;
}

Deno.test("migrations are named by their time and area", async () => {
  for (const { name } of await readMigrations()) assert.match(name, /^\d{14}_[a-z_]+\.sql$/);
});

Deno.test("migrations are written in lower case", async () => {
  assert.deepEqual((await readMigrations()).flatMap(shoutedKeywords), []);
});

Deno.test("a keyword in capitals is noticed, in a comment or a text it is not", () => {
  assert.deepEqual(shoutedKeywords({ name: "m", text: "-- SELECT\nselect 'NOT';\nselect 1 FROM x" }), ["m:3: FROM"]);
});

Deno.test("every security definer says why", async () => {
  assert.deepEqual((await readMigrations()).flatMap(unexplainedDefiners), []);
});

Deno.test("a security definer without its reason is noticed", () => {
  const explained = "-- definer because it must\nsecurity definer\n";
  assert.deepEqual(unexplainedDefiners({ name: "m", text: `${explained}x\nsecurity definer` }), [
    'm:4: security definer without "-- definer because"',
  ]);
});

Deno.test("every function is followed by the revoke of its default grants", async () => {
  assert.deepEqual((await readMigrations()).flatMap(unrevokedFunctions), []);
});

Deno.test("a function without its revoke is noticed", () => {
  const text = [
    "create function public.one() returns void;",
    "revoke all on function public.one() from public, anon, authenticated;",
    "create function public.two() returns void;",
    "revoke all on function public.two() from public;",
  ].join("\n");
  assert.deepEqual(unrevokedFunctions({ name: "m", text }), ["m: public.two keeps the default grants"]);
});
