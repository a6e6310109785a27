-- Counters. Nobody increments one: statement-level triggers turn changed recipient rows into deltas, in the same
-- transaction, whoever changed them. A delta is appended, never updated, so a campaign that takes all the traffic
-- has no hot row. In the background deltas are folded into a snapshot; a reader sums both in one statement.
-- Exactness never depends on when, or whether, the folding happens.

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table public.campaign_counters (
    -- no foreign key here or below: checking one would lock the campaign's row on every receipt
    campaign_id uuid primary key,
    organization_id uuid not null,
    total_count bigint not null,
    pending_count bigint not null,
    processing_count bigint not null,
    unconfirmed_count bigint not null,
    sent_count bigint not null,
    failed_count bigint not null,
    skipped_count bigint not null,
    audience_count bigint not null,
    reached_count bigint not null,
    delivered_count bigint not null,
    read_count bigint not null,
    cost numeric not null,
    folded_at timestamptz not null default now()
)
with (fillfactor = 50);
comment on table public.campaign_counters is
    'The counters of a campaign as of the last fold: a recent value, and a signal for Realtime that they changed. The exact ones are in notification_campaign_stats.';

create table private.campaign_counter_deltas (
    campaign_id uuid not null,
    organization_id uuid not null,
    total_count bigint not null,
    pending_count bigint not null,
    processing_count bigint not null,
    unconfirmed_count bigint not null,
    sent_count bigint not null,
    failed_count bigint not null,
    skipped_count bigint not null,
    audience_count bigint not null,
    reached_count bigint not null,
    delivered_count bigint not null,
    read_count bigint not null,
    cost numeric not null
)
with (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000
);
comment on table private.campaign_counter_deltas is 'Changes of counters that are not folded yet. Append-only; fold_campaign_counters deletes.';
create index campaign_counter_deltas_campaign on private.campaign_counter_deltas (campaign_id);

-- ---------------------------------------------------------------------------------------------------------------------
-- finalizing
-- ---------------------------------------------------------------------------------------------------------------------

create function private.has_open_recipients(p_campaign_id uuid)
returns boolean
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return exists (
            select 1
            from public.notification_campaign_recipients r
            where r.campaign_id = p_campaign_id and r.status = 'pending'
        )
        or exists (
            select 1
            from public.notification_campaign_recipients r
            where r.campaign_id = p_campaign_id and r.status in ('processing', 'unconfirmed')
        );
end
$$;
revoke all on function private.has_open_recipients(uuid) from public, anon, authenticated;
grant execute on function private.has_open_recipients(uuid) to service_role;
comment on function private.has_open_recipients(uuid) is 'Whether anything of a campaign is still to be settled: two index probes.';

create function private.has_many_open_recipients(p_campaign_id uuid)
returns boolean
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    -- offsets written out: a parameter would be planned as a tenth of the table
    return exists (
            select 1
            from public.notification_campaign_recipients r
            where r.campaign_id = p_campaign_id and r.status = 'pending'
            offset 64
        )
        or exists (
            select 1
            from public.notification_campaign_recipients r
            where r.campaign_id = p_campaign_id and r.status in ('processing', 'unconfirmed')
            offset 64
        );
end
$$;
revoke all on function private.has_many_open_recipients(uuid) from public, anon, authenticated;
grant execute on function private.has_many_open_recipients(uuid) to service_role;
comment on function private.has_many_open_recipients(uuid) is
    'Whether more than 64 recipients of a campaign are pending, or more than 64 being sent: reads 65 index entries, counts nothing.';

create function private.reopening_key(p_campaign_id uuid)
returns bigint
language sql
immutable
return hashtextextended('public.notification_campaigns ' || p_campaign_id::text, 0);
revoke all on function private.reopening_key(uuid) from public, anon, authenticated;
grant execute on function private.reopening_key(uuid) to service_role;
comment on function private.reopening_key(uuid) is
    'The advisory lock of a campaign that is shared by those who give it open recipients and taken alone by the one who completes it.';

create function private.finalize_campaign(p_campaign_id uuid)
returns boolean
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    -- The last messages of a campaign may be settled by several transactions at once, each of which still sees the
    -- others' rows as open. So whoever sees few open rows queues for the campaign's row and looks again: the last in the
    -- queue sees what all the others committed. No stronger lock than this: foreign keys share the row with it, and whoever
    -- settles may have had one checked already, so that two of them would each wait for the other's.
    if private.has_many_open_recipients(p_campaign_id) then
        return false;
    end if;
    perform 1
    from public.notification_campaigns c
    where c.id = p_campaign_id and c.status = 'processing'
    for no key update;
    if not found or private.has_open_recipients(p_campaign_id) then
        return false;
    end if;
    -- Somebody is adding recipients: they keep it open, and whoever settles them completes it. Nobody is waited for here.
    if not pg_try_advisory_xact_lock(private.reopening_key(p_campaign_id)) then
        return false;
    end if;
    update public.notification_campaigns c
    set status = 'completed'
    where c.id = p_campaign_id
        and c.status = 'processing'
        -- looked at anew: what they added before we held the key is seen
        and not private.has_open_recipients(p_campaign_id)
        -- an empty campaign waits for its recipients
        and exists (select 1 from public.notification_campaign_recipients r where r.campaign_id = p_campaign_id);
    return found;
end
$$;
revoke all on function private.finalize_campaign(uuid) from public, anon, authenticated;
grant execute on function private.finalize_campaign(uuid) to service_role;
comment on function private.finalize_campaign(uuid) is 'Completes a processing campaign of which nothing is open. True if this call did it.';

create function public.finalize_campaigns()
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_campaign_id uuid;
    v_completed integer := 0;
begin
    for v_campaign_id in
        select c.id
        from public.notification_campaigns c
        where c.status = 'processing' and not private.has_open_recipients(c.id)
        order by c.id
    loop
        if private.finalize_campaign(v_campaign_id) then
            v_completed := v_completed + 1;
        end if;
    end loop;
    return v_completed;
end
$$;
revoke all on function public.finalize_campaigns() from public, anon, authenticated;
grant execute on function public.finalize_campaigns() to service_role;
comment on function public.finalize_campaigns() is
    'Completes every processing campaign of which nothing is open; answers how many. Campaigns complete by themselves when their last row settles: '
    'this sweeps up what a crash, a resume or an import that was rolled back left behind. Caller: process-notification-campaigns.';

-- ---------------------------------------------------------------------------------------------------------------------
-- from rows to deltas
-- ---------------------------------------------------------------------------------------------------------------------

create type private.recipient_change as (
    campaign_id uuid,
    status public.recipient_status,
    -- rows that came into this status less rows that left it, and what they carry, likewise
    row_count bigint,
    member_count bigint,
    reached_count bigint,
    delivered_count bigint,
    read_count bigint,
    cost numeric
);
comment on type private.recipient_change is 'What changed rows of one campaign and status mean for its counters.';

create function private.append_counter_deltas(p_changes private.recipient_change[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_reopened uuid[];
    v_settled uuid[];
    v_campaign_id uuid;
begin
    with changed as (
        select
            c.campaign_id,
            sum(c.row_count) as total_count,
            coalesce(sum(c.row_count) filter (where c.status = 'pending'), 0) as pending_count,
            coalesce(sum(c.row_count) filter (where c.status = 'processing'), 0) as processing_count,
            coalesce(sum(c.row_count) filter (where c.status = 'unconfirmed'), 0) as unconfirmed_count,
            coalesce(sum(c.row_count) filter (where c.status = 'sent'), 0) as sent_count,
            coalesce(sum(c.row_count) filter (where c.status = 'failed'), 0) as failed_count,
            coalesce(sum(c.row_count) filter (where c.status = 'skipped'), 0) as skipped_count,
            sum(c.member_count) as audience_count,
            sum(c.reached_count) as reached_count,
            sum(c.delivered_count) as delivered_count,
            sum(c.read_count) as read_count,
            sum(c.cost) as cost
        from unnest(p_changes) c
        group by c.campaign_id
    ),
    appended as (
        insert into private.campaign_counter_deltas (
            campaign_id, organization_id, total_count, pending_count, processing_count, unconfirmed_count,
            sent_count, failed_count, skipped_count, audience_count, reached_count, delivered_count, read_count, cost
        )
        select
            d.campaign_id, c.organization_id, d.total_count, d.pending_count, d.processing_count, d.unconfirmed_count,
            d.sent_count, d.failed_count, d.skipped_count, d.audience_count, d.reached_count, d.delivered_count,
            d.read_count, d.cost
        from changed d
        -- gone when the campaign itself is being deleted
        join public.notification_campaigns c on c.id = d.campaign_id
        where (
            d.total_count, d.pending_count, d.processing_count, d.unconfirmed_count, d.sent_count, d.failed_count,
            d.skipped_count, d.audience_count, d.reached_count, d.delivered_count, d.read_count, d.cost
        ) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        returning campaign_id, pending_count + processing_count + unconfirmed_count as open_count
    )
    select
        array_agg(a.campaign_id order by a.campaign_id) filter (where a.open_count > 0),
        array_agg(a.campaign_id order by a.campaign_id) filter (where a.open_count < 0)
    into v_reopened, v_settled
    from appended a;

    if v_reopened is not null then
        -- there is something to send again: recipients were added, or failed ones are to be retried; whoever is just completing
        -- the campaign is waited for
        foreach v_campaign_id in array v_reopened
        loop
            perform pg_advisory_xact_lock_shared(private.reopening_key(v_campaign_id));
        end loop;
        update public.notification_campaigns c
        set status = 'processing'
        where c.id = any (v_reopened) and c.status = 'completed';
    end if;
    if v_settled is not null then
        foreach v_campaign_id in array v_settled
        loop
            perform private.finalize_campaign(v_campaign_id);
        end loop;
    end if;
end
$$;
revoke all on function private.append_counter_deltas(private.recipient_change[]) from public, anon, authenticated;
comment on function private.append_counter_deltas(private.recipient_change[]) is
    'Appends one delta per campaign for changed recipient rows, reopens a completed campaign that got open rows, finalizes one whose last row settled.';

create function private.count_inserted_recipients()
returns trigger
language plpgsql
-- definer because whoever may write a recipient may not write counters; it does what the changed rows say and no more
security definer
set search_path = ''
as $$
begin
    perform private.append_counter_deltas(array(
        select (
            n.campaign_id, n.status, count(*), coalesce(sum(n.member_count), 0), count(*) filter (where n.delivered_count > 0),
            sum(n.delivered_count), sum(n.read_count), coalesce(sum(n.cost), 0)
        )::private.recipient_change
        from new_rows n
        group by n.campaign_id, n.status
    ));
    return null;
end
$$;
revoke all on function private.count_inserted_recipients() from public, anon, authenticated;
comment on function private.count_inserted_recipients() is 'After recipients were inserted: their counters.';
create trigger count_inserted_recipients after insert on public.notification_campaign_recipients
    referencing new table as new_rows
    for each statement execute function private.count_inserted_recipients();

create function private.count_updated_recipients()
returns trigger
language plpgsql
-- definer because whoever may write a recipient may not write counters; it does what the changed rows say and no more
security definer
set search_path = ''
as $$
begin
    perform private.append_counter_deltas(array(
        select (
            n.campaign_id, n.status, count(*), coalesce(sum(n.member_count), 0), count(*) filter (where n.delivered_count > 0),
            sum(n.delivered_count), sum(n.read_count), coalesce(sum(n.cost), 0)
        )::private.recipient_change
        from new_rows n
        group by n.campaign_id, n.status
        union all
        select (
            o.campaign_id, o.status, -count(*), -coalesce(sum(o.member_count), 0), -count(*) filter (where o.delivered_count > 0),
            -sum(o.delivered_count), -sum(o.read_count), -coalesce(sum(o.cost), 0)
        )::private.recipient_change
        from old_rows o
        group by o.campaign_id, o.status
    ));
    return null;
end
$$;
revoke all on function private.count_updated_recipients() from public, anon, authenticated;
comment on function private.count_updated_recipients() is 'After recipients were updated: what that changed in their counters.';
create trigger count_updated_recipients after update on public.notification_campaign_recipients
    referencing old table as old_rows new table as new_rows
    for each statement execute function private.count_updated_recipients();

create function private.count_deleted_recipients()
returns trigger
language plpgsql
-- definer because whoever may delete a recipient may not write counters; it does what the changed rows say and no more
security definer
set search_path = ''
as $$
begin
    perform private.append_counter_deltas(array(
        select (
            o.campaign_id, o.status, -count(*), -coalesce(sum(o.member_count), 0), -count(*) filter (where o.delivered_count > 0),
            -sum(o.delivered_count), -sum(o.read_count), -coalesce(sum(o.cost), 0)
        )::private.recipient_change
        from old_rows o
        group by o.campaign_id, o.status
        -- the counters of an archived campaign outlive its recipients; one that is gone has none
        having (select c.archived_at is null from public.notification_campaigns c where c.id = o.campaign_id)
    ));
    return null;
end
$$;
revoke all on function private.count_deleted_recipients() from public, anon, authenticated;
comment on function private.count_deleted_recipients() is 'After recipients were deleted: their counters, unless their campaign is archived.';
create trigger count_deleted_recipients after delete on public.notification_campaign_recipients
    referencing old table as old_rows
    for each statement execute function private.count_deleted_recipients();

create function private.forget_counters()
returns trigger
language plpgsql
-- definer because the campaigns and recipients may be removed by those who may not write counters
security definer
set search_path = ''
as $$
begin
    if tg_op = 'TRUNCATE' then
        delete from private.campaign_counter_deltas;
        delete from public.campaign_counters;
    else
        delete from private.campaign_counter_deltas d using old_rows o where d.campaign_id = o.id;
        delete from public.campaign_counters s using old_rows o where s.campaign_id = o.id;
    end if;
    return null;
end
$$;
revoke all on function private.forget_counters() from public, anon, authenticated;
comment on function private.forget_counters() is 'After campaigns were deleted or all recipients truncated: their counters go with them.';
create trigger forget_counters after delete on public.notification_campaigns
    referencing old table as old_rows
    for each statement execute function private.forget_counters();
create trigger forget_all_counters after truncate on public.notification_campaign_recipients
    for each statement execute function private.forget_counters();

-- ---------------------------------------------------------------------------------------------------------------------
-- folding
-- ---------------------------------------------------------------------------------------------------------------------

create function public.fold_campaign_counters()
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
    v_folded integer;
begin
    -- one folder at a time; whoever comes second has nothing to add
    if not pg_try_advisory_xact_lock(hashtextextended('private.campaign_counter_deltas', 0)) then
        return 0;
    end if;
    with taken as (
        delete from private.campaign_counter_deltas d
        where d.ctid = any (array(select t.ctid from private.campaign_counter_deltas t limit 20000))
        returning d.*
    ),
    folded as (
        select
            t.campaign_id,
            count(*) as rows_count,
            sum(t.total_count) as total_count,
            sum(t.pending_count) as pending_count,
            sum(t.processing_count) as processing_count,
            sum(t.unconfirmed_count) as unconfirmed_count,
            sum(t.sent_count) as sent_count,
            sum(t.failed_count) as failed_count,
            sum(t.skipped_count) as skipped_count,
            sum(t.audience_count) as audience_count,
            sum(t.reached_count) as reached_count,
            sum(t.delivered_count) as delivered_count,
            sum(t.read_count) as read_count,
            sum(t.cost) as cost
        from taken t
        group by t.campaign_id
    ),
    written as (
        insert into public.campaign_counters as s (
            campaign_id, organization_id, total_count, pending_count, processing_count, unconfirmed_count,
            sent_count, failed_count, skipped_count, audience_count, reached_count, delivered_count, read_count, cost
        )
        select
            -- of today, should the campaign have moved
            f.campaign_id, c.organization_id, f.total_count, f.pending_count, f.processing_count, f.unconfirmed_count,
            f.sent_count, f.failed_count, f.skipped_count, f.audience_count, f.reached_count, f.delivered_count,
            f.read_count, f.cost
        from folded f
        -- gone when the campaign was deleted meanwhile
        join public.notification_campaigns c on c.id = f.campaign_id
        order by f.campaign_id
        on conflict (campaign_id) do update set
            organization_id = excluded.organization_id,
            total_count = s.total_count + excluded.total_count,
            pending_count = s.pending_count + excluded.pending_count,
            processing_count = s.processing_count + excluded.processing_count,
            unconfirmed_count = s.unconfirmed_count + excluded.unconfirmed_count,
            sent_count = s.sent_count + excluded.sent_count,
            failed_count = s.failed_count + excluded.failed_count,
            skipped_count = s.skipped_count + excluded.skipped_count,
            audience_count = s.audience_count + excluded.audience_count,
            reached_count = s.reached_count + excluded.reached_count,
            delivered_count = s.delivered_count + excluded.delivered_count,
            read_count = s.read_count + excluded.read_count,
            cost = s.cost + excluded.cost,
            folded_at = now()
    )
    select coalesce(sum(f.rows_count), 0) into v_folded from folded f;
    return v_folded;
end
$$;
revoke all on function public.fold_campaign_counters() from public, anon, authenticated;
grant execute on function public.fold_campaign_counters() to service_role;
comment on function public.fold_campaign_counters() is
    'Folds up to 20,000 counter deltas into the snapshot; answers how many. Counters read the same before and after. '
    'Caller: process-notification-campaigns, and now and then the rpcs that append.';

-- ---------------------------------------------------------------------------------------------------------------------
-- reading
-- ---------------------------------------------------------------------------------------------------------------------

create view public.notification_campaign_stats
with (security_invoker = true)
as
    select
        c.id as campaign_id,
        k.total_count,
        k.pending_count,
        k.processing_count,
        k.unconfirmed_count,
        k.sent_count,
        k.failed_count,
        k.skipped_count,
        k.audience_count,
        k.reached_count,
        k.delivered_count,
        k.read_count,
        k.cost,
        -- rounded down, so that 100 means that nothing is open
        coalesce(floor(100.0 * (k.sent_count + k.failed_count + k.skipped_count) / nullif(k.total_count, 0)), 0)::integer
            as progress
    from public.notification_campaigns c
    cross join lateral (
        select
            coalesce(sum(u.total_count), 0)::bigint as total_count,
            coalesce(sum(u.pending_count), 0)::bigint as pending_count,
            coalesce(sum(u.processing_count), 0)::bigint as processing_count,
            coalesce(sum(u.unconfirmed_count), 0)::bigint as unconfirmed_count,
            coalesce(sum(u.sent_count), 0)::bigint as sent_count,
            coalesce(sum(u.failed_count), 0)::bigint as failed_count,
            coalesce(sum(u.skipped_count), 0)::bigint as skipped_count,
            coalesce(sum(u.audience_count), 0)::bigint as audience_count,
            coalesce(sum(u.reached_count), 0)::bigint as reached_count,
            coalesce(sum(u.delivered_count), 0)::bigint as delivered_count,
            coalesce(sum(u.read_count), 0)::bigint as read_count,
            coalesce(sum(u.cost), 0) as cost
        from (
            select
                s.total_count, s.pending_count, s.processing_count, s.unconfirmed_count, s.sent_count, s.failed_count,
                s.skipped_count, s.audience_count, s.reached_count, s.delivered_count, s.read_count, s.cost
            from public.campaign_counters s
            where s.campaign_id = c.id
            union all
            select
                d.total_count, d.pending_count, d.processing_count, d.unconfirmed_count, d.sent_count, d.failed_count,
                d.skipped_count, d.audience_count, d.reached_count, d.delivered_count, d.read_count, d.cost
            from private.campaign_counter_deltas d
            where d.campaign_id = c.id
        ) as u
    ) as k;
comment on view public.notification_campaign_stats is
    'The counters of every campaign the caller may see. total = pending + processing + unconfirmed + sent + failed + skipped, always. '
    'audience: known members of all recipients; reached: recipients with at least one delivery; delivered and read: people; progress: 0 to 100, 100 only when nothing is open.';
revoke all on public.notification_campaign_stats from public, anon, authenticated;
grant select on public.notification_campaign_stats to authenticated, service_role;

-- ---------------------------------------------------------------------------------------------------------------------
-- grants and policies
-- ---------------------------------------------------------------------------------------------------------------------

alter table public.campaign_counters enable row level security;
revoke all on public.campaign_counters from anon, authenticated;
grant select on public.campaign_counters to authenticated;
grant all on public.campaign_counters to service_role;
create policy "members read the counters of their campaigns" on public.campaign_counters
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));

alter table private.campaign_counter_deltas enable row level security;
revoke all on private.campaign_counter_deltas from public, anon, authenticated;
grant select on private.campaign_counter_deltas to authenticated;
grant all on private.campaign_counter_deltas to service_role;
create policy "members read the counter deltas of their campaigns" on private.campaign_counter_deltas
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));
