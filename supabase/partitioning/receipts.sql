-- Turns message_receipts into a table of hash partitions by message id, or back into one table. Empty or filled, in one
-- transaction: all of it or nothing. docs/retention.md says when that helps, and how long it takes.
--
--   select partitioning.partition_receipts();      -- 16 partitions
--   select partitioning.partition_receipts(0);     -- one table again
--
-- Everything is copied into new tables, because Postgres cannot turn one kind into the other; nobody reads or writes
-- receipts meanwhile. What hangs on the table is made anew as it was: triggers, policies, grants, comments, indexes,
-- constraints, publications, storage parameters, and the functions that take its rows. By message id, because that is how
-- receipts are found, and because a receipt is unique by it: partitions by time could not see that they have it already.

create schema if not exists partitioning;
comment on schema partitioning is 'Tools for large tables. Not exposed by the API; may be dropped, what they did stays.';
revoke all on schema partitioning from public, anon, authenticated;

create or replace function partitioning.partition_receipts(p_partitions integer default 16)
returns jsonb
language plpgsql
set search_path = ''
-- whoever still reads or writes is waited for, and waits behind us, no longer than this
set lock_timeout = '5s'
set maintenance_work_mem = '512MB'
as $$
declare
    v_began_at constant timestamptz := clock_timestamp();
    v_table constant regclass := 'public.message_receipts'::regclass;
    v_kind "char" := (select c.relkind from pg_catalog.pg_class c where c.oid = v_table);
    v_old_partitions regclass[] := array(select i.inhrelid::regclass from pg_catalog.pg_inherits i where i.inhparent = v_table);
    -- a partitioned table has none; its partitions have the same
    v_options text := (
        select array_to_string(c.reloptions, ', ')
        from pg_catalog.pg_class c
        where c.oid = v_table or c.oid = any (v_old_partitions)
        order by c.reloptions nulls last
        limit 1
    );
    v_functions regprocedure[];
    v_before text[];
    v_after text[];
    v_partition text;
    v_statement text;
    v_rows bigint;
begin
    if p_partitions is null or p_partitions not between 0 and 256 or p_partitions = 1 then
        raise invalid_parameter_value using
            message = format('p_partitions must be 0 (one table) or 2 to 256, not %s', coalesce(p_partitions::text, 'null'));
    end if;
    lock table public.message_receipts in access exclusive mode;
    if cardinality(v_old_partitions) = p_partitions then
        return jsonb_build_object('partitions', p_partitions, 'changed', false);
    end if;

    -- the names of the catalog are written out, because the search path is empty: what is collected here can be run as it is
    v_functions := array(
        select distinct d.objid::regprocedure
        from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_proc'::regclass
            and (
                (d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = v_table)
                or (
                    d.refclassid = 'pg_catalog.pg_type'::regclass
                    and d.refobjid = (select c.reltype from pg_catalog.pg_class c where c.oid = v_table)
                )
            )
    );
    -- as soon as the table is there, before its rows
    v_before := array(
        select format('alter table public.message_receipts owner to %s', c.relowner::regrole) from pg_catalog.pg_class c where c.oid = v_table
        union all
        select format('comment on table public.message_receipts is %L', obj_description(v_table, 'pg_class'))
    );
    v_after := array(
        -- indexes once the rows are there: that is faster
        select format('alter table public.message_receipts add constraint %I %s', c.conname, pg_catalog.pg_get_constraintdef(c.oid))
        from pg_catalog.pg_constraint c
        where c.conrelid = v_table and c.contype in ('p', 'u', 'f')
        union all
        select regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), ' ON (ONLY )?', ' on ')
        from pg_catalog.pg_index i
        where i.indrelid = v_table
            and not exists (select 1 from pg_catalog.pg_constraint c where c.conindid = i.indexrelid and c.conrelid = v_table)
    ) || array(
        select pg_catalog.pg_get_functiondef(f.oid) from unnest(v_functions) as f (oid)
    ) || array(
        select format('revoke all on function %s from public, anon, authenticated, service_role', f.name) from unnest(v_functions::text[]) as f (name)
    ) || array(
        select format('alter function %s owner to %s', f.oid::text, p.proowner::regrole)
        from unnest(v_functions) as f (oid)
        join pg_catalog.pg_proc p on p.oid = f.oid
    ) || array(
        select format(
            'grant %s on function %s to %s', a.privilege_type, f.oid::text, coalesce(nullif(a.grantee, 0)::regrole::text, 'public')
        )
        from unnest(v_functions) as f (oid)
        join pg_catalog.pg_proc p on p.oid = f.oid
        cross join lateral pg_catalog.aclexplode(p.proacl) a
    ) || array(
        select format('comment on function %s is %L', f.oid::text, obj_description(f.oid, 'pg_proc')) from unnest(v_functions) as f (oid)
    ) || array(
        select pg_catalog.pg_get_triggerdef(t.oid) from pg_catalog.pg_trigger t where t.tgrelid = v_table and not t.tgisinternal
    ) || array(
        select 'alter table public.message_receipts enable row level security' from pg_catalog.pg_class c where c.oid = v_table and c.relrowsecurity
    ) || array(
        select format(
            'create policy %I on public.message_receipts as %s for %s to %s %s %s',
            p.policyname, p.permissive, p.cmd, (select string_agg(quote_ident(r), ', ') from unnest(p.roles) r),
            'using (' || p.qual || ')', 'with check (' || p.with_check || ')'
        )
        from pg_catalog.pg_policies p
        where p.schemaname = 'public' and p.tablename = 'message_receipts'
    ) || array(
        -- what the defaults of the schema give a new table, and then what this one had
        select 'revoke all on public.message_receipts from public, anon, authenticated, service_role'
    ) || array(
        select format(
            'grant %s on public.message_receipts to %s %s', a.privilege_type, coalesce(nullif(a.grantee, 0)::regrole::text, 'public'),
            case when a.is_grantable then 'with grant option' end
        )
        from pg_catalog.pg_class c
        cross join lateral pg_catalog.aclexplode(c.relacl) a
        where c.oid = v_table
    ) || array(
        select format('alter publication %I add table public.message_receipts', p.pubname)
        from pg_catalog.pg_publication_rel r
        join pg_catalog.pg_publication p on p.oid = r.prpubid
        where r.prrelid = v_table
    );

    -- indexes, constraints and policies go along, so that their names are free
    alter table public.message_receipts set schema partitioning;
    foreach v_partition in array v_old_partitions::text[]
    loop
        execute format('alter table %s set schema partitioning', v_partition);
    end loop;
    execute format(
        'create table public.message_receipts (like partitioning.message_receipts including all excluding indexes) %s',
        case
            when p_partitions > 0 then 'partition by hash (message_id)'
            when v_options <> '' then format('with (%s)', v_options)
        end
    );
    for v_number in 0..p_partitions - 1
    loop
        -- in private, where nobody can go around the policies of the whole
        v_partition := format('private.message_receipts_%s', lpad(v_number::text, 3, '0'));
        execute format(
            'create table %s partition of public.message_receipts for values with (modulus %s, remainder %s) %s',
            v_partition, p_partitions, v_number, case when v_options <> '' then format('with (%s)', v_options) end
        );
        execute format('alter table %s enable row level security', v_partition);
        execute format('revoke all on %s from public, anon, authenticated, service_role', v_partition);
        execute format('comment on table %s is %L', v_partition, format('Partition %s of %s of public.message_receipts.', v_number, p_partitions));
    end loop;
    foreach v_statement in array v_before
    loop
        execute v_statement;
    end loop;
    insert into public.message_receipts select * from partitioning.message_receipts;
    get diagnostics v_rows = row_count;
    foreach v_partition in array v_functions::text[]
    loop
        execute format('drop function %s', v_partition);
    end loop;
    -- what else hangs on it, a view for instance, is not ours: Postgres names it and nothing has happened
    drop table partitioning.message_receipts;
    foreach v_statement in array v_after
    loop
        execute v_statement;
    end loop;
    analyze public.message_receipts;
    return jsonb_build_object(
        'partitions', p_partitions,
        'changed', true,
        'receipts', v_rows,
        'seconds', round(extract(epoch from clock_timestamp() - v_began_at), 1)
    );
end
$$;
revoke all on function partitioning.partition_receipts(integer) from public, anon, authenticated;
comment on function partitioning.partition_receipts(integer) is
    'Makes message_receipts a table of p_partitions (2 to 256) hash partitions by message id; 0: one table again. As many as there are: nothing is done. '
    'Answers {partitions, changed, receipts, seconds}. Errors: 22023 with the argument, lock_not_available after 5 s. Caller: an operator, as the owner of the table.';
