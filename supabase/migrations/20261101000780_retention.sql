-- Retention that keeps the counters. A campaign that has been over for long is archived: it stays, with its counters, and
-- loses its recipients, attempts, receipts and message ids, some thousand at a time. It is marked first, in a transaction
-- of its own: from then on nobody reopens it, and what is deleted of it is not counted back.

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table private.campaigns_to_empty (
    -- in this order
    id bigint generated always as identity primary key,
    campaign_id uuid not null unique references public.notification_campaigns (id) on delete cascade
);
comment on table private.campaigns_to_empty is 'Archived campaigns that still have recipients. A row goes with the last of them.';

alter table private.campaigns_to_empty enable row level security;
revoke all on private.campaigns_to_empty from public, anon, authenticated;
grant all on private.campaigns_to_empty to service_role;

create index notification_campaigns_to_archive on public.notification_campaigns (coalesce(completed_at, updated_at))
    where archived_at is null and status in ('completed', 'failed', 'cancelled');

-- ---------------------------------------------------------------------------------------------------------------------
-- archived is for good
-- ---------------------------------------------------------------------------------------------------------------------

create function private.refuse_archived(p_campaign_id uuid)
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception using
        errcode = 'PT409',
        message = format('campaign %s is archived: it cannot go on, and takes no recipients', p_campaign_id),
        hint = 'Its recipients are deleted; its counters are what is left. Create a new campaign.';
end
$$;
revoke all on function private.refuse_archived(uuid) from public, anon, authenticated;
comment on function private.refuse_archived(uuid) is 'Raises PT409.';

create function private.keep_archived()
returns trigger
language plpgsql
-- definer because whoever may write a campaign may not call what is inside
security definer
set search_path = ''
as $$
begin
    perform private.refuse_archived(old.id);
    return null;
end
$$;
revoke all on function private.keep_archived() from public, anon, authenticated;
comment on function private.keep_archived() is 'Before an archived campaign is reopened, whoever does so, a retry included: refused.';
create trigger keep_archived before update on public.notification_campaigns
    for each row
    when (old.archived_at is not null and (new.status <> old.status or new.archived_at is distinct from old.archived_at))
    execute function private.keep_archived();

create function private.keep_archived_empty()
returns trigger
language plpgsql
-- definer because row-level security hides the campaigns of others; it says no more than that one is archived
security definer
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_campaign_id uuid;
begin
    -- after the foreign keys were checked, which wait for a campaign that is being archived
    select n.campaign_id
    into v_campaign_id
    from (select distinct r.campaign_id from new_rows r) as n
    where (select c.archived_at from public.notification_campaigns c where c.id = n.campaign_id) is not null
    limit 1;
    if found then
        perform private.refuse_archived(v_campaign_id);
    end if;
    return null;
end
$$;
revoke all on function private.keep_archived_empty() from public, anon, authenticated;
comment on function private.keep_archived_empty() is 'After recipients were inserted: refused where their campaign is archived.';
create trigger keep_archived_empty after insert on public.notification_campaign_recipients
    referencing new table as new_rows
    for each statement execute function private.keep_archived_empty();

-- ---------------------------------------------------------------------------------------------------------------------
-- archiving
-- ---------------------------------------------------------------------------------------------------------------------

create function private.empty_archived_campaign(p_campaign_id uuid, p_limit integer)
returns integer
language plpgsql
set search_path = ''
-- index probes whatever the statistics say, and no plan made for a tenth of the table
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_recipient_ids uuid[];
    v_message_ids text[];
    v_deleted integer;
begin
    v_recipient_ids := array(
        select u.id
        from (
            select
                r.id,
                row_number() over (order by r.recipient) as number,
                -- a group has as many receipts as people who got the message
                sum(1 + r.identified_delivered_count) over (order by r.recipient) as rows_count
            from (
                select t.id, t.recipient, t.identified_delivered_count
                from public.notification_campaign_recipients t
                where t.campaign_id = p_campaign_id
                order by t.recipient
                limit p_limit
            ) as r
        ) as u
        where u.number = 1 or u.rows_count <= 10 * p_limit::bigint
    );
    -- locked in the order of everybody: message ids, receipts, recipients
    select coalesce(array_agg(l.message_id), '{}')
    into v_message_ids
    from (
        select i.message_id
        from private.message_ids i
        where i.recipient_id = any (v_recipient_ids)
        order by i.message_id
        for update
    ) as l;
    perform 1
    from unnest(v_message_ids) as u (message_id)
    -- joined, so that of a partitioned table one partition is asked for each message, not all
    join public.message_receipts m on m.message_id = u.message_id collate "C"
    order by m.message_id, m.reader
    for update of m;
    perform 1
    from public.notification_campaign_recipients r
    where r.id = any (v_recipient_ids)
    order by r.id
    for update;
    -- attempts, message ids and receipts go with them, those included that came in before this very statement
    delete from public.notification_campaign_recipients r where r.id = any (v_recipient_ids);
    get diagnostics v_deleted = row_count;
    return v_deleted;
end
$$;
revoke all on function private.empty_archived_campaign(uuid, integer) from public, anon, authenticated;
grant execute on function private.empty_archived_campaign(uuid, integer) to service_role;
comment on function private.empty_archived_campaign(uuid, integer) is
    'Deletes up to p_limit recipients of an archived campaign with all that hangs on them; fewer, where they have more than ten receipts each. Answers how many.';

create function public.archive_campaigns(p_older_than interval default '1 year', p_limit integer default 10000)
returns jsonb
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_campaign_id uuid;
    v_deleted integer;
    v_recipients_deleted integer := 0;
    v_archived integer := 0;
begin
    if p_older_than is null or p_older_than < interval '1 day' then
        raise invalid_parameter_value using
            message = format('p_older_than must be at least 1 day, not %s', coalesce(p_older_than::text, 'null')),
            hint = 'Receipts of a message come for weeks.';
    end if;
    if p_limit is null or p_limit < 1 then
        raise invalid_parameter_value using
            message = format('p_limit must be at least 1, not %s', coalesce(p_limit::text, 'null'));
    end if;

    -- what earlier calls have marked; campaigns themselves are locked last
    while v_recipients_deleted < p_limit
    loop
        select e.campaign_id
        into v_campaign_id
        from private.campaigns_to_empty e
        order by e.id
        limit 1
        -- two calls at once share the work
        for update skip locked;
        exit when not found;
        v_deleted := private.empty_archived_campaign(v_campaign_id, p_limit - v_recipients_deleted);
        v_recipients_deleted := v_recipients_deleted + v_deleted;
        if exists (select 1 from public.notification_campaign_recipients r where r.campaign_id = v_campaign_id) then
            exit;
        end if;
        delete from private.campaigns_to_empty e where e.campaign_id = v_campaign_id;
    end loop;

    for v_campaign_id in
        select c.id
        from public.notification_campaigns c
        where c.archived_at is null
            and c.status in ('completed', 'failed', 'cancelled')
            and coalesce(c.completed_at, c.updated_at) < now() - p_older_than
            and not private.has_open_recipients(c.id)
        order by coalesce(c.completed_at, c.updated_at)
        -- no more than can be emptied soon
        limit greatest(0, 1000 - (select count(*) from private.campaigns_to_empty))
        -- waits for nobody; and whoever inserts a recipient now, whose foreign key holds the row, has it left alone
        for update skip locked
    loop
        -- looked at anew: somebody may have reopened it before we held it
        update public.notification_campaigns c
        set archived_at = now()
        where c.id = v_campaign_id
            and c.archived_at is null
            and c.status in ('completed', 'failed', 'cancelled')
            and not private.has_open_recipients(c.id);
        if found then
            v_archived := v_archived + 1;
            insert into private.campaigns_to_empty (campaign_id) values (v_campaign_id);
        end if;
    end loop;

    return jsonb_build_object(
        'archived', v_archived,
        'recipients_deleted', v_recipients_deleted,
        'remaining', (select count(*) from private.campaigns_to_empty)
            + (
                select count(*)
                from public.notification_campaigns c
                where c.archived_at is null
                    and c.status in ('completed', 'failed', 'cancelled')
                    and coalesce(c.completed_at, c.updated_at) < now() - p_older_than
                    and not private.has_open_recipients(c.id)
            )
    );
end
$$;
revoke all on function public.archive_campaigns(interval, integer) from public, anon, authenticated;
grant execute on function public.archive_campaigns(interval, integer) to service_role;
comment on function public.archive_campaigns(interval, integer) is
    'Archives campaigns that have been over for p_older_than and have nothing open, oldest first: they keep their counters and lose recipients, attempts, receipts and message ids. '
    'A call deletes up to p_limit recipients of campaigns that earlier calls marked, and marks more, up to 1,000 that are to be emptied; so call it until remaining is 0. Safe to repeat, to kill and to run twice at once, under traffic. '
    'Answers {archived: campaigns marked now, recipients_deleted, remaining: campaigns that are not done yet}. A late receipt finds no message, waits for one as any other, and ends in the journal. '
    'Errors: 22023 with the argument. Caller: schedule_retention, an operator.';
