import { inRepository } from "../../local/repository.ts";

/** Without a lock file Deno would write one: for `deno test` too it is there or stays away. */
export async function lockFlags(): Promise<string[]> {
  try {
    await Deno.stat(inRepository("deno.lock"));
    return [];
  } catch {
    return ["--no-lock"];
  }
}
