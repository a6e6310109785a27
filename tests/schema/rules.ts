import type { Sql } from "../harness/mod.ts";

/** A rule that the whole schema obeys. */
export interface SchemaRule {
  readonly name: string;
  /** A query of the catalog that answers a line, `complaint`, for each breach. */
  readonly query: string;
  /** Statements that break it, to prove that it can be broken. */
  readonly planted: readonly string[];
}

/** Foreign keys without an index of their own, and why that is right. */
const UNINDEXED_ON_PURPOSE = [
  // a session id is unique by itself, and notification_campaigns_session is its index
  "notification_campaigns_organization_id_session_id_fkey",
];

const OURS = "in ('public'::regnamespace, 'private'::regnamespace)";

/** What holds for everything that the migrations make. */
export const schemaRules: readonly SchemaRule[] = [
  {
    name: "every table has row level security",
    query: `
      select c.oid::regclass || ' has no row level security' as complaint
      from pg_catalog.pg_class c
      where c.relnamespace ${OURS} and c.relkind in ('r', 'p') and not c.relrowsecurity`,
    planted: ["create table public.planted (id integer)"],
  },
  {
    name: "every table, view and function is explained in a comment",
    query: `
      select c.oid::regclass || ' has no comment' as complaint
      from pg_catalog.pg_class c
      where c.relnamespace ${OURS} and c.relkind in ('r', 'p', 'v', 'm')
        and coalesce(obj_description(c.oid, 'pg_class'), '') !~ '\\w{3}'
      union all
      select p.oid::regprocedure || ' has no comment'
      from pg_catalog.pg_proc p
      where p.pronamespace ${OURS} and coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '\\w{3}'`,
    planted: [
      "create table private.planted (id integer)",
      "create view public.planted_view as select 1 as one",
      "create function private.planted() returns integer language sql return 1",
    ],
  },
  {
    name: "every function pins its names: an empty search_path or a parsed body",
    query: `
      select p.oid::regprocedure || ' has neither' as complaint
      from pg_catalog.pg_proc p
      where p.pronamespace ${OURS} and p.prosqlbody is null
        and not coalesce('search_path=""' = any (p.proconfig), false)`,
    planted: [
      "create function public.planted() returns integer language sql as $$ select 1 $$",
      "create function private.planted() returns integer language sql set search_path = public as $$ select 1 $$",
    ],
  },
  {
    name: "no function may be executed by anon or by everybody",
    query: `
      select p.oid::regprocedure || ' may be executed by ' || r.role as complaint
      from pg_catalog.pg_proc p
      cross join unnest(array['anon', 'public']) as r (role)
      where p.pronamespace ${OURS} and has_function_privilege(r.role, p.oid, 'execute')`,
    planted: ["create function public.planted() returns integer language sql return 1"],
  },
  {
    name: "nothing of a table or view is granted to anon or to everybody",
    query: `
      select c.oid::regclass || ' grants ' || a.privilege_type || ' to ' || coalesce(nullif(a.grantee::regrole::text, '-'), 'public')
        as complaint
      from pg_catalog.pg_class c
      cross join lateral aclexplode(c.relacl) a
      where c.relnamespace ${OURS} and c.relkind in ('r', 'p', 'v', 'm') and a.grantee in (0, 'anon'::regrole)`,
    planted: ["create table public.planted (id integer)", "grant select on public.send_queue to public"],
  },
  {
    name: "nobody signed in may truncate, or make triggers or references",
    query: `
      select c.oid::regclass || ' grants ' || a.privilege_type || ' to authenticated' as complaint
      from pg_catalog.pg_class c
      cross join lateral aclexplode(c.relacl) a
      where c.relnamespace ${OURS} and a.grantee = 'authenticated'::regrole
        and a.privilege_type in ('TRUNCATE', 'TRIGGER', 'REFERENCES')`,
    planted: ["grant truncate on public.opt_outs to authenticated"],
  },
  {
    name: "every view runs with the rights of whoever asks",
    query: `
      select c.oid::regclass || ' is not security_invoker' as complaint
      from pg_catalog.pg_class c
      where c.relnamespace ${OURS} and c.relkind = 'v'
        and not coalesce(c.reloptions && array['security_invoker=on', 'security_invoker=true'], false)
      union all
      select c.oid::regclass || ' is materialized, which no policy protects'
      from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'm'`,
    planted: [
      "create view public.planted as select 1 as one",
      "create materialized view public.planted_copy as select 1 as one",
    ],
  },
  {
    name: "every foreign key has an index that begins with it",
    query: `
      select c.conrelid::regclass || ' has no index for ' || c.conname as complaint
      from pg_catalog.pg_constraint c
      where c.connamespace ${OURS} and c.contype = 'f'
        and c.conname not in (${UNINDEXED_ON_PURPOSE.map((name) => `'${name}'`).join(", ")})
        and not exists (
          select 1
          from pg_catalog.pg_index i
          where i.indrelid = c.conrelid and i.indpred is null and i.indisvalid
            and (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey
        )`,
    planted: ["create table public.planted (campaign_id uuid references public.notification_campaigns (id))"],
  },
  {
    name: "every check has a name that says what must hold",
    query: `
      select c.conrelid::regclass || ' has a check named ' || c.conname as complaint
      from pg_catalog.pg_constraint c
      where c.connamespace ${OURS} and c.contype = 'c' and (c.conname ~ '_check\\d*$' or c.conname !~ '_(is|are|has|have|implies|differs)_')`,
    planted: [
      "create table public.planted (amount integer check (amount > 0))",
      "alter table public.opt_outs add constraint ok check (reason <> '')",
    ],
  },
  {
    name: "every time knows its zone",
    query: `
      select a.attrelid::regclass || '.' || a.attname || ' is ' || format_type(a.atttypid, null) as complaint
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      where c.relnamespace ${OURS} and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped
        and a.atttypid in ('timestamp'::regtype, 'time'::regtype, 'timetz'::regtype)
        -- a time of day is one of a clock, whose zone stands beside it
        and not (
          a.atttypid = 'time'::regtype
          and exists (select from pg_catalog.pg_attribute z where z.attrelid = a.attrelid and z.attname = 'time_zone')
        )
      union all
      select a.attrelid::regclass || '.' || a.attname || ' is a time that is not named so'
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      where c.relnamespace ${OURS} and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped
        and a.atttypid = 'timestamptz'::regtype and a.attname !~ '_at$'`,
    planted: [
      "create table public.planted (created_at timestamp)",
      "create table private.planted (since timestamptz)",
    ],
  },
  {
    name: "policies ask for the caller once, not for each row, and name their role",
    query: `
      select p.schemaname || '.' || p.tablename || ': "' || p.policyname || '" calls auth.uid() for each row' as complaint
      from pg_catalog.pg_policies p
      where p.schemaname in ('public', 'private')
        and regexp_replace(coalesce(p.qual, '') || coalesce(p.with_check, ''), '\\(\\s*select auth\\.uid\\(\\)', '', 'gi') ~* 'auth\\.uid\\(\\)'
      union all
      select p.schemaname || '.' || p.tablename || ': "' || p.policyname || '" is for ' || p.roles::text || ', ' || p.cmd
      from pg_catalog.pg_policies p
      where p.schemaname in ('public', 'private') and (p.roles <> '{authenticated}' or p.cmd = 'ALL')`,
    planted: [
      "create policy planted on public.opt_outs for select to authenticated using (auth.uid() is not null)",
      "create policy planted_too on public.opt_outs for select using (true)",
    ],
  },
];

/** The breaches of a rule in a database. */
export async function breachesOf(sql: Pick<Sql, "unsafe">, rule: SchemaRule): Promise<string[]> {
  const rows = await sql.unsafe<{ complaint: string }[]>(`${rule.query} order by 1`);
  return rows.map(({ complaint }) => complaint);
}
