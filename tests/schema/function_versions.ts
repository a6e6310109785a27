/** The part of a deno.json that names dependencies. */
export interface ImportMap {
  readonly imports: Readonly<Record<string, string>>;
}

const EXACT = /^npm:(@[a-z0-9-]+\/)?[a-z0-9.-]+@\d+\.\d+\.\d+(-[a-z0-9.]+)?(\/[\w./-]+)?$/;

/** How the dependencies of a function differ from the repository's, a line each. */
export function versionDifferences(name: string, own: ImportMap, root: ImportMap): string[] {
  return Object.entries(own.imports).flatMap(([specifier, target]) => {
    const expected = root.imports[specifier];
    if (!EXACT.test(target)) return [`${name}: ${specifier} is ${target}, which is no exact version of an npm package`];
    if (expected === undefined) return [`${name}: ${specifier} is not in the deno.json of the repository`];
    return target === expected ? [] : [`${name}: ${specifier} is ${target}, in the repository ${expected}`];
  });
}

const IMPORT = /^(?:import|export)\s+(?:type\s+)?(?:[\w$*{}\s,]+\s+from\s+)?["']([^"']+)["']/gm;

/** What a module imports, as it is written there. */
export function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT)].map((match) => match[1] ?? "");
}

/** True for what only an import map resolves. */
export function isBare(specifier: string): boolean {
  return !specifier.startsWith(".") && !/^(node|npm|jsr|https?):/.test(specifier);
}
