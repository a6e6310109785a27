-- How it goes: one snapshot of everything that an operator watches, and alarms about what a person must look into. Nothing
-- here costs more as history grows: facts are index probes, and counts stop at 10,001, which means "more than 10,000".

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table private.processor_state (
    is_only boolean primary key default true,
    installed_at timestamptz not null default now(),
    -- the end of the last run that could check alarms
    last_run_at timestamptz,
    -- what that run could send through; null: unknown
    gateways text[],
    default_senders jsonb not null default '{}',
    constraint there_is_one_row check (is_only)
);
comment on table private.processor_state is 'What the last run of the processor said of itself. One row.';
insert into private.processor_state default values;

create table private.alarms (
    id bigint generated always as identity primary key,
    cause text not null,
    -- what it is about: a sender, a gateway, an organization and a channel; '' where the cause is about everything
    subject text not null default '',
    -- for people, as of the last check
    message text not null,
    details jsonb not null default '{}',
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    -- when it troubles somebody, if it is still there
    opens_at timestamptz not null default now(),
    opened_at timestamptz,
    -- the first check that no longer saw it
    gone_at timestamptz,
    resolved_at timestamptz,
    posted_at timestamptz,
    recovery_posted_at timestamptz,
    -- handed to a poster until then, or waiting after a post that failed
    next_post_at timestamptz not null default '-infinity',
    post_attempt_count integer not null default 0,
    constraint cause_is_known check (cause in (
        'counter_discrepancies', 'sender_stopped', 'sender_deaf', 'no_sender', 'stalled', 'refused_events', 'unmatched_signals',
        'parked_receipts', 'unconfirmed', 'audit_overdue'
    )),
    constraint resolved_implies_opened check (resolved_at is null or opened_at is not null),
    constraint recovery_implies_resolved_and_posted check (recovery_posted_at is null or (resolved_at is not null and posted_at is not null))
);
comment on table private.alarms is 'What a person must look into: one open alarm for each cause and subject. Kept for 90 days after it resolved.';
create unique index alarms_unresolved on private.alarms (cause, subject) where resolved_at is null;
create index alarms_resolved on private.alarms (resolved_at) where resolved_at is not null;
create index alarms_to_post on private.alarms (next_post_at)
    where (opened_at is not null and posted_at is null and resolved_at is null)
        or (resolved_at is not null and posted_at is not null and recovery_posted_at is null);

-- what waits for a replay or a person, by kind
create index webhook_events_unreplayed on private.webhook_events (reason, received_at) where replayed_at is null;
-- what waits for a person; by a column that receipts leave alone, so that their updates stay out of the indexes
create index notification_campaign_recipients_unconfirmed on public.notification_campaign_recipients (campaign_id) where status = 'unconfirmed';

alter table private.processor_state enable row level security;
revoke all on private.processor_state from public, anon, authenticated;
grant all on private.processor_state to service_role;

alter table private.alarms enable row level security;
revoke all on private.alarms from public, anon, authenticated;
revoke all on sequence private.alarms_id_seq from public, anon, authenticated;
grant all on private.alarms to service_role;

-- ---------------------------------------------------------------------------------------------------------------------
-- words
-- ---------------------------------------------------------------------------------------------------------------------

create function private.without_phone_numbers(p_text text)
returns text
language sql
immutable
return regexp_replace(p_text, '(\d\d)\d{3,}(\d\d)', '\1…\2', 'g');
revoke all on function private.without_phone_numbers(text) from public, anon, authenticated;
grant execute on function private.without_phone_numbers(text) to service_role;
comment on function private.without_phone_numbers(text) is
    'A provider''s words with every run of seven digits or more cut to its first and last two, as logs do: they may name the recipient.';

create function private.seconds_since(p_time timestamptz)
returns bigint
language sql
stable
return case when isfinite(p_time) then greatest(0, floor(extract(epoch from now() - p_time)))::bigint end;
revoke all on function private.seconds_since(timestamptz) from public, anon, authenticated;
grant execute on function private.seconds_since(timestamptz) to service_role;
comment on function private.seconds_since(timestamptz) is 'Whole seconds from a time until now; null for none, 0 for the future.';

create function private.time_in_words(p_time timestamptz)
returns text
language sql
stable
return case
    when private.seconds_since(p_time) >= 172800 then private.seconds_since(p_time) / 86400 || ' days'
    when private.seconds_since(p_time) >= 7200 then private.seconds_since(p_time) / 3600 || ' hours'
    when private.seconds_since(p_time) >= 120 then private.seconds_since(p_time) / 60 || ' minutes'
    else private.seconds_since(p_time) || ' seconds'
end;
revoke all on function private.time_in_words(timestamptz) from public, anon, authenticated;
grant execute on function private.time_in_words(timestamptz) to service_role;
comment on function private.time_in_words(timestamptz) is 'How long ago a time was, for people.';

create function private.count_in_words(p_count bigint)
returns text
language sql
immutable
return case when p_count > 10000 then 'more than 10,000' else to_char(p_count, 'FM99,990') end;
revoke all on function private.count_in_words(bigint) from public, anon, authenticated;
grant execute on function private.count_in_words(bigint) to service_role;
comment on function private.count_in_words(bigint) is 'A count that stops at 10,001, for people.';

-- ---------------------------------------------------------------------------------------------------------------------
-- facts
-- ---------------------------------------------------------------------------------------------------------------------

create function private.deaf_since(p_session_id text, p_after timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    -- Reports may come under another name than the sender's (a number of a messaging service), or under none. What was
    -- asked for by ourselves proves nothing, and whoever was given a message a moment ago may still report it.
    v_reported_at timestamptz := (
        select n.claimed_at
        from (
            select a.claimed_at, a.message_id, a.asked_at, a.accepted_at, a.finished_at
            from public.send_attempts a
            where a.session_id = p_session_id and a.claimed_at > p_after and a.claimed_at < now() - interval '1 minute'
            order by a.claimed_at desc
            limit 300
        ) as n
        where n.asked_at is null
            and (n.finished_at > n.accepted_at or exists (select 1 from public.message_receipts m where m.message_id = n.message_id))
        order by n.claimed_at desc
        limit 1
    );
    v_after timestamptz := greatest(p_after, v_reported_at);
begin
    -- attempts that no gateway took say nothing; where these are many, the newest are looked at as well, and no more
    return coalesce(
        (
            select t.accepted_at
            from (
                select a.accepted_at, a.claimed_at
                from public.send_attempts a
                where a.session_id = p_session_id and a.claimed_at > v_after
                order by a.claimed_at
                limit 1000
            ) as t
            where t.accepted_at is not null
            order by t.claimed_at
            limit 1
        ),
        (
            select min(t.accepted_at)
            from (
                select a.accepted_at
                from public.send_attempts a
                where a.session_id = p_session_id and a.claimed_at > v_after
                order by a.claimed_at desc
                limit 1000
            ) as t
        )
    );
end
$$;
revoke all on function private.deaf_since(text, timestamptz) from public, anon, authenticated;
grant execute on function private.deaf_since(text, timestamptz) to service_role;
comment on function private.deaf_since(text, timestamptz) is
    'When a gateway took the first message of a sender, of those claimed after p_after, after which nothing was reported any more; null where it took none.';

create function private.is_deaf(p_status text, p_deaf_since timestamptz, p_silence interval)
returns boolean
language sql
stable
return coalesce(p_status = 'active' and p_deaf_since < now() - p_silence, false);
revoke all on function private.is_deaf(text, timestamptz, interval) from public, anon, authenticated;
grant execute on function private.is_deaf(text, timestamptz, interval) to service_role;
comment on function private.is_deaf(text, timestamptz, interval) is
    'Whether a sender that may send has done so for longer than p_silence without anything being heard.';

create function private.sender_facts()
returns table (
    session_id text,
    organization_id uuid,
    status text,
    reason text,
    is_stopped_automatically boolean,
    hold_expires_at timestamptz,
    messages_per_minute integer,
    daily_limit integer,
    daily_allowance integer,
    next_send_at timestamptz,
    last_claimed_at timestamptz,
    last_heard_at timestamptz,
    deaf_since timestamptz
)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return query
    with known as (
        select g.id from public.gateway_sessions g
        union
        -- default senders have no row; one that was removed has none any more
        select s.session_id from private.session_states s where s.last_claimed_at > now() - interval '7 days'
        union
        select h.session_id from private.held_senders h where h.expires_at > now()
    )
    select
        k.id,
        g.organization_id,
        coalesce(g.status::text, case when h.session_id is null then 'active' else 'held' end),
        private.without_phone_numbers(
            coalesce(case when g.id is null then h.reason else g.status_reason end, case when s.hold_expires_at > now() then s.hold_reason end)
        ),
        coalesce(g.is_stopped_automatically, h.session_id is not null),
        case when g.id is null and h.expires_at > now() then h.expires_at when s.hold_expires_at > now() then s.hold_expires_at end,
        g.messages_per_minute,
        g.daily_limit,
        private.daily_allowance(g.daily_limit, g.warm_up_first_day, g.warm_up_days, g.warm_up_started_at, now()),
        nullif(s.next_send_at, '-infinity'),
        s.last_claimed_at,
        s.last_heard_at,
        case when s.last_claimed_at > w.after_at then private.deaf_since(k.id, w.after_at) end
    from known k
    left join public.gateway_sessions g on g.id = k.id
    left join private.session_states s on s.session_id = k.id
    left join private.held_senders h on h.session_id = k.id and h.expires_at > now()
    cross join lateral (
        -- what is heard within ten seconds after last_heard_at is not written down
        select greatest(s.last_heard_at + interval '10 seconds', now() - interval '7 days') as after_at
    ) as w;
end
$$;
revoke all on function private.sender_facts() from public, anon, authenticated;
grant execute on function private.sender_facts() to service_role;
comment on function private.sender_facts() is
    'Every sender, the default senders of the installation included: whether it may send and why not, when it last sent and was last heard, '
    'and deaf_since: since when it has sent, within seven days, without anything being heard.';

create function private.oldest_due_recipient(p_campaign_id uuid)
returns table (next_attempt_at timestamptz)
language sql
stable
-- parsed, not run under a search path: that pins every name as well, and lets the planner inline it
begin atomic
    select r.next_attempt_at
    from public.notification_campaign_recipients r
    where r.campaign_id = p_campaign_id and r.status = 'pending' and r.next_attempt_at <= now()
    order by r.next_attempt_at, r.id
    limit 1;
end;
revoke all on function private.oldest_due_recipient(uuid) from public, anon, authenticated;
grant execute on function private.oldest_due_recipient(uuid) to service_role;
comment on function private.oldest_due_recipient(uuid) is 'Since when the first message of a campaign is due; no row where none is. An index probe.';

create function private.waiting_campaigns(p_gateways text[], p_default_senders jsonb)
returns table (
    campaign_id uuid,
    organization_id uuid,
    channel public.campaign_channel,
    gateway text,
    oldest_due_at timestamptz,
    -- since when something could have been done about it
    waiting_since timestamptz,
    state text
)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
    return query
    with waiting as materialized (
        select
            c.id, c.organization_id, c.channel, c.session_id, d.next_attempt_at, greatest(d.next_attempt_at, c.updated_at) as due_since,
            not c.ignores_quiet_hours and private.is_quiet_time(o.time_zone, o.quiet_from, o.quiet_until, now()) as is_quiet
        from public.notification_campaigns c
        join public.organizations o on o.id = c.organization_id
        cross join lateral private.oldest_due_recipient(c.id) d
        where c.status = 'processing'
    ),
    senders as materialized (
        select w.id as campaign_id, s.session_id, s.gateway, s.daily_allowance, s.is_active, s.is_stopped_automatically, s.activated_at
        from waiting w
        cross join lateral private.campaign_senders(w.organization_id, w.channel, w.session_id, p_default_senders) s
    ),
    -- once for each, however many campaigns share it
    states as materialized (
        select
            s.session_id, t.last_claimed_at, f.free_since,
            -- where that could be why nothing goes
            case when f.free_since < now() - interval '15 minutes' then s.daily_allowance is not null and exists (
                select 1
                from public.send_attempts a
                where a.session_id = s.session_id and a.claimed_at > now() - interval '1 day'
                offset s.daily_allowance - 1
            ) else false end as is_full
        from (select distinct n.session_id, n.daily_allowance, n.activated_at from senders n) as s
        -- `offset 0`: a probe for each, not a pass over all senders there are
        left join lateral (select n.* from private.session_states n where n.session_id = s.session_id offset 0) as t on true
        cross join lateral (
            select greatest(t.last_claimed_at, t.next_send_at, t.hold_expires_at, s.activated_at) as free_since
        ) as f
    ),
    judged as (
        select
            w.id, w.organization_id, w.channel, w.is_quiet, w.next_attempt_at, w.due_since,
            coalesce(max(s.gateway), private.channel_gateway(w.channel)) as gateway,
            count(s.campaign_id) as sender_count,
            coalesce(bool_or(s.is_active), false) as has_active,
            coalesce(bool_or(s.is_stopped_automatically), false) as has_stopped,
            max(t.last_claimed_at) filter (where s.is_active) as last_claimed_at,
            max(t.free_since) filter (where s.is_active and not t.is_full and t.free_since <= now()) as free_since
        from waiting w
        left join senders s on s.campaign_id = w.id
        left join states t on t.session_id = s.session_id
        group by w.id, w.organization_id, w.channel, w.is_quiet, w.next_attempt_at, w.due_since
    )
    select
        j.id, j.organization_id, j.channel, j.gateway, j.next_attempt_at,
        greatest(j.due_since, j.free_since, j.last_claimed_at),
        case
            when j.is_quiet then 'quiet'
            when j.gateway <> all (p_gateways) then 'gateway_not_ready'
            when j.sender_count = 0 then 'no_sender'
            when not j.has_active and j.has_stopped then 'sender_stopped'
            when not j.has_active then 'sender_paused'
            when j.free_since is null then 'paced'
            when greatest(j.due_since, j.free_since, j.last_claimed_at) < now() - interval '15 minutes' then 'stalled'
            else 'sending'
        end
    from judged j;
end
$$;
revoke all on function private.waiting_campaigns(text[], jsonb) from public, anon, authenticated;
grant execute on function private.waiting_campaigns(text[], jsonb) to service_role;
comment on function private.waiting_campaigns(text[], jsonb) is
    'Processing campaigns that have something due, and what it waits for: quiet, gateway_not_ready (not among p_gateways; null: all are ready), no_sender, sender_stopped (automatically), '
    'sender_paused (by a person), paced (Retry-After, pace, a full day), sending, or stalled: for 15 minutes nothing was claimed, though something could send.';

create function private.audit_facts()
returns table (last_audit_at timestamptz, has_changes boolean)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    last_audit_at := private.last_audit_at();
    has_changes := exists (
        select 1
        from private.session_states s
        where greatest(s.last_claimed_at, s.last_heard_at) > coalesce(audit_facts.last_audit_at, '-infinity')
    );
    return next;
end
$$;
revoke all on function private.audit_facts() from public, anon, authenticated;
grant execute on function private.audit_facts() to service_role;
comment on function private.audit_facts() is
    'When counters were last audited, and whether anything was sent or heard since.';

create function private.campaigns_awaiting_audit()
returns bigint
language plpgsql
stable
set search_path = ''
as $$
begin
    -- what the audit goes by looks at every campaign: a matter of milliseconds, unless they are very many
    if (select c.reltuples > 20000 from pg_catalog.pg_class c where c.oid = 'public.notification_campaigns'::regclass) then
        return null;
    end if;
    return (select count(*) from private.changed_campaigns());
end
$$;
revoke all on function private.campaigns_awaiting_audit() from public, anon, authenticated;
grant execute on function private.campaigns_awaiting_audit() to service_role;
comment on function private.campaigns_awaiting_audit() is
    'How many campaigns changed since their last audit; null where they are so many that it would cost too much to ask every few seconds.';

create function private.journal_facts()
returns table (reason text, event_count bigint, recent_count bigint, oldest_at timestamptz)
language sql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
    -- from one reason to the next, without reading what lies between
    with recursive reasons as (
        select 1 as place, (
            select e.reason
            from private.webhook_events e
            where e.replayed_at is null
            order by e.reason
            limit 1
        ) as reason
        union all
        select r.place + 1, (
            select e.reason
            from private.webhook_events e
            where e.replayed_at is null and e.reason > r.reason
            order by e.reason
            limit 1
        )
        from reasons r
        where r.reason is not null and r.place < 20
    )
    select
        r.reason,
        (
            select count(*)
            from (select 1 from private.webhook_events e where e.replayed_at is null and e.reason = r.reason limit 10001) as e
        ),
        (
            select count(*)
            from (
                select 1
                from private.webhook_events e
                where e.replayed_at is null and e.reason = r.reason and e.received_at > now() - interval '1 hour'
                limit 10001
            ) as e
        ),
        (
            select e.received_at
            from private.webhook_events e
            where e.replayed_at is null and e.reason = r.reason
            order by e.received_at
            limit 1
        )
    from reasons r
    where r.reason is not null
$$;
revoke all on function private.journal_facts() from public, anon, authenticated;
grant execute on function private.journal_facts() to service_role;
comment on function private.journal_facts() is
    'Journaled events that nobody replayed, by reason: how many, how many came within the hour, the oldest. Counts stop at 10,001, reasons at 20.';

create function private.unconfirmed_count()
returns bigint
language sql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
    select count(*)
    from (select 1 from public.notification_campaign_recipients r where r.status = 'unconfirmed' limit 10001) as r
$$;
revoke all on function private.unconfirmed_count() from public, anon, authenticated;
grant execute on function private.unconfirmed_count() to service_role;
comment on function private.unconfirmed_count() is 'How many messages wait for a person to confirm them. Stops at 10,001.';

create function private.alarm_causes(p_silence interval, p_gateways text[], p_default_senders jsonb)
returns table (cause text, subject text, message text, details jsonb, opens_after interval)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_count bigint;
    v_since timestamptz;
    v_audit record;
begin
    select count(*), min(d.found_at)
    into v_count, v_since
    from (select d.found_at from public.counter_discrepancies d where d.repaired_at is null limit 10001) as d;
    if v_count > 0 then
        return query select
            'counter_discrepancies', '',
            format(
                'Counters that are not what their rows say: %s, the first found %s ago. See deno task counters:check, then counters:repair.',
                private.count_in_words(v_count), private.time_in_words(v_since)
            ),
            jsonb_build_object('count', v_count, 'found_at', v_since), interval '0';
    end if;

    return query
    with senders as materialized (
        select f.* from private.sender_facts() f
    )
    select 'sender_stopped', s.session_id,
        case s.status
            when 'held' then format(
                'The default sender %s is held back: %s. It is tried again every ten minutes; until then its messages wait.', s.session_id, s.reason
            )
            else format(
                'The sender %s was stopped automatically and is %s: %s. Mend the cause, then set it active; its messages wait.',
                s.session_id, s.status, coalesce(s.reason, 'no reason given')
            )
        end,
        jsonb_build_object('session_id', s.session_id, 'organization_id', s.organization_id, 'status', s.status, 'reason', s.reason), interval '0'
    from senders s
    where s.is_stopped_automatically and s.status <> 'active'
    union all
    select 'sender_deaf', s.session_id,
        format(
            'The sender %s has been sending for %s without anything being heard back. Do the callbacks and receipts of its gateway reach the webhooks?',
            s.session_id, private.time_in_words(s.deaf_since)
        ),
        jsonb_build_object(
            'session_id', s.session_id, 'organization_id', s.organization_id, 'deaf_since', s.deaf_since, 'last_heard_at', s.last_heard_at
        ),
        interval '0'
    from senders s
    where private.is_deaf(s.status, s.deaf_since, p_silence);

    -- A hold ends, a morning comes, a sender is made: whatever was in the way, the next run claims within seconds. What
    -- is still there some checks later is an alarm.
    return query
    with waiting as materialized (
        select * from private.waiting_campaigns(p_gateways, p_default_senders) w where w.state in ('gateway_not_ready', 'no_sender', 'stalled')
    )
    select 'no_sender', w.gateway,
        format(
            'The gateway %s is not ready, and messages of campaigns wait for it: %s. The answer of the processor names the variable that is missing.',
            w.gateway, private.count_in_words(count(*))
        ),
        jsonb_build_object('gateway', w.gateway, 'campaigns', count(*), 'campaign_ids', to_jsonb((array_agg(w.campaign_id order by w.campaign_id))[:10])),
        interval '1 minute'
    from waiting w
    where w.state = 'gateway_not_ready'
    group by w.gateway
    union all
    select 'no_sender', format('%s %s', w.organization_id, w.channel),
        format(
            'The organization %s has no sender for its running %s campaigns: %s. Add one to gateway_sessions.',
            w.organization_id, w.channel, private.count_in_words(count(*))
        ),
        jsonb_build_object(
            'organization_id', w.organization_id, 'channel', w.channel, 'campaigns', count(*),
            'campaign_ids', to_jsonb((array_agg(w.campaign_id order by w.campaign_id))[:10])
        ),
        interval '1 minute'
    from waiting w
    where w.state = 'no_sender'
    group by w.organization_id, w.channel
    union all
    select 'stalled', '',
        format(
            'Nothing has been claimed for %s, though messages are due and something could send them; campaigns: %s. See the log of the processor.',
            private.time_in_words(min(w.waiting_since)), private.count_in_words(count(*))
        ),
        jsonb_build_object(
            'campaigns', count(*), 'waiting_since', min(w.waiting_since),
            'campaign_ids', to_jsonb((array_agg(w.campaign_id order by w.waiting_since))[:10])
        ),
        interval '2 minutes'
    from waiting w
    where w.state = 'stalled'
    having count(*) > 0;

    select count(*), min(e.received_at)
    into v_count, v_since
    from (
        select e.received_at
        from private.webhook_events e
        where e.replayed_at is null and e.reason = 'error'
        order by e.received_at
        limit 10001
    ) as e;
    if v_count > 0 then
        return query select
            'refused_events', '',
            format(
                'Events that the database refused: %s, the oldest %s ago. See private.webhook_events, reason error; then deno task events:replay.',
                private.count_in_words(v_count), private.time_in_words(v_since)
            ),
            jsonb_build_object('count', v_count, 'oldest_at', v_since), interval '0';
    end if;

    select count(*), min(e.received_at)
    into v_count, v_since
    from (
        select n.source, n.received_at
        from private.webhook_events n
        where n.replayed_at is null and n.reason = 'unmatched'
        -- other unmatched events may be very many
        order by n.received_at desc
        limit 1000
    ) as e
    where e.source = 'signal';
    if v_count > 0 then
        return query select
            'unmatched_signals', '',
            format(
                'What providers said of senders that nobody knows: %s, the oldest %s ago. Fill in account_id and phone_number of your senders; then deno task events:replay.',
                private.count_in_words(v_count), private.time_in_words(v_since)
            ),
            jsonb_build_object('count', v_count, 'oldest_at', v_since), interval '0';
    end if;

    if exists (
        select 1
        from private.message_ids i
        where i.recipient_id is null and i.parked_at < now() - interval '1 hour'
        offset 9999
    ) then
        return query select
            'parked_receipts', '',
            'Receipts of 10,000 messages or more have waited for over an hour for a send that names their message. '
                'Does the gateway report its message ids, and does somebody else send through the same sender?',
            '{}'::jsonb, interval '0';
    end if;

    v_count := private.unconfirmed_count();
    if v_count > 0 then
        return query select
            'unconfirmed', '',
            format('Messages of which nobody knows whether they were sent: %s. Look in the chat, then call confirm_recipient.', private.count_in_words(v_count)),
            jsonb_build_object('count', v_count), interval '0';
    end if;

    select a.*, coalesce(a.last_audit_at, (select p.installed_at from private.processor_state p)) as due_since
    into v_audit
    from private.audit_facts() a;
    if v_audit.has_changes and v_audit.due_since < now() - interval '26 hours' then
        return query select
            'audit_overdue', '',
            case
                when v_audit.last_audit_at is null then 'Counters have never been audited. Is the nightly job scheduled?'
                else format('Counters were last audited %s ago, and campaigns changed since. Does the nightly job run?', private.time_in_words(v_audit.last_audit_at))
            end,
            jsonb_build_object('last_audit_at', v_audit.last_audit_at), interval '0';
    end if;
end
$$;
revoke all on function private.alarm_causes(interval, text[], jsonb) from public, anon, authenticated;
grant execute on function private.alarm_causes(interval, text[], jsonb) to service_role;
comment on function private.alarm_causes(interval, text[], jsonb) is
    'What is wrong just now, each with what it is about, words for people, and how long it must last until it is an alarm. '
    'A sender that a person paused, quiet hours, and messages that wait for their pace are none.';

-- ---------------------------------------------------------------------------------------------------------------------
-- alarms
-- ---------------------------------------------------------------------------------------------------------------------

create function public.check_alarms(
    p_silence interval default '15 minutes',
    p_gateways text[] default null,
    p_default_senders jsonb default '{}',
    p_limit integer default 20,
    p_settle interval default '1 minute'
)
returns table (
    id bigint,
    kind text,
    cause text,
    subject text,
    message text,
    details jsonb,
    opened_at timestamptz,
    resolved_at timestamptz
)
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
-- the names of what it answers are those of the columns it reads
#variable_conflict use_column
declare
    v_seen bigint[];
begin
    if p_silence is null or p_silence <= interval '0' then
        raise invalid_parameter_value using
            message = format('p_silence must be longer than nothing, not %s', coalesce(p_silence::text, 'null'));
    end if;
    if p_limit is null or p_limit not between 0 and 100 then
        raise invalid_parameter_value using
            message = format('p_limit must be between 0 and 100, not %s', coalesce(p_limit::text, 'null'));
    end if;
    if jsonb_typeof(p_default_senders) is distinct from 'object' then
        raise invalid_parameter_value using
            message = format('p_default_senders must be an object {gateway: sender}, not %s', coalesce(jsonb_typeof(p_default_senders), 'null'));
    end if;
    if p_settle is null or p_settle < interval '0' then
        raise invalid_parameter_value using
            message = format('p_settle must not be less than nothing, not %s', coalesce(p_settle::text, 'null'));
    end if;
    -- one checker at a time; whoever comes second leaves it to the first
    if not pg_try_advisory_xact_lock(hashtextextended('private.alarms', 0)) then
        return;
    end if;
    insert into private.processor_state as s (last_run_at, gateways, default_senders)
    values (clock_timestamp(), p_gateways, p_default_senders)
    on conflict (is_only) do update set
        last_run_at = excluded.last_run_at,
        gateways = excluded.gateways,
        default_senders = excluded.default_senders;

    with seen as (
        insert into private.alarms as a (cause, subject, message, details, opens_at, opened_at)
        select c.cause, c.subject, c.message, c.details, now() + c.opens_after, case when c.opens_after = interval '0' then now() end
        from private.alarm_causes(p_silence, p_gateways, p_default_senders) c
        order by c.cause, c.subject
        on conflict (cause, subject) where resolved_at is null do update set
            message = excluded.message,
            details = excluded.details,
            last_seen_at = now(),
            gone_at = null,
            opened_at = coalesce(a.opened_at, case when a.opens_at <= now() then now() end)
        returning a.id
    )
    select coalesce(array_agg(s.id), '{}') into v_seen from seen s;

    delete from private.alarms a where a.resolved_at is null and a.opened_at is null and a.id <> all (v_seen);
    -- what comes and goes is one alarm, not many
    update private.alarms a
    set gone_at = coalesce(a.gone_at, now()),
        resolved_at = case when coalesce(a.gone_at, now()) <= now() - p_settle then now() end,
        -- its recovery is another post; that of its opening may still be under way
        next_post_at = case when coalesce(a.gone_at, now()) <= now() - p_settle then '-infinity' else a.next_post_at end,
        post_attempt_count = case when coalesce(a.gone_at, now()) <= now() - p_settle then 0 else a.post_attempt_count end
    where a.resolved_at is null and a.opened_at is not null and a.id <> all (v_seen);

    delete from private.alarms a
    where a.id = any (array(
        select o.id
        from private.alarms o
        where o.resolved_at < now() - interval '90 days'
        order by o.resolved_at
        limit 1000
    ));

    -- Handed to one poster at a time; again when it did not say in time that it has posted: after half a minute, a minute,
    -- up to ten.
    return query
    with due as (
        select a.id
        from private.alarms a
        where a.next_post_at <= now()
            and (
                (a.opened_at is not null and a.posted_at is null and a.resolved_at is null)
                or (a.resolved_at is not null and a.posted_at is not null and a.recovery_posted_at is null)
            )
        order by a.next_post_at, a.id
        limit p_limit
    ),
    handed_out as (
        update private.alarms a
        set post_attempt_count = a.post_attempt_count + 1,
            next_post_at = now() + least(interval '30 seconds' * power(2, least(a.post_attempt_count, 10)), interval '10 minutes')
        from due d
        where a.id = d.id
        returning a.*
    )
    select
        h.id, case when h.resolved_at is null then 'opened' else 'resolved' end, h.cause, h.subject, h.message, h.details, h.opened_at, h.resolved_at
    from handed_out h
    order by h.opened_at, h.id;
end
$$;
revoke all on function public.check_alarms(interval, text[], jsonb, integer, interval) from public, anon, authenticated;
grant execute on function public.check_alarms(interval, text[], jsonb, integer, interval) to service_role;
comment on function public.check_alarms(interval, text[], jsonb, integer, interval) is
    'Opens, refreshes and resolves alarms, and hands up to p_limit of them out that are to be posted: kind opened, or resolved where its opening was posted. '
    'Post them, then call record_alarms_posted; what is not recorded is handed out again later. p_silence: how long a sender may send without being heard; '
    'p_gateways, p_default_senders: as claim_recipients takes them; p_settle: how long a cause must be gone. Of two callers at once the second gets nothing. '
    'Caller: process-notification-campaigns, at the end of each run.';

create function public.record_alarms_posted(p_opened bigint[], p_resolved bigint[] default '{}')
returns integer
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_recorded integer;
begin
    if p_opened is null or p_resolved is null then
        raise invalid_parameter_value using message = 'p_opened and p_resolved must be arrays of ids of alarms, not null';
    end if;
    -- not while somebody checks: both write many rows
    perform pg_advisory_xact_lock(hashtextextended('private.alarms', 0));
    -- by kind: an alarm may have resolved while its opening was being posted
    update private.alarms a
    set posted_at = coalesce(a.posted_at, case when a.id = any (p_opened) then now() end),
        recovery_posted_at = coalesce(a.recovery_posted_at, case when a.id = any (p_resolved) and a.resolved_at is not null then now() end),
        next_post_at = '-infinity',
        post_attempt_count = 0
    where a.id = any (p_opened || p_resolved)
        and ((a.id = any (p_opened) and a.posted_at is null)
            or (a.id = any (p_resolved) and a.posted_at is not null and a.resolved_at is not null and a.recovery_posted_at is null));
    get diagnostics v_recorded = row_count;
    return v_recorded;
end
$$;
revoke all on function public.record_alarms_posted(bigint[], bigint[]) from public, anon, authenticated;
grant execute on function public.record_alarms_posted(bigint[], bigint[]) to service_role;
comment on function public.record_alarms_posted(bigint[], bigint[]) is
    'Notes that alarms were posted, by the kind that check_alarms gave them; answers how many this was news for. Caller: process-notification-campaigns.';

-- ---------------------------------------------------------------------------------------------------------------------
-- the snapshot
-- ---------------------------------------------------------------------------------------------------------------------

create function private.queue_facts()
returns jsonb
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_processing uuid[] := array(select c.id from public.notification_campaigns c where c.status = 'processing');
    v_counted record;
    v_oldest_due_at timestamptz;
begin
    select coalesce(sum(s.pending_count), 0)::bigint as pending_count, coalesce(sum(s.processing_count), 0)::bigint as processing_count
    into v_counted
    from public.notification_campaign_stats s
    where s.campaign_id = any (v_processing);
    v_oldest_due_at := (
        select min(d.next_attempt_at)
        from unnest(v_processing) as c (id)
        cross join lateral private.oldest_due_recipient(c.id) d
    );
    return jsonb_build_object(
        'processing_campaigns', cardinality(v_processing),
        'pending', v_counted.pending_count,
        'processing', v_counted.processing_count,
        'due', (
            select count(*)
            from (
                select 1
                from unnest(v_processing) as c (id)
                cross join lateral (
                    select 1
                    from public.notification_campaign_recipients r
                    where r.campaign_id = c.id and r.status = 'pending' and r.next_attempt_at <= now()
                    limit 10001
                ) as r
                limit 10001
            ) as d
        ),
        'oldest_due_at', v_oldest_due_at,
        'oldest_due_seconds', private.seconds_since(v_oldest_due_at),
        'past_lease', (
            select count(*)
            from (
                select 1
                from public.notification_campaign_recipients r
                where r.status = 'processing' and r.lease_expires_at < now()
                limit 10001
            ) as r
        ),
        'unconfirmed', private.unconfirmed_count()
    );
end
$$;
revoke all on function private.queue_facts() from public, anon, authenticated;
grant execute on function private.queue_facts() to service_role;
comment on function private.queue_facts() is
    'What is owed: pending and processing are the counters of processing campaigns; due, past_lease and unconfirmed are counted up to 10,001.';

create function public.health_snapshot(p_silence interval default '15 minutes')
returns jsonb
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_processor record;
    v_audit record;
    v_oldest_parked_at timestamptz;
    v_alarms jsonb;
    v_senders jsonb;
begin
    if p_silence is null or p_silence <= interval '0' then
        raise invalid_parameter_value using
            message = format('p_silence must be longer than nothing, not %s', coalesce(p_silence::text, 'null'));
    end if;
    select p.* into v_processor from private.processor_state p;
    select a.* into v_audit from private.audit_facts() a;
    v_oldest_parked_at := (
        select i.parked_at
        from private.message_ids i
        where i.recipient_id is null and i.parked_at is not null
        order by i.parked_at
        limit 1
    );
    v_alarms := (
        select coalesce(jsonb_agg(to_jsonb(o) order by o.opened_at, o.cause, o.subject), '[]')
        from (
            select a.cause, a.subject, a.message, a.details, a.opened_at
            from private.alarms a
            where a.resolved_at is null and a.opened_at is not null
            union all
            -- the one alarm that the processor cannot raise
            select
                'processor_silent', '',
                case
                    when v_processor.last_run_at is null then 'The processor has never run. Is it scheduled?'
                    else format('The processor has not run for %s. Is it scheduled, and does it get through?', private.time_in_words(v_processor.last_run_at))
                end,
                jsonb_build_object('last_run_at', v_processor.last_run_at),
                coalesce(v_processor.last_run_at, v_processor.installed_at) + interval '5 minutes'
            where coalesce(v_processor.last_run_at, v_processor.installed_at) < now() - interval '5 minutes'
        ) as o
    );
    v_senders := (
        select coalesce(jsonb_agg(to_jsonb(l) order by l.session_id), '[]')
        from (
            select
                s.*,
                private.seconds_since(s.deaf_since) as deaf_seconds,
                private.is_deaf(s.status, s.deaf_since, p_silence) as is_deaf,
                case when s.messages_per_minute is not null then (
                    select count(*)
                    from (
                        select 1
                        from public.send_attempts a
                        where a.session_id = s.session_id and a.claimed_at > now() - interval '1 minute'
                        limit 10001
                    ) as a
                ) end as attempts_last_minute,
                case when s.daily_allowance is not null then (
                    select count(*)
                    from (
                        select 1
                        from public.send_attempts a
                        where a.session_id = s.session_id and a.claimed_at > now() - interval '24 hours'
                        limit 10001
                    ) as a
                ) end as attempts_last_day
            from (select * from private.sender_facts() f order by f.last_claimed_at desc nulls last, f.session_id limit 1000) as s
        ) as l
    );
    return jsonb_build_object(
        'checked_at', now(),
        'silence_seconds', extract(epoch from p_silence)::bigint,
        'alarms', v_alarms,
        'queue', private.queue_facts(),
        'campaigns_with_due', (
            select jsonb_build_object(
                'quiet', count(*) filter (where w.state = 'quiet'),
                'gateway_not_ready', count(*) filter (where w.state = 'gateway_not_ready'),
                'no_sender', count(*) filter (where w.state = 'no_sender'),
                'sender_stopped', count(*) filter (where w.state = 'sender_stopped'),
                'sender_paused', count(*) filter (where w.state = 'sender_paused'),
                'paced', count(*) filter (where w.state = 'paced'),
                'stalled', count(*) filter (where w.state = 'stalled'),
                'sending', count(*) filter (where w.state = 'sending')
            )
            from private.waiting_campaigns(v_processor.gateways, coalesce(v_processor.default_senders, '{}')) w
        ),
        'receipts', jsonb_build_object(
            'parked_messages', (
                select count(*)
                from (
                    select 1
                    from private.message_ids i
                    where i.recipient_id is null and i.parked_at is not null
                    limit 10001
                ) as i
            ),
            'oldest_parked_at', v_oldest_parked_at,
            'oldest_parked_seconds', private.seconds_since(v_oldest_parked_at)
        ),
        'journal', (
            select coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'reason', j.reason, 'count', j.event_count, 'last_hour_count', j.recent_count, 'oldest_at', j.oldest_at,
                        'oldest_seconds', private.seconds_since(j.oldest_at)
                    )
                    order by j.reason
                ),
                '[]'
            )
            from private.journal_facts() j
        ),
        'senders', v_senders,
        'processor', jsonb_build_object(
            'last_run_at', v_processor.last_run_at,
            'last_run_seconds', private.seconds_since(v_processor.last_run_at),
            'gateways', v_processor.gateways
        ),
        'audit', jsonb_build_object(
            'last_audit_at', v_audit.last_audit_at,
            'last_audit_seconds', private.seconds_since(v_audit.last_audit_at),
            'has_changes', v_audit.has_changes,
            'campaigns_waiting', private.campaigns_awaiting_audit()
        ),
        'discrepancies', (
            select count(*)
            from (select 1 from public.counter_discrepancies d where d.repaired_at is null limit 10001) as d
        )
    );
end
$$;
revoke all on function public.health_snapshot(interval) from public, anon, authenticated;
grant execute on function public.health_snapshot(interval) to service_role;
comment on function public.health_snapshot(interval) is
    'How it goes, as one object: alarms, queue, campaigns_with_due by what they wait for, receipts, journal, senders, processor, audit, discrepancies. Reads only. '
    'Counts stop at 10,001 (more than 10,000), senders at the 1,000 that sent last. p_silence: how long a sender may send without being heard. Caller: health.';
