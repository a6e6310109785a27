import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { z } from "zod";
import { inRepository } from "../../local/repository.ts";
import { type ImportMap, importsOf, isBare, versionDifferences } from "./function_versions.ts";

const importMap = z.object({ imports: z.record(z.string(), z.string()) });
const functionsFolder = inRepository("supabase", "functions");

async function readImports(path: string): Promise<ImportMap> {
  return importMap.parse(JSON.parse(await Deno.readTextFile(path)));
}

async function functionNames(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(functionsFolder)) {
    if (isDirectory && !name.startsWith("_")) names.push(name);
  }
  assert.ok(names.length > 0);
  return names.sort();
}

/** Everything that the platform would bundle of a function: what its index.ts reaches, outside its folder as well. */
async function bareImportsFrom(module: string, seen = new Set<string>()): Promise<string[]> {
  if (seen.has(module)) return [];
  seen.add(module);
  const imports = importsOf(await Deno.readTextFile(module));
  const found = imports.filter(isBare);
  for (const specifier of imports.filter((each) => each.startsWith("."))) {
    found.push(...await bareImportsFrom(join(dirname(module), specifier), seen));
  }
  return found;
}

Deno.test("the versions in each function's deno.json are the repository's, and exact", async () => {
  const root = await readImports(inRepository("deno.json"));
  const differences: string[] = [];
  for (const name of await functionNames()) {
    differences.push(...versionDifferences(name, await readImports(join(functionsFolder, name, "deno.json")), root));
  }
  assert.deepEqual(differences, []);
});

Deno.test("each function's deno.json names everything that its modules import", async () => {
  const missing: string[] = [];
  for (const name of await functionNames()) {
    const { imports } = await readImports(join(functionsFolder, name, "deno.json"));
    const specifiers = await bareImportsFrom(join(functionsFolder, name, "index.ts"));
    assert.ok(specifiers.length > 0, `${name} imports nothing`);
    missing.push(...specifiers.filter((each) => imports[each] === undefined).map((each) => `${name}: ${each}`));
  }
  assert.deepEqual(missing, []);
});

Deno.test("no function has a lock file of its own, which the platform's bundler cannot read", async () => {
  for (const name of await functionNames()) {
    const lock = await Deno.stat(join(functionsFolder, name, "deno.lock")).catch(() => null);
    assert.equal(lock, null, `${name} has a deno.lock`);
  }
});

Deno.test("another version, a range and an unknown package are noticed", () => {
  const root = { imports: { zod: "npm:zod@4.6.7", postgres: "npm:postgres@3.4.9" } };
  const own = { imports: { zod: "npm:zod@4.6.6", postgres: "npm:postgres@^3.4.9", other: "npm:other@1.0.0" } };
  assert.deepEqual(versionDifferences("f", own, root), [
    "f: zod is npm:zod@4.6.6, in the repository npm:zod@4.6.7",
    "f: postgres is npm:postgres@^3.4.9, which is no exact version of an npm package",
    "f: other is not in the deno.json of the repository",
  ]);
  assert.deepEqual(versionDifferences("f", root, root), []);
});

Deno.test("imports are found in every form, and nothing else is", () => {
  const source = [
    'import { z } from "zod";',
    'import type { A } from "./a.ts";',
    'import assert from "node:assert/strict";',
    'export { b } from "@supabase/supabase-js";',
    "import {\n  c,\n} from 'postgres';",
    'import "side-effect";',
    'export const name = "no import";',
    'export function f() { return "x from y"; }',
  ].join("\n");
  assert.deepEqual(importsOf(source), [
    "zod",
    "./a.ts",
    "node:assert/strict",
    "@supabase/supabase-js",
    "postgres",
    "side-effect",
  ]);
  assert.deepEqual(importsOf(source).filter(isBare), ["zod", "@supabase/supabase-js", "postgres", "side-effect"]);
});
