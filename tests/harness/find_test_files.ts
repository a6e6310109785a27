import { join, relative } from "node:path";

/** Where tests stand. */
const FOLDERS = ["supabase/functions", "local", "scripts", "bench", "tests"];

/**
 * The test files of the repository, sorted.
 *
 * @param root absolute
 * @param filters parts of paths; none: all. A file is taken when its path contains one of them
 */
export async function findTestFiles(root: string, filters: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const folder of FOLDERS) await collect(join(root, folder), found);
  const wanted = filters.map((filter) => filter.replace(/^\.\//, ""));
  return found
    .filter((file) =>
      wanted.length === 0 || wanted.some((part) => relative(root, file).includes(part) || part === file)
    )
    .sort();
}

async function collect(folder: string, found: string[]): Promise<void> {
  try {
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory && entry.name !== "node_modules" && !entry.name.startsWith(".")) await collect(path, found);
      if (entry.isFile && entry.name.endsWith("_test.ts")) found.push(path);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
