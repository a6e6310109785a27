import type { Mutant } from "./mutant.ts";

/**
 * Replaces every occurrence of a text in a function's source.
 *
 * @throws Error, when planted, if the function does not hold the text (any more)
 */
export function rewrite(name: string, functionName: string, from: string, to: string): Mutant {
  return {
    name,
    async plant(sql) {
      const [row] = await sql<{ source: string }[]>`
        select pg_get_functiondef(${functionName}::regproc) as source
      `;
      const source = row?.source ?? "";
      if (!source.includes(from)) {
        throw new Error(`Mutant "${name}": ${functionName} does not hold "${from}"; rewrite it`);
      }
      await sql.unsafe(source.replaceAll(from, to));
    },
  };
}
