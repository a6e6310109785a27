-- Takes the duplicates out of a table that has them, so that its message ids can be made unique while the CRM goes on
-- writing. docs/adopting.md says when to run what. Needs nothing of Truetick; may be run again, and then changes nothing.
--
--   select adopt.add_target('public.chat_messages', 'wa_message_id');
--   select * from adopt.report();          -- reads only
--   call adopt.remove_duplicates();        -- in batches, each committed
--   select adopt.next_step();              -- what to run next, until it answers null; make_unique.sql does so by itself
--
-- A batch locks the rows it removes and those it keeps, in one statement that skips what others hold. So it never waits
-- for the CRM, and the CRM waits at most for one batch, and only where it changes these very rows.

create schema if not exists adopt;
comment on schema adopt is 'Tools for taking over the tables of a CRM. Not exposed by the API; may be dropped when all is done, the archive with it.';
revoke all on schema adopt from public, anon, authenticated;

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table if not exists adopt.targets (
    id integer generated always as identity primary key,
    table_name regclass not null,
    column_name name not null,
    -- an id is a duplicate only where these are equal too; null equals null
    scope_columns name[] not null,
    -- which row of several is the first: by this column, then by the key
    first_by name not null,
    key_column name not null,
    key_type text not null,
    -- what makes a value of the column an id
    has_id text not null,
    index_name name not null,
    -- steps towards the index that new duplicates made vain; after three they are diverted
    vain_steps integer not null default 0,
    unique (table_name, column_name)
);
comment on table adopt.targets is 'The columns whose ids are to be unique; see adopt.add_target.';

create table if not exists adopt.duplicates (
    target_id integer not null references adopt.targets (id),
    duplicate_key text not null,
    kept_key text not null,
    message_id text not null,
    -- null: not tried yet, or held by another session when it was
    left_because text,
    place bigint generated always as identity,
    primary key (target_id, duplicate_key)
);
comment on table adopt.duplicates is
    'The duplicates that were found last and are still there. left_because says why one cannot be removed; remove_duplicates tries again.';
create index if not exists duplicates_place on adopt.duplicates (target_id, place);

create table if not exists adopt.removed_rows (
    id bigint generated always as identity primary key,
    target_id integer not null references adopt.targets (id),
    message_id text not null,
    removed_key text not null,
    kept_key text not null,
    -- the whole row as it was; jsonb_populate_record makes a row of it again
    removed_row jsonb not null,
    removed_at timestamptz not null default now()
);
comment on table adopt.removed_rows is 'The archive: every row that was removed, and the one that was kept in its place.';
create index if not exists removed_rows_key on adopt.removed_rows (target_id, removed_key);

create table if not exists adopt.repointed_rows (
    id bigint generated always as identity primary key,
    target_id integer not null references adopt.targets (id),
    constraint_name name not null,
    table_name text not null,
    -- its primary key; the whole row where it has none
    row_key jsonb not null,
    removed_key text not null,
    kept_key text not null,
    repointed_at timestamptz not null default now()
);
comment on table adopt.repointed_rows is 'The other half of the archive: every row that referenced a removed row and now references the kept one.';

create table if not exists adopt.guarded_ids (
    -- no foreign key: it would be checked at every insert of the CRM
    target_id integer not null,
    id_hash text collate "C" not null,
    primary key (target_id, id_hash)
);
comment on table adopt.guarded_ids is 'Where two sessions that store the same id at once meet, while a target is guarded; see adopt.guard.';

alter table adopt.targets enable row level security;
alter table adopt.duplicates enable row level security;
alter table adopt.removed_rows enable row level security;
alter table adopt.repointed_rows enable row level security;
alter table adopt.guarded_ids enable row level security;
revoke all on all tables in schema adopt from public, anon, authenticated;

-- ---------------------------------------------------------------------------------------------------------------------
-- what is to be unique
-- ---------------------------------------------------------------------------------------------------------------------

create or replace function adopt.add_target(
    p_table regclass,
    p_column name,
    p_scope_columns name[] default '{}',
    p_first_by name default null
)
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_column name;
    v_type text;
    v_key name;
    v_key_type text;
    v_id integer;
begin
    if exists (select from pg_catalog.pg_class c where c.oid = p_table and (c.relkind <> 'r' or c.relispartition)) then
        raise wrong_object_type using
            message = format('%s is not an ordinary table', p_table),
            hint = 'A partitioned table can only be unique together with what it is partitioned by.';
    end if;
    foreach v_column in array p_scope_columns || p_column || coalesce(p_first_by, p_column)
    loop
        if not exists (
            select
            from pg_catalog.pg_attribute a
            where a.attrelid = p_table and a.attname = v_column and a.attnum > 0 and not a.attisdropped
        ) then
            raise undefined_column using message = format('%s has no column %I', p_table, v_column);
        end if;
    end loop;

    select t.typname
    into v_type
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_type o on o.oid = a.atttypid
    -- a domain is as good as what it is made of
    join pg_catalog.pg_type t on t.oid = coalesce(nullif(o.typbasetype, 0), o.oid)
    where a.attrelid = p_table and a.attname = p_column;
    if v_type not in ('text', 'varchar', 'bpchar', 'uuid', 'int8', 'int4') then
        raise feature_not_supported using message = format('%I is %s; an id is a text, a uuid or an integer', p_column, v_type);
    end if;

    select a.attname, format_type(a.atttypid, a.atttypmod)
    into v_key, v_key_type
    from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = p_table
        and i.indisunique and i.indisvalid and i.indimmediate and i.indnkeyatts = 1 and i.indpred is null and a.attnotnull
    order by i.indisprimary desc, i.indexrelid
    limit 1;
    if v_key is null then
        raise invalid_table_definition using
            message = format('%s has no key of one column by which to name its rows', p_table),
            hint = 'Give it one: a primary key, or a unique column that is not null.';
    end if;

    insert into adopt.targets as t (
        table_name, column_name, scope_columns, first_by, key_column, key_type, has_id, index_name
    )
    values (
        p_table,
        p_column,
        p_scope_columns,
        coalesce(
            p_first_by,
            (
                select a.attname
                from pg_catalog.pg_attribute a
                where a.attrelid = p_table and a.attname = 'created_at' and not a.attisdropped
            ),
            v_key
        ),
        v_key,
        v_key_type,
        case when v_type in ('text', 'varchar', 'bpchar') then format('%I <> ''''', p_column) else format('%I is not null', p_column) end,
        left((select c.relname from pg_catalog.pg_class c where c.oid = p_table) || '_' || p_column, 56) || '_unique'
    )
    on conflict (table_name, column_name) do update set
        scope_columns = excluded.scope_columns,
        first_by = excluded.first_by,
        key_column = excluded.key_column,
        key_type = excluded.key_type,
        has_id = excluded.has_id
    returning t.id into v_id;
    return v_id;
end
$$;
revoke all on function adopt.add_target(regclass, name, name[], name) from public, anon, authenticated;
comment on function adopt.add_target(regclass, name, name[], name) is
    'Names a column whose ids are to be unique; answers its number. p_scope_columns: unique within these, for instance {organization_id}. '
    'p_first_by: what makes a row the first of its duplicates; default created_at where there is one, else the key. Calling it again changes these.';

create or replace function adopt.referencing_keys(p_table regclass)
returns table (
    constraint_name name,
    table_name regclass,
    on_delete text,
    is_indexed boolean,
    columns text,
    -- for queries in which c references d, and is to reference k
    matches text,
    assignments text,
    is_assignable text,
    row_key text
)
language sql
stable
set search_path = ''
as $$
    select
        f.conname,
        f.conrelid::regclass,
        case f.confdeltype when 'c' then 'cascade' when 'n' then 'set null' when 'd' then 'set default' else 'restrict' end,
        exists (
            select
            from pg_catalog.pg_index i
            where i.indrelid = f.conrelid and i.indpred is null and i.indisvalid
                and (i.indkey::smallint[])[0:cardinality(f.conkey) - 1] @> f.conkey
        ),
        string_agg(format('%I', c.attname), ', ' order by u.place),
        string_agg(format('c.%I = d.%I', c.attname, d.attname), ' and ' order by u.place),
        string_agg(format('%I = k.%I', c.attname, d.attname), ', ' order by u.place),
        string_agg(format('k.%I is not null', d.attname), ' and ' order by u.place),
        coalesce(
            (
                select 'pg_catalog.jsonb_build_object(' || string_agg(format('%L, c.%I', a.attname, a.attname), ', ') || ')'
                from pg_catalog.pg_index i
                join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
                where i.indrelid = f.conrelid and i.indisprimary
            ),
            'pg_catalog.to_jsonb(c)'
        )
    from pg_catalog.pg_constraint f
    cross join lateral unnest(f.conkey, f.confkey) with ordinality as u (child, parent, place)
    join pg_catalog.pg_attribute c on c.attrelid = f.conrelid and c.attnum = u.child
    join pg_catalog.pg_attribute d on d.attrelid = f.confrelid and d.attnum = u.parent
    -- of a partitioned table only the key of the whole
    where f.contype = 'f' and f.confrelid = p_table and f.conparentid = 0
    group by f.oid, f.conname, f.conrelid, f.confdeltype, f.conkey
    order by f.conrelid::regclass::text, f.conname
$$;
revoke all on function adopt.referencing_keys(regclass) from public, anon, authenticated;
comment on function adopt.referencing_keys(regclass) is 'The foreign keys that reference a table, with what queries about them are made of.';

create or replace function adopt.duplicate_rows(p_target_id integer)
returns table (message_id text, duplicate_key text, kept_key text)
language plpgsql
stable
set search_path = ''
-- an error instead of rows that a policy hides
set row_security = off
as $$
declare
    t adopt.targets;
    v_same text;
begin
    select * into strict t from adopt.targets where id = p_target_id;
    v_same := (select string_agg(format('%I', c.name), ', ') from unnest(t.column_name || t.scope_columns) as c (name));
    return query execute format(
        $query$
        select r.message_id, r.duplicate_key, r.kept_key
        from (
            select
                %1$I::text as message_id,
                %2$I::text as duplicate_key,
                (first_value(%2$I) over same)::text as kept_key,
                row_number() over same as place
            from %3$s
            where %1$I in (select %1$I from %3$s where %4$s group by %5$s having count(*) > 1)
            window same as (partition by %5$s order by %6$I, %2$I)
        ) as r
        where r.place > 1
        $query$,
        t.column_name, t.key_column, t.table_name, t.has_id, v_same, t.first_by
    );
end
$$;
revoke all on function adopt.duplicate_rows(integer) from public, anon, authenticated;
comment on function adopt.duplicate_rows(integer) is
    'Every row of a target that would be removed, and the first of its kind, which would be kept. Reads the table twice.';

-- ---------------------------------------------------------------------------------------------------------------------
-- looking
-- ---------------------------------------------------------------------------------------------------------------------

create or replace function adopt.index_state(p_target_id integer)
returns text
language sql
stable
set search_path = ''
as $$
    select coalesce(
        (
            select case when i.indisvalid then 'valid' else 'invalid' end
            from pg_catalog.pg_index i
            join pg_catalog.pg_class c on c.oid = i.indexrelid
            where i.indrelid = t.table_name
                and i.indisunique
                and (
                    c.relname = t.index_name
                    -- one of the CRM's own that says as much
                    or (
                        i.indisvalid and i.indpred is null and i.indexprs is null
                        and array(
                            select a.attname
                            from pg_catalog.pg_attribute a
                            where a.attrelid = i.indrelid and a.attnum = any ((i.indkey::smallint[])[0:i.indnkeyatts - 1])
                            order by a.attname
                        ) = array(select n.name from unnest(t.column_name || t.scope_columns) as n (name) order by n.name)
                    )
                )
            order by i.indisvalid desc
            limit 1
        ),
        'missing'
    )
    from adopt.targets t
    where t.id = p_target_id
$$;
revoke all on function adopt.index_state(integer) from public, anon, authenticated;
comment on function adopt.index_state(integer) is
    'Whether the unique index of a target is valid, invalid (a try to make it failed, or is under way) or missing.';

create or replace function adopt.report()
returns table (target text, topic text, item text, figure bigint, detail text)
language plpgsql
stable
set search_path = ''
set row_security = off
as $$
declare
    t adopt.targets;
    v_key record;
    v_pairs text;
    v_message_ids text[];
    v_duplicates text[];
    v_kept text[];
begin
    for t in select * from adopt.targets order by id
    loop
        target := format('%s.%I', t.table_name, t.column_name);
        -- the pairs once for all that follows
        select array_agg(d.message_id), array_agg(d.duplicate_key), array_agg(d.kept_key)
        into v_message_ids, v_duplicates, v_kept
        from adopt.duplicate_rows(t.id) d;
        v_pairs := format(
            'unnest($1::%1$s[], $2::%1$s[]) as p (duplicate_key, kept_key) '
                'join %2$s d on d.%3$I = p.duplicate_key join %2$s k on k.%3$I = p.kept_key',
            t.key_type, t.table_name, t.key_column
        );

        topic := 'rows';
        return query execute format(
            $query$
            select $1, $2, v.item, v.figure, null::text
            from (select count(*) as all_rows, count(*) filter (where %s) as with_id from %s) as n
            cross join lateral (values ('all', n.all_rows), ('with an id', n.with_id)) as v (item, figure)
            $query$,
            t.has_id, t.table_name
        ) using target, topic;
        return query
            select target, topic, v.item, v.figure, v.detail
            from (
                values
                    ('duplicates, to be removed', coalesce(cardinality(v_duplicates), 0)::bigint, 'select * from adopt.duplicate_rows(' || t.id || ')'),
                    ('firsts of them, to be kept', (select count(distinct u.key) from unnest(v_kept) as u (key)), 'by ' || t.first_by),
                    ('removed already', (select count(*) from adopt.removed_rows r where r.target_id = t.id), 'in adopt.removed_rows')
            ) as v (item, figure, detail);

        topic := 'worst';
        return query
            select
                target, topic, min(u.message_id), count(*) + 1,
                format('keeps %s, removes %s', u.kept_key, left(string_agg(u.duplicate_key, ', ' order by u.duplicate_key), 100))
            from unnest(v_message_ids, v_duplicates, v_kept) as u (message_id, duplicate_key, kept_key)
            group by u.kept_key
            order by count(*) desc, u.kept_key
            limit 10;

        -- What a duplicate says that its first does not. A column that tells tenants apart belongs into p_scope_columns.
        topic := 'differs from the kept row';
        return query execute format(
            $query$
            select $3, $4, n.key, count(*), null::text
            from %s
            cross join lateral jsonb_each(to_jsonb(d)) n
            where n.key <> %L and n.value is distinct from to_jsonb(k) -> n.key
            group by n.key
            order by count(*) desc, n.key
            $query$,
            v_pairs, t.key_column
        ) using v_duplicates, v_kept, target, topic;

        topic := 'references to duplicates';
        for v_key in select * from adopt.referencing_keys(t.table_name)
        loop
            return query execute format(
                'select $3, $4, %L, count(*), %L from %s join %s c on %s',
                format('%s (%s)', v_key.table_name, v_key.columns),
                'on delete ' || v_key.on_delete || case
                    when v_key.is_indexed then ''
                    else format(
                        '; make this first, or every batch reads the whole table: create index concurrently on %s (%s)',
                        v_key.table_name, v_key.columns
                    )
                end,
                v_pairs, v_key.table_name, v_key.matches
            ) using v_duplicates, v_kept, target, topic;
        end loop;

        topic := 'trigger that will fire';
        return query
            select
                target, topic, format('%s on %s', g.tgname, g.tgrelid::regclass), null::bigint,
                case when g.tgrelid = t.table_name then 'when a duplicate is deleted' else 'when a reference is repointed' end
            from pg_catalog.pg_trigger g
            where not g.tgisinternal
                and g.tgenabled <> 'D'
                and (
                    (g.tgrelid = t.table_name and g.tgtype & 8 <> 0)
                    or (g.tgtype & 16 <> 0 and g.tgrelid in (select k.table_name from adopt.referencing_keys(t.table_name) k))
                )
            order by g.tgrelid::regclass::text, g.tgname;

        topic := 'left';
        return query
            select target, topic, l.left_because, count(*), 'in adopt.duplicates'
            from adopt.duplicates l
            where l.target_id = t.id and l.left_because is not null
            group by l.left_because
            order by count(*) desc, l.left_because;

        return query select target, 'unique index', t.index_name::text, null::bigint, adopt.index_state(t.id);
    end loop;
end
$$;
revoke all on function adopt.report() from public, anon, authenticated;
comment on function adopt.report() is
    'What is in each target, what remove_duplicates would do, and what it has done. Reads only; '
    'as costly as reading the tables, and what references them, a few times.';

-- ---------------------------------------------------------------------------------------------------------------------
-- removing
-- ---------------------------------------------------------------------------------------------------------------------

create or replace function adopt.list_duplicates(p_target_id integer)
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_count integer;
begin
    delete from adopt.duplicates where target_id = p_target_id;
    insert into adopt.duplicates (target_id, duplicate_key, kept_key, message_id)
    select p_target_id, d.duplicate_key, d.kept_key, d.message_id
    from adopt.duplicate_rows(p_target_id) d
    order by d.message_id, d.duplicate_key
    -- another session may be listing the same
    on conflict do nothing;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;
revoke all on function adopt.list_duplicates(integer) from public, anon, authenticated;
comment on function adopt.list_duplicates(integer) is 'Writes down the duplicates that a target has now, for remove_batch; answers how many.';

create or replace function adopt.remove_rows(p_target_id integer, p_duplicate_keys text[], p_kept_keys text[])
returns void
language plpgsql
set search_path = ''
set row_security = off
-- shorter than deadlock_timeout: where we and the CRM wait for each other, it is we who give way
set lock_timeout = '500ms'
-- index probes, whatever the statistics say
set enable_seqscan = off
as $$
declare
    t adopt.targets;
    v_key record;
    v_pairs text;
    v_is_referenced boolean;
    v_count integer;
begin
    -- what would fail at commit is to fail here, where one row can be left and the others removed
    set constraints all immediate;
    select * into strict t from adopt.targets where id = p_target_id;
    v_pairs := format(
        'unnest($1::%1$s[], $2::%1$s[]) as p (duplicate_key, kept_key) '
            'join %2$s d on d.%3$I = p.duplicate_key join %2$s k on k.%3$I = p.kept_key',
        t.key_type, t.table_name, t.key_column
    );

    execute format(
        'insert into adopt.removed_rows (target_id, message_id, removed_key, kept_key, removed_row) '
            'select %L, d.%I, p.duplicate_key, p.kept_key, to_jsonb(d) from %s',
        t.id, t.column_name, v_pairs
    ) using p_duplicate_keys, p_kept_keys;

    for v_key in select * from adopt.referencing_keys(t.table_name)
    loop
        -- not to wait, with locks in hand, for whoever holds one of these
        execute format('select from %s join %s c on %s for no key update of c nowait', v_pairs, v_key.table_name, v_key.matches)
        using p_duplicate_keys, p_kept_keys;
        execute format(
            $query$
            with repointed as (
                update %1$s c set %2$s from %3$s where %4$s and %5$s
                returning %6$s as row_key, p.duplicate_key, p.kept_key
            )
            insert into adopt.repointed_rows (target_id, constraint_name, table_name, row_key, removed_key, kept_key)
            select %7$L, %8$L, %1$L, r.row_key, r.duplicate_key, r.kept_key
            from repointed r
            $query$,
            v_key.table_name, v_key.assignments, v_pairs, v_key.matches, v_key.is_assignable, v_key.row_key,
            t.id, v_key.constraint_name
        ) using p_duplicate_keys, p_kept_keys;
        -- a trigger may have prevented it; what is still there must not go the way of `on delete cascade`
        execute format('select exists (select from %s join %s c on %s)', v_pairs, v_key.table_name, v_key.matches)
        into v_is_referenced
        using p_duplicate_keys, p_kept_keys;
        if v_is_referenced then
            raise foreign_key_violation using
                message = format('still referenced by %s, constraint %s', v_key.table_name, v_key.constraint_name);
        end if;
    end loop;

    execute format('delete from %s where %I = any ($1::%s[])', t.table_name, t.key_column, t.key_type) using p_duplicate_keys;
    get diagnostics v_count = row_count;
    if v_count <> cardinality(p_duplicate_keys) then
        raise triggered_data_change_violation using message = 'a trigger or a rule prevents that it is deleted';
    end if;
end
$$;
revoke all on function adopt.remove_rows(integer, text[], text[]) from public, anon, authenticated;
comment on function adopt.remove_rows(integer, text[], text[]) is
    'Archives duplicates, repoints what references them to the rows that are kept, and deletes them: all of them, or it fails. The caller holds the rows.';

create or replace function adopt.remove_batch(
    p_target_id integer,
    p_limit integer,
    p_after_place bigint,
    out place bigint,
    out removed_count integer,
    out left_count integer,
    out skipped_count integer,
    out has_failed boolean
)
language plpgsql
set search_path = ''
set row_security = off
set enable_seqscan = off
as $$
declare
    t adopt.targets;
    v_scope text;
    v_duplicates text[];
    v_kept text[];
    v_listed integer;
begin
    removed_count := 0;
    left_count := 0;
    has_failed := false;
    select * into strict t from adopt.targets where id = p_target_id;
    select array_agg(l.duplicate_key), array_agg(l.kept_key), max(l.place), count(*)
    into v_duplicates, v_kept, place, v_listed
    from (
        select d.duplicate_key, d.kept_key, d.place
        from adopt.duplicates d
        where d.target_id = p_target_id and d.place > p_after_place
        order by d.place
        limit p_limit
    ) as l;

    -- held by us until we commit, and still duplicates; whatever another session holds is skipped
    v_scope := (
        select string_agg(format(' and d.%1$I is not distinct from k.%1$I', s.name), '')
        from unnest(t.scope_columns) as s (name)
    );
    execute format(
        $query$
        select coalesce(array_agg(l.duplicate_key), '{}'), array_agg(l.kept_key)
        from (
            select p.duplicate_key, p.kept_key
            from unnest($1::%1$s[], $2::%1$s[]) as p (duplicate_key, kept_key)
            join %2$s d on d.%3$I = p.duplicate_key
            join %2$s k on k.%3$I = p.kept_key
            where d.%4$I = k.%4$I%5$s
            for update of d skip locked
            for no key update of k skip locked
        ) as l
        $query$,
        t.key_type, t.table_name, t.key_column, t.column_name, v_scope
    )
    into v_duplicates, v_kept
    using v_duplicates, v_kept;

    if v_duplicates <> '{}' then
        begin
            perform adopt.remove_rows(p_target_id, v_duplicates, v_kept);
            delete from adopt.duplicates d where d.target_id = p_target_id and d.duplicate_key = any (v_duplicates);
            removed_count := cardinality(v_duplicates);
        exception
            when lock_not_available or deadlock_detected then
                has_failed := true;
            when others then
                has_failed := true;
                if cardinality(v_duplicates) = 1 then
                    update adopt.duplicates d
                    set left_because = sqlerrm
                    where d.target_id = p_target_id and d.duplicate_key = v_duplicates[1];
                    left_count := 1;
                end if;
        end;
    end if;
    skipped_count := v_listed - removed_count - left_count;
end
$$;
revoke all on function adopt.remove_batch(integer, integer, bigint) from public, anon, authenticated;
comment on function adopt.remove_batch(integer, integer, bigint) is
    'Removes the next p_limit of the listed duplicates of a target, behind p_after_place: all that no other session holds, or none (has_failed). '
    'Answers the place it came to (null: there were no more) and how many were removed, left (one that cannot be removed by itself), and skipped.';

create or replace procedure adopt.remove_duplicates(p_target_id integer default null, p_batch integer default 500)
language plpgsql
-- No search path is set, because a procedure with one cannot commit: every name is written out.
as $$
declare
    v_target_id integer;
    v_batch record;
    v_place bigint;
    v_singly_until bigint;
    v_removed integer;
    v_skipped integer;
begin
    for v_target_id in
        select t.id
        from adopt.targets t
        where (p_target_id is null or t.id = p_target_id) and adopt.index_state(t.id) <> 'valid'
        order by t.id
    loop
        -- duplicates may come in while others are removed, and what another session holds may be free by then
        for v_pass in 1..3
        loop
            exit when adopt.list_duplicates(v_target_id) = 0;
            commit;
            v_place := 0;
            v_singly_until := 0;
            v_removed := 0;
            v_skipped := 0;
            loop
                v_batch := adopt.remove_batch(v_target_id, case when v_place < v_singly_until then 1 else p_batch end, v_place);
                commit;
                exit when v_batch.place is null;
                if v_batch.has_failed and v_place >= v_singly_until then
                    -- one of them cannot be removed, or not now: again, each by itself
                    v_singly_until := v_batch.place;
                else
                    v_place := v_batch.place;
                    v_removed := v_removed + v_batch.removed_count;
                    v_skipped := v_skipped + v_batch.skipped_count;
                end if;
            end loop;
            raise notice 'removed % of %, % held by other sessions', v_removed,
                (select t.table_name from adopt.targets t where t.id = v_target_id), v_skipped;
            exit when v_removed = 0 and v_skipped = 0;
            if v_removed = 0 then
                perform pg_catalog.pg_sleep(0.5);
            end if;
        end loop;
        commit;
    end loop;
end
$$;
revoke all on procedure adopt.remove_duplicates(integer, integer) from public, anon, authenticated;
comment on procedure adopt.remove_duplicates(integer, integer) is
    'Removes the duplicates of one target, or of all (null), p_batch at a time, each batch committed: it may be stopped at any moment and called again. '
    'Not inside a transaction.';

-- ---------------------------------------------------------------------------------------------------------------------
-- guarding
-- ---------------------------------------------------------------------------------------------------------------------

-- Where duplicates come in all the time, one always comes in between the last look and the index. So after a few tries
-- a trigger keeps them out while the index is made. Not from the beginning: making a trigger waits for those who are
-- writing, and whoever writes next waits for it, for half a second at most.

create or replace function adopt.divert_duplicate()
returns trigger
language plpgsql
-- definer because whoever may write to the CRM's table may not write to the archive; it stores the row it is given, no more
security definer
set search_path = ''
set row_security = off
set enable_seqscan = off
as $$
declare
    t adopt.targets;
    v_row constant jsonb := to_jsonb(new);
    v_same text;
    v_kept_key text;
begin
    select * into strict t from adopt.targets where id = tg_argv[0]::integer;
    if coalesce(v_row ->> t.column_name, '') = '' then
        return new;
    end if;
    -- waits here for whoever is just storing the same id, and sees afterwards what became of it
    insert into adopt.guarded_ids as g (target_id, id_hash)
    select t.id, md5(string_agg(coalesce(v_row ->> c.name, ''), ' ' order by c.place))
    from unnest(t.column_name || t.scope_columns) with ordinality as c (name, place)
    on conflict (target_id, id_hash) do update set id_hash = g.id_hash;

    v_same := (
        select string_agg(format(' and o.%1$I is not distinct from ($1).%1$I', c.name), '')
        from unnest(t.scope_columns) as c (name)
    );
    execute format(
        $query$
        select o.%1$I::text
        from %2$s o
        where o.%3$I = ($1).%3$I and o.%4$s%5$s
            -- an upsert of what is there is not for us
            and not exists (select from %2$s s where s.%1$I = ($1).%1$I)
        order by o.%6$I, o.%1$I
        limit 1
        $query$,
        t.key_column, t.table_name, t.column_name, t.has_id, v_same, t.first_by
    )
    into v_kept_key
    using new;
    if v_kept_key is null then
        return new;
    end if;
    insert into adopt.removed_rows (target_id, message_id, removed_key, kept_key, removed_row)
    values (t.id, v_row ->> t.column_name, v_row ->> t.key_column, v_kept_key, v_row);
    return null;
end
$$;
revoke all on function adopt.divert_duplicate() from public, anon, authenticated;
comment on function adopt.divert_duplicate() is 'Before a row is inserted into a guarded table: a duplicate goes into the archive instead.';

create or replace function adopt.is_guarded(p_target_id integer)
returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select
        from adopt.targets t
        join pg_catalog.pg_trigger g on g.tgrelid = t.table_name
        where t.id = p_target_id and g.tgname = 'zz_adopt_divert_duplicate_' || t.id
    )
$$;
revoke all on function adopt.is_guarded(integer) from public, anon, authenticated;
comment on function adopt.is_guarded(integer) is 'Whether new duplicates of a target are diverted into the archive.';

create or replace function adopt.guard(p_target_id integer)
returns void
language plpgsql
set search_path = ''
set lock_timeout = '500ms'
as $$
begin
    execute (
        select format(
            -- triggers fire by name: what others fill in is there when ours looks
            'create trigger zz_adopt_divert_duplicate_%1$s before insert on %2$s '
                'for each row execute function adopt.divert_duplicate(%1$s)',
            t.id, t.table_name
        )
        from adopt.targets t
        where t.id = p_target_id
    );
end
$$;
revoke all on function adopt.guard(integer) from public, anon, authenticated;
comment on function adopt.guard(integer) is
    'From now on new duplicates of a target go into the archive, not into the table. Needs an index on the column. Fails after half a second of waiting for writers.';

create or replace function adopt.unguard(p_target_id integer)
returns void
language plpgsql
set search_path = ''
set lock_timeout = '500ms'
as $$
begin
    execute (
        select format('drop trigger zz_adopt_divert_duplicate_%s on %s', t.id, t.table_name)
        from adopt.targets t
        where t.id = p_target_id
    );
    delete from adopt.guarded_ids where target_id = p_target_id;
end
$$;
revoke all on function adopt.unguard(integer) from public, anon, authenticated;
comment on function adopt.unguard(integer) is 'Ends adopt.guard.';

-- ---------------------------------------------------------------------------------------------------------------------
-- making unique
-- ---------------------------------------------------------------------------------------------------------------------

create or replace function adopt.next_step()
returns text
language plpgsql
set search_path = ''
as $$
declare
    t adopt.targets;
    v_schema text;
    v_columns text;
    v_lookup name;
    v_lookup_state text;
    v_state text;
    v_new bigint;
    v_listed bigint;
    v_left bigint;
begin
    for t in select * from adopt.targets order by id
    loop
        if exists (
            select
            from pg_catalog.pg_stat_progress_create_index p
            where p.datname = current_database() and p.relid = t.table_name
        ) then
            raise object_in_use using message = format('another session is just making an index on %s: wait for it', t.table_name);
        end if;
        v_schema := (select c.relnamespace::regnamespace::text from pg_catalog.pg_class c where c.oid = t.table_name);
        v_columns := (select string_agg(format('%I', c.name), ', ') from unnest(t.column_name || t.scope_columns) as c (name));
        v_lookup := replace(t.index_name, '_unique', '_lookup');
        v_lookup_state := (
            select case when i.indisvalid then 'valid' else 'invalid' end
            from pg_catalog.pg_index i
            join pg_catalog.pg_class c on c.oid = i.indexrelid
            where i.indrelid = t.table_name and c.relname = v_lookup
        );
        v_state := adopt.index_state(t.id);

        if v_state = 'invalid' then
            return format('drop index concurrently %s.%I', v_schema, t.index_name);
        elsif v_lookup_state = 'invalid' or (v_lookup_state = 'valid' and v_state = 'valid' and not adopt.is_guarded(t.id)) then
            return format('drop index concurrently %s.%I', v_schema, v_lookup);
        elsif v_state = 'valid' and adopt.is_guarded(t.id) then
            return format('select adopt.unguard(%s)', t.id);
        end if;
        continue when v_state = 'valid';

        if t.vain_steps >= 3 and not adopt.is_guarded(t.id) then
            if v_lookup_state is null then
                return format('create index concurrently %I on %s (%s) where %s', v_lookup, t.table_name, v_columns, t.has_id);
            end if;
            return format('select adopt.guard(%s)', t.id);
        end if;

        select
            count(*) filter (where l.duplicate_key is null),
            count(*) filter (where l.duplicate_key is not null and l.left_because is null),
            count(l.left_because)
        into v_new, v_listed, v_left
        from adopt.duplicate_rows(t.id) d
        left join adopt.duplicates l on l.target_id = t.id and l.duplicate_key = d.duplicate_key;
        if v_new + v_listed > 0 then
            update adopt.targets set vain_steps = vain_steps + 1 where id = t.id and v_new > 0;
            return format('call adopt.remove_duplicates(%s)', t.id);
        elsif v_left > 0 then
            raise unique_violation using
                message = format('%s of the duplicates of %s.%I cannot be removed', v_left, t.table_name, t.column_name),
                hint = 'select * from adopt.duplicates says why. Mend that, then begin again.';
        end if;
        update adopt.targets set vain_steps = vain_steps + 1 where id = t.id;
        return format(
            'create unique index concurrently %I on %s (%s)%s where %s',
            t.index_name, t.table_name, v_columns,
            case when t.scope_columns = '{}' then '' else ' nulls not distinct' end,
            t.has_id
        );
    end loop;
    return null;
end
$$;
revoke all on function adopt.next_step() from public, anon, authenticated;
comment on function adopt.next_step() is
    'The one statement to run next, by itself and outside a transaction, so that all targets become unique; null when they are. '
    'Errors: object_in_use while another session makes an index, unique_violation when what is left cannot be removed.';
