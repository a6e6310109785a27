import { dirname, join } from "node:path";
import { z } from "zod";
import { inRepository } from "../local/repository.ts";

const importMap = z.object({ imports: z.record(z.string(), z.string()) });

/** The part of a deno.json that names dependencies. */
export type ImportMap = z.output<typeof importMap>;

const EXACT = /^npm:(@[a-z0-9-]+\/)?[a-z0-9.-]+@\d+\.\d+\.\d+(-[a-z0-9.]+)?(\/[\w./-]+)?$/;
const IMPORT = /^(?:import|export)\s+(?:type\s+)?(?:[\w$*{}\s,]+\s+from\s+)?["']([^"']+)["']/gm;

/**
 * Holds every function's deno.json, which the platform reads, against the repository's, which everything here reads,
 * and against what the function's modules import.
 *
 * @returns a line for each version that is not exact or differs, each import that is not named, and each lock file
 * inside a function, which the platform's bundler cannot read; none when all is in step
 */
export async function functionVersionFaults(root: string = inRepository()): Promise<string[]> {
  const ours = await readImports(join(root, "deno.json"));
  const functions = join(root, "supabase", "functions");
  const faults: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(functions)) {
    if (!isDirectory || name.startsWith("_")) continue;
    const own = await readImports(join(functions, name, "deno.json"));
    faults.push(...versionDifferences(name, own, ours));
    for (const specifier of await bareImportsFrom(join(functions, name, "index.ts"))) {
      if (own.imports[specifier] === undefined) faults.push(`${name}: imports ${specifier}, which its deno.json lacks`);
    }
    const hasLock = await Deno.stat(join(functions, name, "deno.lock")).then(() => true, () => false);
    if (hasLock) faults.push(`${name}: has a deno.lock of its own; there is one, at the root`);
  }
  return faults.sort();
}

/** How the dependencies of a function differ from the repository's, a line each. */
export function versionDifferences(name: string, own: ImportMap, root: ImportMap): string[] {
  return Object.entries(own.imports).flatMap(([specifier, target]) => {
    const expected = root.imports[specifier];
    if (!EXACT.test(target)) return [`${name}: ${specifier} is ${target}, which is no exact version of an npm package`];
    if (expected === undefined) return [`${name}: ${specifier} is not in the deno.json of the repository`];
    return target === expected ? [] : [`${name}: ${specifier} is ${target}, in the repository ${expected}`];
  });
}

/** What a module imports, as it is written there. */
export function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT)].map((match) => match[1] ?? "");
}

/** True for what only an import map resolves. */
export function isBare(specifier: string): boolean {
  return !specifier.startsWith(".") && !/^(node|npm|jsr|https?):/.test(specifier);
}

/** Everything that the platform would bundle of a function: what its index.ts reaches, outside its folder as well. */
async function bareImportsFrom(module: string, seen = new Set<string>()): Promise<Set<string>> {
  if (seen.has(module)) return new Set();
  seen.add(module);
  const imports = importsOf(await Deno.readTextFile(module));
  const found = new Set(imports.filter(isBare));
  for (const specifier of imports.filter((each) => each.startsWith("."))) {
    for (const bare of await bareImportsFrom(join(dirname(module), specifier), seen)) found.add(bare);
  }
  return found;
}

async function readImports(path: string): Promise<ImportMap> {
  return importMap.parse(JSON.parse(await Deno.readTextFile(path)));
}
