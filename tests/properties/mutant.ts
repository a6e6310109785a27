import type { Sql } from "../harness/mod.ts";

/** One law taken out of the schema. */
export interface Mutant {
  readonly name: string;
  readonly plant: (sql: Sql) => Promise<unknown>;
}
