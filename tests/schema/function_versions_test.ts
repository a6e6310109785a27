import assert from "node:assert/strict";
import { functionVersionFaults, importsOf, isBare, versionDifferences } from "../../scripts/function_versions.ts";

Deno.test("each function's deno.json names exactly what its modules import, in the repository's versions", async () => {
  assert.deepEqual(await functionVersionFaults(), []);
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
