-- The proof: counters recounted from recipients, and what recipients say of themselves from their receipts, independently
-- of the triggers that keep them. A recount and what it is compared with are read in one statement, so traffic does not
-- disturb it; it takes no lock that a writer could wait for, and only auditors wait for one another.

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table public.counter_discrepancies (
    id bigint generated always as identity primary key,
    -- No foreign key: checking it would hold the campaign's row, and whoever settles its last messages, while an audit
    -- goes on. forget_audits removes what a deleted campaign leaves.
    campaign_id uuid not null,
    -- null: a counter of the campaign; else a count of this recipient
    recipient_id uuid,
    counter text not null,
    stored numeric not null,
    actual numeric not null,
    found_at timestamptz not null default now(),
    repaired_at timestamptz,
    constraint stored_differs_from_actual check (stored <> actual)
);
comment on table public.counter_discrepancies is
    'What audits found, and when it was mended, by whomever: repaired_at. Empty, as long as nobody writes counts by hand. '
    'Of a recipient, sent_count is whether it counts as sent (0, 1), cost what its receipts add up to.';
create unique index counter_discrepancies_open
    on public.counter_discrepancies (campaign_id, recipient_id, counter) nulls not distinct
    where repaired_at is null;
create index counter_discrepancies_campaign on public.counter_discrepancies (campaign_id);

create table private.campaign_audits (
    -- no foreign key, as above
    campaign_id uuid primary key,
    audited_at timestamptz not null,
    -- Which version of the campaign's row in campaign_counters the audit saw, null where there was none. Every fold
    -- writes a new version, and so does whoever writes counters by hand; nothing has to be noted when rows change.
    counters_version xid
)
with (fillfactor = 80);
comment on table private.campaign_audits is 'When each campaign was last audited, and what of its counters had been folded by then.';

create table private.audit_runs (
    is_only boolean primary key default true,
    finished_at timestamptz not null,
    constraint there_is_one_row check (is_only)
);
comment on table private.audit_runs is 'One row: when an audit of all campaigns, or of all that had changed, was last through.';

-- ---------------------------------------------------------------------------------------------------------------------
-- one auditor at a time
-- ---------------------------------------------------------------------------------------------------------------------

create function private.lock_audits(p_campaign_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_campaign_id is null then
        perform pg_advisory_xact_lock(hashtextextended('private.campaign_audits', 0));
    else
        perform pg_advisory_xact_lock_shared(hashtextextended('private.campaign_audits', 0));
        perform pg_advisory_xact_lock(hashtextextended(p_campaign_id::text, 0));
    end if;
end
$$;
revoke all on function private.lock_audits(uuid) from public, anon, authenticated;
grant execute on function private.lock_audits(uuid) to service_role;
comment on function private.lock_audits(uuid) is
    'Makes this transaction the only one that audits or repairs a campaign, or any (null): two repairs would both add what is missing, '
    'and of two audits the older snapshot could have the last word.';

-- ---------------------------------------------------------------------------------------------------------------------
-- recounting
-- ---------------------------------------------------------------------------------------------------------------------

-- The next two functions have a parsed body instead of a search path: that pins every name as well, and lets the planner inline them.

create function private.recounted_receipts(p_recipient_id uuid)
returns table (delivered_count bigint, read_count bigint, is_sent boolean, cost numeric)
language sql
stable
begin atomic
    select
        -- sent twice, one person may have two receipts
        count(distinct m.reader) filter (where m.reader <> '' and private.is_delivered(m.reader, m.delivered_at, m.failed_at)),
        count(distinct m.reader) filter (where m.reader <> '' and private.is_read(m.reader, m.read_at, m.failed_at)),
        coalesce(bool_or(
            private.is_delivered(m.reader, m.delivered_at, m.failed_at) or m.anonymous_delivered_count + m.anonymous_read_count > 0
        ), false),
        sum(m.cost)
    from private.message_ids i
    -- `offset 0` keeps the order of the probes; planned as a join, the wrong statistics had it read all receipts for each recipient
    cross join lateral (select * from public.message_receipts o where o.message_id = i.message_id offset 0) m
    where i.recipient_id = p_recipient_id;
end;
revoke all on function private.recounted_receipts(uuid) from public, anon, authenticated;
grant execute on function private.recounted_receipts(uuid) to service_role;
comment on function private.recounted_receipts(uuid) is
    'What the receipts of a recipient''s messages come to: people by whom it was received and read, whether a delivery proves the send, and the cost; null where no receipt names any.';

create function private.recipient_differences(
    p_status public.recipient_status, p_member_count integer, p_delivered_count integer, p_read_count integer,
    p_identified_delivered_count integer, p_identified_read_count integer,
    p_anonymous_delivered_count integer, p_anonymous_read_count integer, p_cost numeric,
    p_people_delivered bigint, p_people_read bigint, p_is_sent boolean, p_receipts_cost numeric
)
returns table (counter text, stored numeric, actual numeric)
language sql
immutable
begin atomic
    select v.counter, v.stored, v.actual
    from (
        select
            private.counted_people(
                p_member_count, p_people_delivered::integer, p_anonymous_delivered_count,
                greatest(p_people_read::integer, p_anonymous_read_count)
            ) as delivered,
            private.counted_people(p_member_count, p_people_read::integer, p_anonymous_read_count) as read
    ) as a
    cross join lateral (
        values
            ('identified_delivered_count', p_identified_delivered_count::numeric, p_people_delivered::numeric),
            ('identified_read_count', p_identified_read_count, p_people_read),
            ('delivered_count', p_delivered_count, a.delivered),
            ('read_count', p_read_count, a.read),
            -- what went out without a receipt is for others to say
            ('sent_count', (p_status = 'sent')::integer, greatest((p_status = 'sent')::integer, p_is_sent::integer)),
            -- a cost that no receipt names was brought along, and is nobody's to recount
            ('cost', coalesce(p_cost, 0), p_receipts_cost)
    ) as v (counter, stored, actual)
    -- nearly all are right, and this says so sooner than six rows
    where (
            p_identified_delivered_count <> p_people_delivered or p_identified_read_count <> p_people_read
            or p_delivered_count <> a.delivered or p_read_count <> a.read
            or (p_is_sent and p_status <> 'sent') or coalesce(p_cost, 0) <> p_receipts_cost
        )
        and v.stored <> v.actual;
end;
revoke all on function private.recipient_differences(
    public.recipient_status, integer, integer, integer, integer, integer, integer, integer, numeric, bigint, bigint, boolean, numeric
) from public, anon, authenticated;
grant execute on function private.recipient_differences(
    public.recipient_status, integer, integer, integer, integer, integer, integer, integer, numeric, bigint, bigint, boolean, numeric
) to service_role;
comment on function private.recipient_differences(
    public.recipient_status, integer, integer, integer, integer, integer, integer, integer, numeric, bigint, bigint, boolean, numeric
) is
    'Where a recipient''s row is not what its receipts come to. Anonymous reports are evidence that is kept nowhere else: they are taken as they stand.';

create function private.recipient_discrepancies(p_campaign_id uuid)
returns table (campaign_id uuid, recipient_id uuid, counter text, stored numeric, actual numeric)
language plpgsql
stable
set search_path = ''
-- from recipient to recipient by index, whatever the statistics say: what other campaigns hold costs nothing
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_memoize = off
as $$
begin
    return query
    select r.campaign_id, r.id, d.counter, d.stored, d.actual
    from public.notification_campaign_recipients r
    cross join lateral private.recounted_receipts(r.id) m
    cross join lateral private.recipient_differences(
        r.status, r.member_count, r.delivered_count, r.read_count, r.identified_delivered_count, r.identified_read_count,
        r.anonymous_delivered_count, r.anonymous_read_count, r.cost, m.delivered_count, m.read_count, m.is_sent, m.cost
    ) d
    where r.campaign_id = p_campaign_id;
end
$$;
revoke all on function private.recipient_discrepancies(uuid) from public, anon, authenticated;
grant execute on function private.recipient_discrepancies(uuid) to service_role;
comment on function private.recipient_discrepancies(uuid) is 'Recipients of a campaign that are not what their receipts say.';

create function private.all_recipient_discrepancies()
returns table (campaign_id uuid, recipient_id uuid, counter text, stored numeric, actual numeric)
language plpgsql
stable
set search_path = ''
-- all at once: this reads everything anyway
set enable_seqscan = on
set work_mem = '32MB'
as $$
begin
    return query
    with messages as (
        select
            m.message_id,
            count(*) filter (where m.reader <> '' and private.is_delivered(m.reader, m.delivered_at, m.failed_at)) as delivered_count,
            count(*) filter (where m.reader <> '' and private.is_read(m.reader, m.read_at, m.failed_at)) as read_count,
            bool_or(
                private.is_delivered(m.reader, m.delivered_at, m.failed_at) or m.anonymous_delivered_count + m.anonymous_read_count > 0
            ) as is_sent,
            sum(m.cost) as cost
        from public.message_receipts m
        group by m.message_id
    ),
    recipients as (
        select
            i.recipient_id,
            sum(m.delivered_count)::bigint as delivered_count,
            sum(m.read_count)::bigint as read_count,
            bool_or(m.is_sent) as is_sent,
            sum(m.cost) as cost
        from messages m
        join private.message_ids i on i.message_id = m.message_id
        where i.recipient_id is not null
        group by i.recipient_id
    ),
    -- the same person may have received both messages
    sent_twice as (
        select t.recipient_id, p.delivered_count, p.read_count
        from (
            select i.recipient_id
            from private.message_ids i
            where i.recipient_id is not null
            group by i.recipient_id
            having count(*) > 1
        ) as t
        cross join lateral private.recounted_receipts(t.recipient_id) p
    )
    select r.campaign_id, r.id, d.counter, d.stored, d.actual
    from public.notification_campaign_recipients r
    left join recipients m on m.recipient_id = r.id
    left join sent_twice t on t.recipient_id = r.id
    cross join lateral private.recipient_differences(
        r.status, r.member_count, r.delivered_count, r.read_count, r.identified_delivered_count, r.identified_read_count,
        r.anonymous_delivered_count, r.anonymous_read_count, r.cost,
        coalesce(t.delivered_count, m.delivered_count, 0), coalesce(t.read_count, m.read_count, 0), coalesce(m.is_sent, false), m.cost
    ) d;
end
$$;
revoke all on function private.all_recipient_discrepancies() from public, anon, authenticated;
grant execute on function private.all_recipient_discrepancies() to service_role;
comment on function private.all_recipient_discrepancies() is 'Recipients of all campaigns that are not what their receipts say, in one pass.';

create type private.campaign_counts as (
    campaign_id uuid,
    total_count bigint,
    pending_count bigint,
    processing_count bigint,
    unconfirmed_count bigint,
    sent_count bigint,
    failed_count bigint,
    skipped_count bigint,
    audience_count bigint,
    reached_count bigint,
    delivered_count bigint,
    read_count bigint,
    cost numeric
);
comment on type private.campaign_counts is 'The counters of a campaign, wherever they come from.';

create function private.recounted_campaigns()
returns setof private.campaign_counts
language sql
stable
-- parsed as well: whoever asks for one campaign has only its rows counted
begin atomic
    select
        r.campaign_id, count(*),
        count(*) filter (where r.status = 'pending'), count(*) filter (where r.status = 'processing'),
        count(*) filter (where r.status = 'unconfirmed'), count(*) filter (where r.status = 'sent'),
        count(*) filter (where r.status = 'failed'), count(*) filter (where r.status = 'skipped'),
        sum(r.member_count), count(*) filter (where r.delivered_count > 0), sum(r.delivered_count), sum(r.read_count), sum(r.cost)
    from public.notification_campaign_recipients r
    group by r.campaign_id;
end;
revoke all on function private.recounted_campaigns() from public, anon, authenticated;
grant execute on function private.recounted_campaigns() to service_role;
comment on function private.recounted_campaigns() is 'What the rows of campaigns come to; no row for one that has no recipients.';

create function private.campaign_differences(p_stored private.campaign_counts, p_actual private.campaign_counts)
returns table (counter text, stored numeric, actual numeric)
language sql
immutable
set search_path = ''
as $$
    select v.counter, coalesce(v.stored, 0), coalesce(v.actual, 0)
    from (
        values
            ('total_count', (p_stored).total_count::numeric, (p_actual).total_count::numeric),
            ('pending_count', (p_stored).pending_count, (p_actual).pending_count),
            ('processing_count', (p_stored).processing_count, (p_actual).processing_count),
            ('unconfirmed_count', (p_stored).unconfirmed_count, (p_actual).unconfirmed_count),
            ('sent_count', (p_stored).sent_count, (p_actual).sent_count),
            ('failed_count', (p_stored).failed_count, (p_actual).failed_count),
            ('skipped_count', (p_stored).skipped_count, (p_actual).skipped_count),
            ('audience_count', (p_stored).audience_count, (p_actual).audience_count),
            ('reached_count', (p_stored).reached_count, (p_actual).reached_count),
            ('delivered_count', (p_stored).delivered_count, (p_actual).delivered_count),
            ('read_count', (p_stored).read_count, (p_actual).read_count),
            ('cost', (p_stored).cost, (p_actual).cost)
    ) as v (counter, stored, actual)
    where coalesce(v.stored, 0) <> coalesce(v.actual, 0)
$$;
revoke all on function private.campaign_differences(private.campaign_counts, private.campaign_counts) from public, anon, authenticated;
grant execute on function private.campaign_differences(private.campaign_counts, private.campaign_counts) to service_role;
comment on function private.campaign_differences(private.campaign_counts, private.campaign_counts) is
    'Counters that are one thing as they are kept and another as they were recounted. Null counts as none.';

create function private.campaign_discrepancies(p_campaign_id uuid)
returns table (campaign_id uuid, counter text, stored numeric, actual numeric)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return query
    select p_campaign_id, d.counter, d.stored, d.actual
    from (
        select r as counts
        from private.recounted_campaigns() r
        where r.campaign_id = p_campaign_id
    ) as a
    -- one of them may be missing
    full join (
        select (
            s.campaign_id, s.total_count, s.pending_count, s.processing_count, s.unconfirmed_count, s.sent_count,
            s.failed_count, s.skipped_count, s.audience_count, s.reached_count, s.delivered_count, s.read_count, s.cost
        )::private.campaign_counts as counts
        from public.notification_campaign_stats s
        where s.campaign_id = p_campaign_id
    ) as s on true
    cross join lateral private.campaign_differences(s.counts, a.counts) d
    -- being deleted, it has rows and no counters; archived, it has counters and no rows
    where exists (select 1 from public.notification_campaigns c where c.id = p_campaign_id and c.archived_at is null);
end
$$;
revoke all on function private.campaign_discrepancies(uuid) from public, anon, authenticated;
grant execute on function private.campaign_discrepancies(uuid) to service_role;
comment on function private.campaign_discrepancies(uuid) is 'Counters of a campaign that are not what its recipients'' rows say.';

create function private.all_campaign_discrepancies()
returns table (campaign_id uuid, counter text, stored numeric, actual numeric)
language plpgsql
stable
set search_path = ''
set enable_seqscan = on
set work_mem = '32MB'
as $$
begin
    return query
    select c.id, d.counter, d.stored, d.actual
    from public.notification_campaigns c
    left join private.recounted_campaigns() a on a.campaign_id = c.id
    left join (
        select
            u.campaign_id,
            (
                u.campaign_id, sum(u.total_count), sum(u.pending_count), sum(u.processing_count), sum(u.unconfirmed_count),
                sum(u.sent_count), sum(u.failed_count), sum(u.skipped_count), sum(u.audience_count), sum(u.reached_count),
                sum(u.delivered_count), sum(u.read_count), sum(u.cost)
            )::private.campaign_counts as counts
        from (
            select
                s.campaign_id, s.total_count, s.pending_count, s.processing_count, s.unconfirmed_count, s.sent_count, s.failed_count,
                s.skipped_count, s.audience_count, s.reached_count, s.delivered_count, s.read_count, s.cost
            from public.campaign_counters s
            union all
            select
                w.campaign_id, w.total_count, w.pending_count, w.processing_count, w.unconfirmed_count, w.sent_count, w.failed_count,
                w.skipped_count, w.audience_count, w.reached_count, w.delivered_count, w.read_count, w.cost
            from private.campaign_counter_deltas w
        ) as u
        group by u.campaign_id
    ) as s on s.campaign_id = c.id
    cross join lateral private.campaign_differences(s.counts, a) d
    where c.archived_at is null;
end
$$;
revoke all on function private.all_campaign_discrepancies() from public, anon, authenticated;
grant execute on function private.all_campaign_discrepancies() to service_role;
comment on function private.all_campaign_discrepancies() is 'Counters of all campaigns that are not what the recipients'' rows say, in one pass.';

create function private.discrepancies(p_campaign_id uuid)
returns table (campaign_id uuid, recipient_id uuid, counter text, stored numeric, actual numeric)
language plpgsql
-- stable: sees what the statement that calls it sees, in every part
stable
set search_path = ''
as $$
begin
    if p_campaign_id is null then
        return query
        select d.campaign_id, null::uuid, d.counter, d.stored, d.actual from private.all_campaign_discrepancies() d
        union all
        select d.campaign_id, d.recipient_id, d.counter, d.stored, d.actual from private.all_recipient_discrepancies() d;
    else
        return query
        select d.campaign_id, null::uuid, d.counter, d.stored, d.actual from private.campaign_discrepancies(p_campaign_id) d
        union all
        select d.campaign_id, d.recipient_id, d.counter, d.stored, d.actual from private.recipient_discrepancies(p_campaign_id) d;
    end if;
end
$$;
revoke all on function private.discrepancies(uuid) from public, anon, authenticated;
grant execute on function private.discrepancies(uuid) to service_role;
comment on function private.discrepancies(uuid) is 'Everything that differs in one campaign, or in all (null), in one snapshot.';

-- ---------------------------------------------------------------------------------------------------------------------
-- auditing
-- ---------------------------------------------------------------------------------------------------------------------

create function private.audit(p_campaign_id uuid)
returns setof public.counter_discrepancies
language plpgsql
set search_path = ''
-- planned for one campaign or for all, whichever it is
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
as $$
begin
    return query
    with found as materialized (
        select f.campaign_id, f.recipient_id, f.counter, f.stored, f.actual
        from private.discrepancies(p_campaign_id) f
    ),
    audited as (
        insert into private.campaign_audits as a (campaign_id, audited_at, counters_version)
        select c.id, clock_timestamp(), s.xmin
        from public.notification_campaigns c
        left join public.campaign_counters s on s.campaign_id = c.id
        where p_campaign_id is null or c.id = p_campaign_id
        on conflict (campaign_id) do update set
            audited_at = excluded.audited_at,
            counters_version = excluded.counters_version
    ),
    closed as (
        update public.counter_discrepancies d
        set repaired_at = clock_timestamp()
        where d.repaired_at is null
            and (p_campaign_id is null or d.campaign_id = p_campaign_id)
            and not exists (
                select 1
                from found f
                where f.campaign_id = d.campaign_id
                    and f.counter = d.counter
                    -- null is a value here, and can be hashed like this
                    and coalesce(f.recipient_id::text, '') = coalesce(d.recipient_id::text, '')
            )
    )
    insert into public.counter_discrepancies as d (campaign_id, recipient_id, counter, stored, actual)
    select f.campaign_id, f.recipient_id, f.counter, f.stored, f.actual
    from found f
    on conflict (campaign_id, recipient_id, counter) where repaired_at is null do update set
        stored = excluded.stored,
        actual = excluded.actual
    returning d.*;
end
$$;
revoke all on function private.audit(uuid) from public, anon, authenticated;
grant execute on function private.audit(uuid) to service_role;
comment on function private.audit(uuid) is
    'One statement: recounts a campaign, or all (null), notes what differs, closes what no longer does, and notes what it saw. The caller holds lock_audits.';

create function private.note_audit_run()
returns void
language sql
set search_path = ''
as $$
    -- nobody can mend what is gone
    delete from public.counter_discrepancies d
    where d.repaired_at is null
        and not exists (select 1 from public.notification_campaigns c where c.id = d.campaign_id);
    insert into private.audit_runs as r (finished_at)
    values (clock_timestamp())
    on conflict (is_only) do update set finished_at = excluded.finished_at;
$$;
revoke all on function private.note_audit_run() from public, anon, authenticated;
grant execute on function private.note_audit_run() to service_role;
comment on function private.note_audit_run() is 'Notes that an audit of all, or of all that had changed, is through, and forgets what it found in campaigns that are gone.';

create function private.last_audit_at()
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select r.finished_at from private.audit_runs r
$$;
revoke all on function private.last_audit_at() from public, anon, authenticated;
grant execute on function private.last_audit_at() to service_role;
comment on function private.last_audit_at() is
    'When an audit of all campaigns, or of those that had changed, was last through, also if nothing had; null: never. Audits of one campaign do not count.';

create function public.audit_campaign_counters(p_campaign_id uuid default null)
returns setof public.counter_discrepancies
language plpgsql
set search_path = ''
as $$
begin
    perform private.lock_audits(p_campaign_id);
    return query select d.* from private.audit(p_campaign_id) d;
    if p_campaign_id is null then
        -- of campaigns that were deleted while they were audited
        delete from private.campaign_audits a
        where not exists (select 1 from public.notification_campaigns c where c.id = a.campaign_id);
        delete from public.counter_discrepancies d
        where not exists (select 1 from public.notification_campaigns c where c.id = d.campaign_id);
        perform private.note_audit_run();
    end if;
end
$$;
revoke all on function public.audit_campaign_counters(uuid) from public, anon, authenticated;
grant execute on function public.audit_campaign_counters(uuid) to service_role;
comment on function public.audit_campaign_counters(uuid) is
    'Recounts one campaign, or all (null), from rows and receipts; notes and answers what differs, and closes what was noted and no longer differs. '
    'Costs as much as the campaign is large, and holds no writer up. Caller: an operator, a nightly job.';

create function private.changed_campaigns()
returns table (campaign_id uuid, audited_at timestamptz)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    -- What an audit did not see was not committed when it began. Then its delta is either still there, or a fold that
    -- began after that commit took it and wrote another version of the counters than the audit saw. No clock decides.
    return query
    select c.id, a.audited_at
    from public.notification_campaigns c
    left join private.campaign_audits a on a.campaign_id = c.id
    left join public.campaign_counters s on s.campaign_id = c.id
    where a.campaign_id is null
        or a.counters_version is distinct from s.xmin
        or exists (select 1 from private.campaign_counter_deltas w where w.campaign_id = c.id)
        -- was it mended since?
        or exists (select 1 from public.counter_discrepancies d where d.campaign_id = c.id and d.repaired_at is null);
end
$$;
revoke all on function private.changed_campaigns() from public, anon, authenticated;
grant execute on function private.changed_campaigns() to service_role;
comment on function private.changed_campaigns() is
    'Campaigns whose counters changed since their last audit (null: never audited), or that differed then. What is changed with triggers switched off leaves no trace here: '
    'that is for the audit of all.';

create function public.audit_changed_campaigns(p_limit integer default 100, p_time_limit interval default '20 seconds')
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_started_at timestamptz := clock_timestamp();
    v_changed uuid[];
    v_campaign_id uuid;
    v_audited integer := 0;
    v_discrepancies integer := 0;
begin
    -- each is locked until the end, and the server keeps room for some thousand locks
    if p_limit is null or p_limit not between 1 and 1000 then
        raise invalid_parameter_value using
            message = format('p_limit must be the number of campaigns to audit at most, from 1 to 1000, not %s', coalesce(p_limit::text, 'null'));
    end if;
    if p_time_limit is null or p_time_limit <= interval '0' then
        raise invalid_parameter_value using
            message = format('p_time_limit must be a positive interval, not %s', coalesce(p_time_limit::text, 'null'));
    end if;
    -- one at a time, and none beside an audit or a repair of all; whoever comes second has nothing to add
    if not pg_try_advisory_xact_lock(hashtextextended('public.audit_changed_campaigns', 0))
        or not pg_try_advisory_xact_lock_shared(hashtextextended('private.campaign_audits', 0))
    then
        return jsonb_build_object('audited', 0, 'discrepancies', 0, 'remaining', 0);
    end if;

    v_changed := array(select c.campaign_id from private.changed_campaigns() c order by c.audited_at nulls first, c.campaign_id);
    foreach v_campaign_id in array v_changed
    loop
        -- the first is audited however long it takes, or a large one would never be
        exit when v_audited > 0 and (v_audited >= p_limit or clock_timestamp() - v_started_at >= p_time_limit);
        -- a person is at it
        continue when not pg_try_advisory_xact_lock(hashtextextended(v_campaign_id::text, 0));
        v_discrepancies := v_discrepancies + (select count(*) from private.audit(v_campaign_id));
        v_audited := v_audited + 1;
    end loop;
    perform private.note_audit_run();
    return jsonb_build_object(
        'audited', v_audited,
        'discrepancies', v_discrepancies,
        'remaining', cardinality(v_changed) - v_audited
    );
end
$$;
revoke all on function public.audit_changed_campaigns(integer, interval) from public, anon, authenticated;
grant execute on function public.audit_changed_campaigns(integer, interval) to service_role;
comment on function public.audit_changed_campaigns(integer, interval) is
    'Audits campaigns that changed since their last audit, the longest unaudited first, until p_limit of them or p_time_limit is reached: each in a snapshot of its own, while traffic goes on. '
    'Answers {audited, discrepancies, remaining}; zeros while another one is at it. Error: 22023 for limits that are none (p_limit: 1 to 1000). Caller: a timer, every few minutes.';

-- ---------------------------------------------------------------------------------------------------------------------
-- repairing
-- ---------------------------------------------------------------------------------------------------------------------

create function private.mend_recipients(p_recipient_ids uuid[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    -- whoever holds one of them is through before the next statement looks, and nobody changes one after
    v_locked uuid[] := array(
        select r.id
        from public.notification_campaign_recipients r
        where r.id = any (p_recipient_ids)
        order by r.id
        for no key update
    );
begin
    -- a change of rows like any other: their campaigns' counters follow
    update public.notification_campaign_recipients r
    set identified_delivered_count = m.delivered_count,
        identified_read_count = m.read_count,
        read_count = private.counted_people(r.member_count, m.read_count::integer, r.anonymous_read_count),
        delivered_count = private.counted_people(
            r.member_count, m.delivered_count::integer, r.anonymous_delivered_count,
            greatest(m.read_count::integer, r.anonymous_read_count)
        ),
        cost = coalesce(m.cost, r.cost),
        updated_at = now()
    from unnest(v_locked) as l (id)
    cross join lateral private.recounted_receipts(l.id) m
    where r.id = l.id;

    update public.notification_campaign_recipients r
    set status = 'sent',
        lease_expires_at = null,
        error_code = null,
        error_message = null,
        failure_class = null
    where r.id = any (v_locked) and r.status <> 'sent' and (select m.is_sent from private.recounted_receipts(r.id) m);
end
$$;
revoke all on function private.mend_recipients(uuid[]) from public, anon, authenticated;
grant execute on function private.mend_recipients(uuid[]) to service_role;
comment on function private.mend_recipients(uuid[]) is 'Makes recipients what their receipts say. Locks them in id order.';

create function public.repair_campaign_counters(p_campaign_id uuid default null)
returns setof public.counter_discrepancies
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
    v_found bigint[];
    v_mended record;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise invalid_transaction_state using
            message = 'counters cannot be repaired in one snapshot',
            hint = 'Call it in a transaction of the isolation level read committed: it must see what others commit meanwhile.';
    end if;
    perform private.lock_audits(p_campaign_id);
    v_found := array(select d.id from private.audit(p_campaign_id) d);
    if v_found = '{}' then
        return;
    end if;

    perform private.mend_recipients(array(
        select distinct d.recipient_id
        from public.counter_discrepancies d
        where d.id = any (v_found) and d.recipient_id is not null
    ));

    -- What a counter lacks is appended like any other delta. It was computed in this very statement's snapshot, so what
    -- others commit meanwhile brings its own deltas and stays right.
    insert into private.campaign_counter_deltas (
        campaign_id, organization_id, total_count, pending_count, processing_count, unconfirmed_count,
        sent_count, failed_count, skipped_count, audience_count, reached_count, delivered_count, read_count, cost
    )
    select
        c.id,
        c.organization_id,
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'total_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'pending_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'processing_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'unconfirmed_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'sent_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'failed_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'skipped_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'audience_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'reached_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'delivered_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'read_count'), 0),
        coalesce(sum(f.actual - f.stored) filter (where f.counter = 'cost'), 0)
    from (
        select d.* from private.all_campaign_discrepancies() d where p_campaign_id is null
        union all
        select d.* from private.campaign_discrepancies(p_campaign_id) d where p_campaign_id is not null
    ) as f
    join public.notification_campaigns c on c.id = f.campaign_id
    group by c.id;

    -- whether it is mended is for another audit to say: it closes what no longer differs
    perform 1 from private.audit(p_campaign_id);

    for v_mended in
        select
            d.campaign_id,
            count(*) filter (where d.repaired_at is not null) as mended_count,
            count(*) filter (where d.repaired_at is null) as left_count,
            count(*) filter (where d.recipient_id is not null) as of_recipients,
            string_agg(format('%s %s to %s', d.counter, d.stored, d.actual), ', ' order by d.id) filter (where d.recipient_id is null)
                as of_campaign
        from public.counter_discrepancies d
        where d.id = any (v_found)
        group by d.campaign_id
        order by d.campaign_id
    loop
        raise log 'counters of campaign % repaired: % mended, % left; %; % counts of recipients',
            v_mended.campaign_id, v_mended.mended_count, v_mended.left_count, coalesce(v_mended.of_campaign, 'none of its own'),
            v_mended.of_recipients;
    end loop;
    return query select d.* from public.counter_discrepancies d where d.id = any (v_found) order by d.id;
end
$$;
revoke all on function public.repair_campaign_counters(uuid) from public, anon, authenticated;
grant execute on function public.repair_campaign_counters(uuid) to service_role;
comment on function public.repair_campaign_counters(uuid) is
    'Audits one campaign, or all (null), and mends what differs: recipients from their receipts, counters from the rows. Answers what it found, with repaired_at where it is mended, '
    'and leaves a line for each campaign in the server''s log. Safe under traffic. Error: 25000 above read committed. Caller: an operator.';

-- ---------------------------------------------------------------------------------------------------------------------
-- triggers, grants and policies
-- ---------------------------------------------------------------------------------------------------------------------

create function private.forget_audits()
returns trigger
language plpgsql
-- definer because whoever may delete a campaign may not write what was found in it
security definer
set search_path = ''
as $$
begin
    -- what an auditor is at is left to the next audit: nobody waits for one
    delete from private.campaign_audits a
    where a.campaign_id = any (array(
        select l.campaign_id from private.campaign_audits l join old_rows o on o.id = l.campaign_id for update of l skip locked
    ));
    delete from public.counter_discrepancies d
    where d.id = any (array(
        select l.id from public.counter_discrepancies l join old_rows o on o.id = l.campaign_id for update of l skip locked
    ));
    return null;
end
$$;
revoke all on function private.forget_audits() from public, anon, authenticated;
comment on function private.forget_audits() is 'After campaigns were deleted: what was found in them goes too.';
create trigger forget_audits after delete on public.notification_campaigns
    referencing old table as old_rows
    for each statement execute function private.forget_audits();

alter table private.campaign_audits enable row level security;
revoke all on private.campaign_audits from public, anon, authenticated;
grant all on private.campaign_audits to service_role;

alter table private.audit_runs enable row level security;
revoke all on private.audit_runs from public, anon, authenticated;
grant all on private.audit_runs to service_role;

alter table public.counter_discrepancies enable row level security;
revoke all on public.counter_discrepancies from anon, authenticated;
revoke all on sequence public.counter_discrepancies_id_seq from anon, authenticated;
grant select on public.counter_discrepancies to authenticated;
grant all on public.counter_discrepancies to service_role;
create policy "members read the discrepancies of their campaigns" on public.counter_discrepancies
    for select to authenticated
    using (exists (
        select 1
        from public.notification_campaigns c
        where c.id = campaign_id and c.organization_id in (select private.readable_organization_ids())
    ));
