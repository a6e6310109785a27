import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that holds deno.json. */
export const repositoryRoot: string = fileURLToPath(new URL("..", import.meta.url));

/** The path of something in the repository. */
export function inRepository(...parts: string[]): string {
  return join(repositoryRoot, ...parts);
}
