import { join } from "node:path";
import { inRepository } from "../local/repository.ts";
import { z } from "zod";

const denoJson = z.object({ imports: z.record(z.string(), z.string()) });

/** npm:<name>@<major>.<minor>.<patch>, with or without a path. */
const EXACT = /^npm:(?:@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+(?:-[\w.]+)?(?:\/.*)?$/;

/**
 * Holds every function's deno.json, which the platform reads, against the root's, which everything here reads.
 *
 * @returns one sentence for each import that is not exact or differs; none when all agree
 */
export async function functionVersionFaults(root: string = inRepository()): Promise<string[]> {
  const ours = await readImports(join(root, "deno.json"));
  const faults: string[] = [];
  for (const [specifier, version] of Object.entries(ours)) {
    if (!EXACT.test(version)) faults.push(`deno.json: ${specifier} is ${version}, not an exact npm version`);
  }
  const functions = join(root, "supabase", "functions");
  for await (const entry of Deno.readDir(functions)) {
    if (!entry.isDirectory || entry.name.startsWith("_")) continue;
    const file = `supabase/functions/${entry.name}/deno.json`;
    for (const [specifier, version] of Object.entries(await readImports(join(functions, entry.name, "deno.json")))) {
      const expected = ours[specifier];
      if (expected !== version) {
        faults.push(`${file}: ${specifier} is ${version}, in deno.json ${expected ?? "missing"}`);
      }
    }
  }
  return faults.sort();
}

async function readImports(path: string): Promise<Record<string, string>> {
  return denoJson.parse(JSON.parse(await Deno.readTextFile(path))).imports;
}
