import type { Sql } from "../harness/mod.ts";

/** A function as the catalog knows it. */
export interface CatalogFunction {
  readonly name: string;
  /** As in `pause_campaign(uuid)`. */
  readonly signature: string;
  /** A call of it in which every argument is null. */
  readonly nullCall: string;
}

/** Names of all tables and views of a schema. */
export async function relationsOf(sql: Sql, schema: string): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select c.relname as name
    from pg_catalog.pg_class c
    where c.relnamespace = ${schema}::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    order by 1
  `;
  return rows.map(({ name }) => name);
}

/** All columns of a table or view that a statement may name as its target. */
export async function columnsOf(sql: Sql, schema: string, relation: string): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select c.column_name as name
    from information_schema.columns c
    where c.table_schema = ${schema} and c.table_name = ${relation}
      and c.is_generated = 'NEVER' and c.identity_generation is distinct from 'ALWAYS'
    order by c.ordinal_position
  `;
  return rows.map(({ name }) => name);
}

/** All functions and procedures of a schema. */
export async function functionsOf(sql: Sql, schema: string): Promise<CatalogFunction[]> {
  return [
    ...await sql<CatalogFunction[]>`
      select
        p.proname as name,
        p.oid::regprocedure::text as signature,
        format(
          'select %s(%s)',
          p.oid::regproc,
          (
            select coalesce(string_agg('null::' || format_type(t.type, null), ', ' order by t.place), '')
            from unnest(p.proargtypes::oid[]) with ordinality as t (type, place)
          )
        ) as "nullCall"
      from pg_catalog.pg_proc p
      where p.pronamespace = ${schema}::regnamespace
      order by 2
    `,
  ];
}

/** A line for each relation or function without a rule, and for each rule without a relation or function. */
export function withoutRule(kind: string, names: readonly string[], rules: readonly string[]): string[] {
  return [
    ...names.filter((name) => !rules.includes(name)).map((name) => `no rule for ${kind} ${name}`),
    ...rules.filter((name) => !names.includes(name)).map((name) => `a rule for ${kind} ${name}, which is not there`),
  ];
}
