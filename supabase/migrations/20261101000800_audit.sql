-- The proof: counters recounted from rows, and counts of recipients from their receipts, independently of the triggers that
-- keep them. A recount and what it is compared with are read in one statement, so traffic does not disturb it.

create table public.counter_discrepancies (
    id bigint generated always as identity primary key,
    campaign_id uuid not null references public.notification_campaigns (id) on delete cascade,
    -- null: a counter of the campaign; else a count of this recipient
    recipient_id uuid,
    counter text not null,
    stored numeric not null,
    actual numeric not null,
    found_at timestamptz not null default now(),
    repaired_at timestamptz,
    constraint stored_differs_from_actual check (stored <> actual)
);
comment on table public.counter_discrepancies is 'What the audit found, and when it was mended. Empty, as long as nobody writes counts by hand.';
create unique index counter_discrepancies_open
    on public.counter_discrepancies (campaign_id, recipient_id, counter) nulls not distinct
    where repaired_at is null;

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

create function private.recipient_discrepancies(p_campaign_id uuid)
returns table (campaign_id uuid, recipient_id uuid, counter text, stored numeric, actual numeric)
language sql
stable
set search_path = ''
as $$
    -- all at once, not recipient by recipient: this reads everything anyway
    with people as (
        select
            r.id,
            count(distinct m.reader) filter (where private.is_delivered(m.reader, m.delivered_at, m.failed_at))::integer as delivered,
            count(distinct m.reader) filter (where private.is_read(m.reader, m.read_at, m.failed_at))::integer as read
        from public.notification_campaign_recipients r
        left join private.message_ids i on i.recipient_id = r.id
        left join public.message_receipts m on m.message_id = i.message_id and m.reader <> ''
        where p_campaign_id is null or r.campaign_id = p_campaign_id
        group by r.id
    ),
    recounted as (
        select
            r.campaign_id, r.id as recipient_id, r.delivered_count, r.read_count,
            private.counted_people(
                r.member_count, p.delivered, r.anonymous_delivered_count, greatest(p.read, r.anonymous_read_count)
            ) as actual_delivered,
            private.counted_people(r.member_count, p.read, r.anonymous_read_count) as actual_read
        from public.notification_campaign_recipients r
        join people p on p.id = r.id
    )
    select c.campaign_id, c.recipient_id, v.counter, v.stored, v.actual
    from recounted c
    cross join lateral (
        values
            ('delivered_count', c.delivered_count, c.actual_delivered),
            ('read_count', c.read_count, c.actual_read)
    ) as v (counter, stored, actual)
    where v.stored <> v.actual
$$;
revoke all on function private.recipient_discrepancies(uuid) from public, anon, authenticated;
grant execute on function private.recipient_discrepancies(uuid) to service_role;
comment on function private.recipient_discrepancies(uuid) is 'Recipients whose counts are not what their receipts and anonymous reports say. Null: of all campaigns.';

create function private.campaign_discrepancies(p_campaign_id uuid)
returns table (campaign_id uuid, counter text, stored numeric, actual numeric)
language sql
stable
set search_path = ''
as $$
    with recounted as (
        select
            c.id as campaign_id,
            count(r.id) as total_count,
            count(r.id) filter (where r.status = 'pending') as pending_count,
            count(r.id) filter (where r.status = 'processing') as processing_count,
            count(r.id) filter (where r.status = 'unconfirmed') as unconfirmed_count,
            count(r.id) filter (where r.status = 'sent') as sent_count,
            count(r.id) filter (where r.status = 'failed') as failed_count,
            count(r.id) filter (where r.status = 'skipped') as skipped_count,
            coalesce(sum(r.member_count), 0) as audience_count,
            count(r.id) filter (where r.delivered_count > 0) as reached_count,
            coalesce(sum(r.delivered_count), 0) as delivered_count,
            coalesce(sum(r.read_count), 0) as read_count,
            coalesce(sum(r.cost), 0) as cost
        from public.notification_campaigns c
        left join public.notification_campaign_recipients r on r.campaign_id = c.id
        where (p_campaign_id is null or c.id = p_campaign_id) and c.archived_at is null
        group by c.id
    )
    select a.campaign_id, v.counter, v.stored, v.actual
    from recounted a
    join public.notification_campaign_stats s on s.campaign_id = a.campaign_id
    cross join lateral (
        values
            ('total_count', s.total_count::numeric, a.total_count::numeric),
            ('pending_count', s.pending_count, a.pending_count),
            ('processing_count', s.processing_count, a.processing_count),
            ('unconfirmed_count', s.unconfirmed_count, a.unconfirmed_count),
            ('sent_count', s.sent_count, a.sent_count),
            ('failed_count', s.failed_count, a.failed_count),
            ('skipped_count', s.skipped_count, a.skipped_count),
            ('audience_count', s.audience_count, a.audience_count),
            ('reached_count', s.reached_count, a.reached_count),
            ('delivered_count', s.delivered_count, a.delivered_count),
            ('read_count', s.read_count, a.read_count),
            ('cost', s.cost, a.cost)
    ) as v (counter, stored, actual)
    where v.stored <> v.actual
$$;
revoke all on function private.campaign_discrepancies(uuid) from public, anon, authenticated;
grant execute on function private.campaign_discrepancies(uuid) to service_role;
comment on function private.campaign_discrepancies(uuid) is 'Counters that are not what the recipient rows say, both read in one snapshot; archived campaigns have none to say so. Null: of all campaigns.';

create function public.audit_campaign_counters(p_campaign_id uuid default null)
returns setof public.counter_discrepancies
language sql
set search_path = ''
as $$
    insert into public.counter_discrepancies as d (campaign_id, recipient_id, counter, stored, actual)
    select f.campaign_id, null::uuid, f.counter, f.stored, f.actual
    from private.campaign_discrepancies(p_campaign_id) f
    union all
    select f.campaign_id, f.recipient_id, f.counter, f.stored, f.actual
    from private.recipient_discrepancies(p_campaign_id) f
    on conflict (campaign_id, recipient_id, counter) where repaired_at is null do update set
        stored = excluded.stored,
        actual = excluded.actual
    returning d.*
$$;
revoke all on function public.audit_campaign_counters(uuid) from public, anon, authenticated;
grant execute on function public.audit_campaign_counters(uuid) to service_role;
comment on function public.audit_campaign_counters(uuid) is
    'Recounts one campaign, or all (null), from rows and receipts; notes and answers what differs. Costs as much as the campaign is large. Caller: an operator, a nightly job.';

create function public.repair_campaign_counters(p_campaign_id uuid default null)
returns setof public.counter_discrepancies
language plpgsql
set search_path = ''
as $$
begin
    -- two repairs at once would both add what is missing
    perform pg_advisory_xact_lock(hashtextextended('public.repair_campaign_counters', 0));
    perform public.audit_campaign_counters(p_campaign_id);

    -- recipients first: mending one is a change of a row like any other, so their campaigns' counters follow
    perform 1
    from public.notification_campaign_recipients r
    where r.id in (select f.recipient_id from private.recipient_discrepancies(p_campaign_id) f)
    order by r.id
    for no key update;
    update public.notification_campaign_recipients r
    set identified_delivered_count = p.delivered,
        identified_read_count = p.read,
        read_count = private.counted_people(r.member_count, p.read, r.anonymous_read_count),
        delivered_count = private.counted_people(
            r.member_count, p.delivered, r.anonymous_delivered_count, greatest(p.read, r.anonymous_read_count)
        )
    from (select distinct f.recipient_id from private.recipient_discrepancies(p_campaign_id) f) as f
    cross join lateral private.identified_people(f.recipient_id) p
    where r.id = f.recipient_id;

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
    from private.campaign_discrepancies(p_campaign_id) f
    join public.notification_campaigns c on c.id = f.campaign_id
    group by c.id;

    return query
    update public.counter_discrepancies d
    set repaired_at = now()
    where d.repaired_at is null and (p_campaign_id is null or d.campaign_id = p_campaign_id)
    returning d.*;
end
$$;
revoke all on function public.repair_campaign_counters(uuid) from public, anon, authenticated;
grant execute on function public.repair_campaign_counters(uuid) to service_role;
comment on function public.repair_campaign_counters(uuid) is
    'Audits one campaign, or all (null), and mends what differs: counts of recipients from their receipts, counters from the rows. Answers what it mended. Safe under traffic.';
