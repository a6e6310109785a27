-- Sending: claim, send, learn what became of it. A message is claimed with a lease and its attempt is committed before
-- the network is touched. Whatever is heard afterwards (the gateway's answer, a callback, a look-up, a person's word)
-- becomes an outcome of an attempt and goes through apply_send_outcomes: the one place where evidence moves a recipient.

-- ---------------------------------------------------------------------------------------------------------------------
-- evidence
-- ---------------------------------------------------------------------------------------------------------------------

create type private.send_outcome as (
    -- the caller's number for it
    ordinal integer,
    recipient_id uuid,
    -- null where nobody knows which attempt it was
    attempt_id uuid,
    outcome public.attempt_outcome,
    message_id text collate "C",
    error_code text,
    error_message text,
    occurred_at timestamptz,
    retry_after interval,
    lease interval,
    -- not_found: the gateway said so itself
    was_asked boolean,
    failure_class public.failure_class,
    -- ask so long after it was sent whether it was delivered
    poll_after interval
);

create function private.default_lease(p_channel public.campaign_channel)
returns interval
language sql
immutable
return case p_channel when 'whatsapp_group' then interval '5 minutes' else interval '10 minutes' end;
revoke all on function private.default_lease(public.campaign_channel) from public, anon, authenticated;
grant execute on function private.default_lease(public.campaign_channel) to service_role;
comment on function private.default_lease(public.campaign_channel) is 'How long a claimed message may stay without confirmation before it is stale.';

create function private.retry_delay(p_attempt_count integer, p_retry_after interval)
returns interval
language sql
volatile
set search_path = ''
as $$
    -- 5 s, 10 s, 20 s … 10 min, the upper half of it random; never earlier than the gateway asked for
    select greatest(
        coalesce(p_retry_after, interval '0') + random() * interval '1 second',
        least(interval '5 seconds' * power(2, least(p_attempt_count, 12) - 1), interval '10 minutes') * (0.5 + random() / 2)
    )
$$;
revoke all on function private.retry_delay(integer, interval) from public, anon, authenticated;
grant execute on function private.retry_delay(integer, interval) to service_role;
comment on function private.retry_delay(integer, interval) is 'How long to wait before the next attempt: exponential backoff with jitter, Retry-After honoured.';

create function private.has_attempts_left(p_recipient_id uuid, p_max_attempts integer)
returns boolean
language sql
stable
set search_path = ''
set enable_seqscan = off
as $$
    select count(a.claimed_at) < p_max_attempts
    from public.send_attempts a
    left join private.failure_classes f on f.class = a.failure_class
    where a.recipient_id = p_recipient_id
        -- a sender that may not send is not the message's fault
        and f.action is distinct from 'pause'
$$;
revoke all on function private.has_attempts_left(uuid, integer) from public, anon, authenticated;
grant execute on function private.has_attempts_left(uuid, integer) to service_role;
comment on function private.has_attempts_left(uuid, integer) is
    'Whether a message was claimed fewer times than its campaign allows; claims that failed because of their sender do not count.';

create function private.apply_send_outcomes(p_outcomes private.send_outcome[])
returns table (ordinal integer, applied boolean)
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    perform 1
    from public.notification_campaign_recipients r
    where r.id = any (array(select o.recipient_id from unnest(p_outcomes) o))
    order by r.id
    for no key update;

    -- a message that may be requeued must not slip behind a campaign that is being cancelled
    perform 1
    from public.notification_campaigns c
    where c.id = any (array(
        select r.campaign_id
        from unnest(p_outcomes) o
        join public.notification_campaign_recipients r on r.id = o.recipient_id
        where o.outcome in ('deferred', 'not_found')
    ))
    order by c.id
    for no key update;

    -- one statement, so that the row, its attempts and the answer are decided on the same facts
    return query
    with known as (
        select
            o.ordinal, o.recipient_id, o.outcome, o.error_code, o.error_message, o.occurred_at, o.retry_after, o.lease, o.was_asked,
            o.failure_class, o.poll_after,
            coalesce(f.action = 'pause', false) as is_senders_fault,
            r.status, r.attempt_count, r.lease_expires_at, r.message_id is null as is_unnamed, c.channel, c.max_attempts, c.unconfirmed_policy,
            coalesce(
                c.on_transient_error,
                case c.channel when 'whatsapp_group' then 'fail'::public.transient_error_policy else 'retry' end
            ) as on_transient_error,
            c.status = 'cancelled' as is_cancelled,
            a.id as attempt_id,
            a.message_id as attempt_message_id,
            a.id is null or a.id is not distinct from r.attempt_id as is_newest,
            -- named before, and reported as failed since: that the gateway took it is no news
            o.outcome = 'sent' and i.recipient_id is not null and private.message_failed(o.message_id) as is_refuted,
            o.message_id as named_message_id,
            i.recipient_id <> o.recipient_id as is_another_recipients,
            case when i.recipient_id is null or i.recipient_id = o.recipient_id then o.message_id end as own_message_id,
            -- the id as far as it is news: nobody's yet, and named for the first time in this batch
            case
                when o.message_id is not null
                    and i.recipient_id is null
                    and row_number() over (partition by o.message_id order by o.outcome desc, o.ordinal) = 1
                    then o.message_id
            end as new_message_id
        from unnest(p_outcomes) o
        join public.notification_campaign_recipients r on r.id = o.recipient_id
        join public.notification_campaigns c on c.id = r.campaign_id
        left join public.send_attempts a on a.id = o.attempt_id and a.recipient_id = o.recipient_id
        left join private.message_ids i on i.message_id = o.message_id
        left join private.failure_classes f on f.class = o.failure_class
    ),
    judged as (
        select
            k.*,
            case
                when k.outcome = 'sent' then (k.status <> 'sent' and not k.is_refuted) or k.new_message_id is not null
                -- only the newest attempt may fail or requeue the row: an older one's failure says nothing about it
                when k.outcome = 'failed' then k.is_newest and k.status in ('pending', 'processing', 'unconfirmed')
                else k.is_newest and k.status = 'processing'
            end as moves,
            -- a second message for the same recipient: it is kept, and seen, as an attempt of its own
            k.new_message_id is not null and (
                k.attempt_id is null
                or k.attempt_message_id is not null
                or row_number() over (partition by k.attempt_id, k.new_message_id is null order by k.ordinal) > 1
            ) as is_unclaimed
        from known k
    ),
    ranked as (
        select
            j.*,
            j.moves and row_number() over (
                partition by j.recipient_id, j.outcome, j.new_message_id order by j.moves desc, j.ordinal
            ) = 1 as is_news,
            row_number() over (
                partition by j.recipient_id order by j.moves desc, j.outcome desc, j.new_message_id is null, j.ordinal
            ) as rank,
            count(*) filter (where j.is_unclaimed) over (partition by j.recipient_id) as unclaimed_count,
            row_number() over (partition by j.recipient_id, j.is_unclaimed order by j.ordinal) as unclaimed_number,
            row_number() over (partition by j.attempt_id, j.is_unclaimed order by j.outcome desc, j.ordinal) as attempt_rank,
            max(j.new_message_id) filter (where not j.is_unclaimed) over (partition by j.attempt_id) as attempt_new_message_id,
            max(j.own_message_id) filter (where j.outcome <> 'failed') over (partition by j.recipient_id) as recipient_message_id
        from judged j
    ),
    decided as (
        select
            k.*,
            case
                when not k.moves then k.status::text
                when k.outcome in ('sent', 'failed', 'skipped') then k.outcome::text
                when k.outcome = 'deferred' then
                    case
                        when k.is_cancelled then 'skipped'
                        when k.is_senders_fault then 'pending'
                        when k.on_transient_error = 'retry' and private.has_attempts_left(k.recipient_id, k.max_attempts) then 'pending'
                        else 'failed'
                    end
                when k.outcome = 'not_found' then
                    case
                        when k.unconfirmed_policy = 'hold' then 'unconfirmed'
                        when k.is_cancelled and k.was_asked then 'skipped'
                        when not k.is_cancelled and private.has_attempts_left(k.recipient_id, k.max_attempts) then 'pending'
                        -- what nobody could be asked about may have been sent
                        when k.was_asked then 'failed'
                        else 'unconfirmed'
                    end
                else 'processing'
            end::public.recipient_status as next_status
        from ranked k
        where k.rank = 1
            and (
                k.moves
                or k.unclaimed_count > 0
                -- proved by something that named no id; now it is known
                or (k.status = 'sent' and k.is_unnamed and k.recipient_message_id is not null)
            )
    ),
    moved as (
        update public.notification_campaign_recipients r
        set status = d.next_status,
            message_id = case
                -- a message that failed gives the row its id only where there is no other; one to a group is then looked for by its group
                when d.next_status = 'failed' and d.moves and d.channel <> 'whatsapp_group' then coalesce(r.message_id, d.own_message_id)
                when d.next_status <> 'sent' then r.message_id
                when d.moves and r.status = 'failed' then coalesce(d.own_message_id, d.attempt_message_id, r.message_id)
                when d.moves then coalesce(r.message_id, d.own_message_id, d.attempt_message_id)
                else coalesce(r.message_id, d.recipient_message_id)
            end,
            sent_at = case when d.next_status = 'sent' then coalesce(r.sent_at, d.occurred_at, now()) else r.sent_at end,
            attempt_count = r.attempt_count + d.unclaimed_count,
            next_attempt_at = case
                when not d.moves or d.next_status <> 'pending' then r.next_attempt_at
                when d.outcome = 'deferred' then now() + private.retry_delay(r.attempt_count, d.retry_after)
                else now()
            end,
            lease_expires_at = case
                when d.next_status <> 'processing' then null
                when d.moves and d.outcome = 'accepted' then now() + coalesce(d.lease, private.default_lease(d.channel))
                else r.lease_expires_at
            end,
            skip_reason = case
                when not d.moves or d.next_status <> 'skipped' then r.skip_reason
                when d.outcome = 'skipped' then coalesce(d.error_code, 'skipped')
                else 'campaign_cancelled'
            end,
            error_code = case
                when not d.moves then r.error_code
                when d.next_status = 'sent' then null
                when d.next_status = 'unconfirmed' then 'unconfirmed'
                when d.next_status = 'failed' and d.outcome = 'not_found' then 'not_found'
                else coalesce(d.error_code, r.error_code)
            end,
            error_message = case
                when not d.moves then r.error_message
                when d.next_status = 'sent' then null
                when d.next_status = 'unconfirmed' then
                    'Nobody confirmed this send and the gateway does not know it. Look in the chat, then call confirm_recipient.'
                when d.next_status = 'failed' and d.outcome = 'not_found' then
                    'The gateway does not know this message, and no attempts remain.'
                when d.next_status = 'failed' then coalesce(d.error_message, 'The gateway reported a failure without a reason.')
                else coalesce(d.error_message, r.error_message)
            end,
            failure_class = case
                when not d.moves then r.failure_class
                when d.next_status in ('sent', 'unconfirmed') then null
                when d.next_status = 'failed' and d.outcome = 'not_found' then 'unknown'
                else coalesce(d.failure_class, r.failure_class)
            end
        from decided d
        where r.id = d.recipient_id
    ),
    heard as (
        update public.send_attempts a
        set outcome = greatest(a.outcome, k.outcome),
            message_id = coalesce(a.message_id, k.attempt_new_message_id),
            error_code = coalesce(k.error_code, a.error_code),
            error_message = coalesce(k.error_message, a.error_message),
            failure_class = coalesce(k.failure_class, a.failure_class),
            next_poll_at = case
                when k.poll_after is not null then now() + k.poll_after
                -- proved by something else than the answer to the send, which was lost
                when k.outcome = 'sent' and k.channel = 'sms' then coalesce(a.next_poll_at, k.lease_expires_at, now() + interval '10 minutes')
                else a.next_poll_at
            end,
            accepted_at = case when k.outcome in ('accepted', 'sent') then coalesce(a.accepted_at, now()) else a.accepted_at end,
            finished_at = case when k.outcome in ('deferred', 'skipped', 'failed', 'sent') then coalesce(a.finished_at, now()) else a.finished_at end
        from ranked k
        -- what is said of a second message is said of the row it gets below
        where a.id = k.attempt_id and k.attempt_rank = 1 and not k.is_unclaimed
            and coalesce(k.attempt_message_id = k.own_message_id, true)
    ),
    -- a message that has an attempt of its own already
    heard_of_others as (
        update public.send_attempts a
        set outcome = greatest(a.outcome, k.outcome)
        from ranked k
        where k.new_message_id is null and k.own_message_id is not null
            and a.message_id = k.own_message_id and a.id is distinct from k.attempt_id
    ),
    bound as (
        update private.message_ids i
        set recipient_id = k.recipient_id
        from ranked k
        where i.message_id = k.new_message_id and i.recipient_id is null
    ),
    unclaimed as (
        insert into public.send_attempts (
            recipient_id, attempt_number, repeated_attempt_id, session_id, message_id, outcome, error_code, error_message, claimed_at,
            finished_at
        )
        select
            k.recipient_id, k.attempt_count + k.unclaimed_number, k.attempt_id, a.session_id, k.new_message_id, k.outcome, k.error_code,
            k.error_message, null, now()
        from ranked k
        left join public.send_attempts a on a.id = k.attempt_id
        where k.is_unclaimed
    ),
    conflicts as (
        insert into private.webhook_events as e (source, reason, payload)
        select distinct on (k.named_message_id, k.recipient_id)
            'send_callback',
            'message_id_conflict',
            jsonb_build_object('messageId', k.named_message_id, 'recipientId', k.recipient_id, 'clientMessageId', k.attempt_id)
        from ranked k
        where k.is_another_recipients
        order by k.named_message_id, k.recipient_id
        on conflict (source, payload_hash) do update set
            seen_count = e.seen_count + 1,
            last_seen_at = now()
    )
    select k.ordinal, k.is_news
    from ranked k;
end
$$;
revoke all on function private.apply_send_outcomes(private.send_outcome[]) from public, anon, authenticated;
grant execute on function private.apply_send_outcomes(private.send_outcome[]) to service_role;
comment on function private.apply_send_outcomes(private.send_outcome[]) is
    'The one place where evidence moves a recipient: forward only, fenced by the attempt. Answers for each outcome whether it was news. '
    'The caller holds the message ids (lock_message_ids); recipients are locked here, in id order.';

create function private.name_messages(p_message_ids text[], p_facts private.receipt_fact[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_outcomes private.send_outcome[];
begin
    -- all of them, not only those that get a recipient: locks are taken in one order
    perform private.lock_message_ids(p_message_ids);
    v_outcomes := array(
        select (
            row_number() over (), n.recipient_id, n.attempt_id, case when n.is_failed then 'failed' else 'sent' end, n.message_id,
            n.error_code, n.error_message, n.occurred_at, null, null, false,
            case when n.is_failed then private.failure_class_of(n.error_code) end, null
        )::private.send_outcome
        from (
            select distinct on (f.message_id)
                f.message_id, a.id as attempt_id, a.recipient_id, coalesce(f.sent_at, f.delivered_at, now()) as occurred_at,
                f.error_code, f.error_message, f.failed_at is not null and not private.is_delivered(f.reader, f.delivered_at, f.failed_at) as is_failed
            from unnest(p_message_ids) as u (message_id)
            join unnest(p_facts) f on f.message_id = u.message_id
            join public.send_attempts a on a.id = f.client_message_id::uuid
            -- whoever named one while we waited for it has the recipient; ours are ordinary receipts then
            where (select i.recipient_id from private.message_ids i where i.message_id = u.message_id) is null
            order by f.message_id, is_failed
        ) as n
    );
    if v_outcomes <> '{}' then
        perform private.apply_send_outcomes(v_outcomes);
    end if;
    update private.message_ids i
    set parked_at = now()
    where i.message_id = any (p_message_ids) and i.recipient_id is null and i.parked_at is null;
end
$$;
revoke all on function private.name_messages(text[], private.receipt_fact[]) from public, anon, authenticated;
grant execute on function private.name_messages(text[], private.receipt_fact[]) to service_role;
comment on function private.name_messages(text[], private.receipt_fact[]) is
    'Receipts of unknown messages that carry the id of an attempt say as much as the answer to the send would have: whose message it is, and whether it went out or failed.';

-- ---------------------------------------------------------------------------------------------------------------------
-- starting
-- ---------------------------------------------------------------------------------------------------------------------

create function public.start_due_campaigns()
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_started integer;
begin
    update public.notification_campaigns c
    set status = 'processing'
    where c.id = any (array(
            select d.id
            from public.notification_campaigns d
            where d.status = 'scheduled'
                and d.scheduled_at <= now()
                and d.content <> '{}'
                -- an empty campaign waits for its recipients
                and exists (select 1 from public.notification_campaign_recipients r where r.campaign_id = d.id)
            order by d.id
            for no key update skip locked
        ))
        and c.status = 'scheduled';
    get diagnostics v_started = row_count;
    return v_started;
end
$$;
revoke all on function public.start_due_campaigns() from public, anon, authenticated;
grant execute on function public.start_due_campaigns() to service_role;
comment on function public.start_due_campaigns() is 'Starts scheduled campaigns whose time has come and that have content and recipients; answers how many. Caller: process-notification-campaigns.';

-- ---------------------------------------------------------------------------------------------------------------------
-- pacing
-- ---------------------------------------------------------------------------------------------------------------------

create function private.daily_allowance(
    p_daily_limit integer, p_warm_up_first_day integer, p_warm_up_days integer, p_warm_up_started_at timestamptz, p_at timestamptz
)
returns integer
language sql
immutable
return case
    when p_warm_up_first_day is null then p_daily_limit
    -- the same factor every day: 20, 29, 43, 63 …
    else floor(p_warm_up_first_day * power(
        p_daily_limit::double precision / p_warm_up_first_day,
        least(greatest(floor(extract(epoch from p_at - p_warm_up_started_at)::double precision / 86400), 0) / p_warm_up_days, 1)
    ) + 0.000001)::integer
end;
revoke all on function private.daily_allowance(integer, integer, integer, timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function private.daily_allowance(integer, integer, integer, timestamptz, timestamptz) to service_role;
comment on function private.daily_allowance(integer, integer, integer, timestamptz, timestamptz) is
    'Attempts that a sender may make in any 24 hours: daily_limit, or what its warm-up allows on this day; null is no limit.';

create function private.is_quiet_time(p_time_zone text, p_quiet_from time, p_quiet_until time, p_at timestamptz)
returns boolean
language sql
immutable
return coalesce(
    case
        when p_quiet_from < p_quiet_until
            then timezone(p_time_zone, p_at)::time >= p_quiet_from and timezone(p_time_zone, p_at)::time < p_quiet_until
        -- over midnight
        else timezone(p_time_zone, p_at)::time >= p_quiet_from or timezone(p_time_zone, p_at)::time < p_quiet_until
    end,
    false
);
revoke all on function private.is_quiet_time(text, time, time, timestamptz) from public, anon, authenticated;
grant execute on function private.is_quiet_time(text, time, time, timestamptz) to service_role;
comment on function private.is_quiet_time(text, time, time, timestamptz) is
    'Whether an organization''s clock is within its quiet hours; never, where it has none. On the nights the clock is changed, by what it shows.';

create function private.pace_gap(p_messages_per_minute integer)
returns interval
language sql
volatile
-- 5 to 15 % more than the limit allows: no two gaps alike, as between people; and a minute's worth of them is 63 seconds, which leaves a
-- send room to start 2.5 s late without a minute anywhere that has one too many
return interval '1 minute' / p_messages_per_minute * (1.05 + random() / 10);
revoke all on function private.pace_gap(integer) from public, anon, authenticated;
grant execute on function private.pace_gap(integer) to service_role;
comment on function private.pace_gap(integer) is 'The time from one message to the next through a sender that has a limit.';

create unlogged table private.recipient_paces (
    session_id text collate "C" not null,
    address text collate "C" not null,
    next_send_at timestamptz not null,
    primary key (session_id, address)
)
with (fillfactor = 70);
comment on table private.recipient_paces is
    'To whom a sender has just sent, where its provider wants messages to one recipient spaced. Worth seconds: not logged, and swept by the claims themselves.';
create index recipient_paces_next_send on private.recipient_paces (next_send_at);

alter table private.recipient_paces enable row level security;
revoke all on private.recipient_paces from public, anon, authenticated;
grant all on private.recipient_paces to service_role;

create function private.hold_senders(p_outcomes private.send_outcome[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    if not exists (select 1 from unnest(p_outcomes) o where o.outcome = 'deferred' and o.retry_after > interval '0') then
        return;
    end if;
    insert into private.session_states as s (session_id, hold_expires_at, hold_reason)
    select
        a.session_id,
        -- an hour at most: then it is tried, and may be said again
        max(now() + least(o.retry_after, interval '1 hour')),
        max(format('Retry-After, with code %s: %s', o.error_code, o.error_message))
    from unnest(p_outcomes) o
    join public.send_attempts a on a.id = o.attempt_id
    where o.outcome = 'deferred'
        and o.retry_after > interval '0'
        and a.session_id is not null
        -- too many to one recipient: the others need not wait
        and o.error_code is distinct from '131056'
    group by a.session_id
    order by a.session_id
    on conflict (session_id) do update set
        hold_expires_at = greatest(s.hold_expires_at, excluded.hold_expires_at),
        hold_reason = excluded.hold_reason;
end
$$;
revoke all on function private.hold_senders(private.send_outcome[]) from public, anon, authenticated;
grant execute on function private.hold_senders(private.send_outcome[]) to service_role;
comment on function private.hold_senders(private.send_outcome[]) is
    'Retry-After is said to a sender, not to a message: nothing goes through it until then. Locks session states, after recipients and campaigns.';

create function private.note_heard(p_session_ids text[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    update private.session_states s
    set last_heard_at = now()
    where s.session_id = any (array(
        select h.session_id
        from private.session_states h
        where h.session_id = any (p_session_ids) and coalesce(h.last_heard_at < now() - interval '10 seconds', true)
        -- whoever has it notes as much, or is claiming; nobody waits for it
        for no key update skip locked
    ));
end
$$;
revoke all on function private.note_heard(text[]) from public, anon, authenticated;
grant execute on function private.note_heard(text[]) to service_role;
comment on function private.note_heard(text[]) is 'Notes, every ten seconds at most, that senders report back. Those that never sent are not kept.';

-- ---------------------------------------------------------------------------------------------------------------------
-- claiming
-- ---------------------------------------------------------------------------------------------------------------------

create function private.campaign_senders(
    p_organization_id uuid, p_channel public.campaign_channel, p_session_id text, p_default_senders jsonb
)
returns table (
    session_id text,
    gateway text,
    messages_per_minute integer,
    -- in any 24 hours, the warm-up considered
    daily_allowance integer,
    is_active boolean,
    is_stopped_automatically boolean,
    activated_at timestamptz
)
language sql
stable
-- parsed, not run under a search path: that pins every name as well, and lets the planner inline it
begin atomic
    select
        g.id, w.gateway, g.messages_per_minute,
        private.daily_allowance(g.daily_limit, g.warm_up_first_day, g.warm_up_days, g.warm_up_started_at, now()),
        g.status = 'active', g.is_stopped_automatically, g.activated_at
    from public.gateway_sessions g
    cross join lateral private.session_gateway(g.gateway, g.channel, g.id, p_channel) as w (gateway)
    where g.organization_id = p_organization_id
        and (g.id = p_session_id or (p_session_id is null and w.gateway = private.channel_gateway(p_channel)))
        and (g.channel = 'sms') = (p_channel = 'sms')
    union all
    -- the sender of the whole installation, for organizations that have none of their own
    select d.value, d.key, null, null, h.session_id is null, h.session_id is not null, '-infinity'
    from jsonb_each_text(p_default_senders) d
    left join (select s.session_id from private.held_senders s where s.expires_at > now()) as h on h.session_id = d.value
    where p_session_id is null
        and d.key = private.channel_gateway(p_channel)
        and not exists (select 1 from public.gateway_sessions g where g.id = d.value)
        and not exists (
            select 1
            from public.gateway_sessions g
            where g.organization_id = p_organization_id
                and (g.channel = 'sms') = (p_channel = 'sms')
                and private.session_gateway(g.gateway, g.channel, g.id, p_channel) = d.key
        );
end;
revoke all on function private.campaign_senders(uuid, public.campaign_channel, text, jsonb) from public, anon, authenticated;
grant execute on function private.campaign_senders(uuid, public.campaign_channel, text, jsonb) to service_role;
comment on function private.campaign_senders(uuid, public.campaign_channel, text, jsonb) is
    'The senders of a campaign: the one it names, else its organization''s of the channel''s own gateway, else the default sender of the installation. '
    'It may go through those that are active.';

create function private.has_due_recipients(p_campaign_id uuid)
returns boolean
language sql
stable
return exists (
    select 1
    from public.notification_campaign_recipients r
    where r.campaign_id = p_campaign_id and r.status = 'pending' and r.next_attempt_at <= now()
);
revoke all on function private.has_due_recipients(uuid) from public, anon, authenticated;
grant execute on function private.has_due_recipients(uuid) to service_role;
comment on function private.has_due_recipients(uuid) is 'Whether a campaign has something to send now: an index probe.';

create function private.due_campaigns()
returns table (campaign_id uuid, organization_id uuid, channel public.campaign_channel, session_id text)
language sql
stable
begin atomic
    select c.id, c.organization_id, c.channel, c.session_id
    from public.notification_campaigns c
    join public.organizations o on o.id = c.organization_id
    where c.status = 'processing'
        and (c.ignores_quiet_hours or not private.is_quiet_time(o.time_zone, o.quiet_from, o.quiet_until, now()))
        and private.has_due_recipients(c.id);
end;
revoke all on function private.due_campaigns() from public, anon, authenticated;
grant execute on function private.due_campaigns() to service_role;
comment on function private.due_campaigns() is 'The processing campaigns that have something due and are not in quiet hours.';

create type private.send_source as (
    campaign_id uuid,
    organization_id uuid,
    channel public.campaign_channel,
    gateway text,
    session_id text,
    messages_per_minute integer,
    daily_allowance integer,
    -- how many its session may still send; null is no limit
    allowance integer,
    -- where the last round ended
    after_at timestamptz,
    after_id uuid
);

create type private.picked_recipient as (
    recipient_id uuid,
    campaign_id uuid,
    organization_id uuid,
    channel public.campaign_channel,
    gateway text,
    session_id text,
    next_attempt_at timestamptz
);

create type private.send_turn as (
    recipient_id uuid,
    channel public.campaign_channel,
    gateway text,
    session_id text,
    -- from now; and from it to the next of its sender: null where the sender has no pace
    send_after interval,
    gap interval
);

create type private.session_allowance as (
    session_id text,
    messages_per_minute integer,
    -- attempts that it may still make, by its limits
    allowance integer,
    -- when the limit that is reached lets the next one through; null where none is
    full_until timestamptz,
    -- when its pace lets the next one through
    next_send_at timestamptz
);

create function private.session_allowances(p_sources private.send_source[])
returns private.session_allowance[]
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_limited text[] := array(
        select distinct s.session_id
        from unnest(p_sources) s
        where s.messages_per_minute is not null or s.daily_allowance is not null
    );
    v_held text[];
begin
    if v_limited = '{}' then
        return '{}';
    end if;
    -- one claim at a time for a sender with a limit: whoever comes second leaves it to the first
    v_held := array(
        select u.id
        from unnest(v_limited) as u (id)
        -- not its row, which failures write after everything else
        where pg_try_advisory_xact_lock(hashtextextended('public.gateway_sessions ' || u.id, 0))
    );
    -- a statement of its own: it sees what the claim before ours committed
    return array(
        select (
            k.session_id, k.messages_per_minute, least(k.messages_per_minute - m.used, k.daily_allowance - d.used),
            greatest(
                case when k.messages_per_minute <= m.used then m.oldest_at + interval '1 minute' end,
                case when k.daily_allowance <= d.used then d.oldest_at + interval '1 day' end
            ),
            n.next_send_at
        )::private.session_allowance
        from (
            select s.session_id, min(s.messages_per_minute) as messages_per_minute, min(s.daily_allowance) as daily_allowance
            from unnest(p_sources) s
            where s.session_id = any (v_held)
            group by s.session_id
        ) as k
        left join private.session_states n on n.session_id = k.session_id
        -- the newest ones, as many as the limit: it says what this costs, history does not
        cross join lateral (
            select count(*)::integer as used, min(t.claimed_at) as oldest_at
            from (
                select a.claimed_at
                from public.send_attempts a
                where a.session_id = k.session_id and a.claimed_at > now() - interval '1 minute'
                order by a.claimed_at desc
                limit coalesce(k.messages_per_minute, 0)
            ) as t
        ) as m
        cross join lateral (
            select count(*)::integer as used, min(t.claimed_at) as oldest_at
            from (
                select a.claimed_at
                from public.send_attempts a
                where a.session_id = k.session_id and a.claimed_at > now() - interval '1 day'
                order by a.claimed_at desc
                limit coalesce(k.daily_allowance, 0)
            ) as t
        ) as d
    );
end
$$;
revoke all on function private.session_allowances(private.send_source[]) from public, anon, authenticated;
grant execute on function private.session_allowances(private.send_source[]) to service_role;
comment on function private.session_allowances(private.send_source[]) is
    'What the senders that have a limit may still send. Holds them until the end of the transaction; those that another claim holds are left out.';

create function private.send_sources(p_exclude_sessions text[], p_gateways text[], p_default_senders jsonb, p_is_paced boolean)
returns private.send_source[]
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    return array(
        select (
            c.campaign_id, c.organization_id, c.channel, s.gateway, s.session_id, s.messages_per_minute, s.daily_allowance, null, '-infinity',
            '00000000-0000-0000-0000-000000000000'
        )::private.send_source
        from private.due_campaigns() c
        cross join lateral (
            select u.session_id, u.gateway, u.messages_per_minute, u.daily_allowance
            from private.campaign_senders(c.organization_id, c.channel, c.session_id, p_default_senders) u
            left join private.session_states n on n.session_id = u.session_id
            where u.is_active
                and u.session_id <> all (p_exclude_sessions)
                and (p_gateways is null or u.gateway = any (p_gateways))
                and (not p_is_paced or coalesce(n.hold_expires_at <= now(), true))
            -- where the campaign leaves the choice: whoever may send first, and of those, whoever may still send most
            order by
                case when c.session_id is null then greatest(n.next_send_at, now()) end,
                case when c.session_id is null then
                    coalesce(
                        u.messages_per_minute - (
                            select count(*)
                            from public.send_attempts a
                            where a.session_id = u.session_id and a.claimed_at > now() - interval '1 minute'
                        ),
                        1000000
                    )
                end desc,
                random()
            limit 1
        ) as s
        -- shuffled: where there are more campaigns than places, luck is fair
        order by random()
    );
end
$$;
revoke all on function private.send_sources(text[], text[], jsonb, boolean) from public, anon, authenticated;
grant execute on function private.send_sources(text[], text[], jsonb, boolean) to service_role;
comment on function private.send_sources(text[], text[], jsonb, boolean) is
    'The due_campaigns, shuffled, with the sender each would use. A campaign that names no sender goes through its channel''s own gateway.';

create function private.hold_spaced_recipients(p_picked private.picked_recipient[], p_pace_ahead interval)
returns uuid[]
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    -- Meta takes one message in six seconds from a number to a recipient, and refuses more with 131056
    v_spacing constant interval := interval '6 seconds' + p_pace_ahead;
    v_spaced private.picked_recipient[] := array(select p from unnest(p_picked) p where p.gateway = 'cloud-api');
    v_first uuid[];
    v_held uuid[];
begin
    if v_spaced = '{}' then
        return '{}';
    end if;
    delete from private.recipient_paces w
    where (w.session_id, w.address) in (
        select o.session_id, o.address
        from private.recipient_paces o
        where o.next_send_at < now()
        order by o.next_send_at
        -- more than are added, so that all go in the end
        limit 2 * cardinality(v_spaced)
        for update skip locked
    );
    with wanted as (
        select distinct on (p.session_id, r.address) p.recipient_id, p.session_id, r.address
        from unnest(v_spaced) with ordinality p
        join public.notification_campaign_recipients r on r.id = p.recipient_id
        where r.address is not null
        order by p.session_id, r.address, p.ordinality
    ),
    paced as (
        insert into private.recipient_paces as w (session_id, address, next_send_at)
        select n.session_id, n.address, now() + v_spacing
        from wanted n
        -- of two claims for the same person one waits here, and is told
        order by n.session_id, n.address
        on conflict (session_id, address) do update set next_send_at = excluded.next_send_at
            where w.next_send_at <= now()
        returning w.session_id, w.address
    )
    select array_agg(n.recipient_id)
    into v_first
    from wanted n
    join paced k on k.session_id = n.session_id and k.address = n.address;

    with held as (
        update public.notification_campaign_recipients r
        set next_attempt_at = greatest(w.next_send_at, now() + interval '1 second')
        from unnest(v_spaced) p
        join private.recipient_paces w on w.session_id = p.session_id
        where r.id = p.recipient_id and w.address = r.address and p.recipient_id <> all (coalesce(v_first, '{}'))
        returning r.id
    )
    select array_agg(h.id) into v_held from held h;
    return coalesce(v_held, '{}');
end
$$;
revoke all on function private.hold_spaced_recipients(private.picked_recipient[], interval) from public, anon, authenticated;
grant execute on function private.hold_spaced_recipients(private.picked_recipient[], interval) to service_role;
comment on function private.hold_spaced_recipients(private.picked_recipient[], interval) is
    'Of picked recipients, those to whom the same sender has just sent, or is about to: they are due again when its provider takes the next message to them. Answers their ids.';

create function private.note_claims(p_turns private.send_turn[], p_allowances private.session_allowance[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    insert into private.session_states as s (session_id, last_claimed_at, next_send_at)
    select u.session_id, case when t.session_id is not null then now() end, coalesce(greatest(t.next_send_at, a.full_until), '-infinity')
    from (
        select t.session_id from unnest(p_turns) t
        union
        select a.session_id from unnest(p_allowances) a where a.full_until is not null
    ) as u
    left join (
        select t.session_id, max(now() + t.send_after + t.gap) as next_send_at
        from unnest(p_turns) t
        group by t.session_id
    ) as t on t.session_id = u.session_id
    left join unnest(p_allowances) a on a.session_id = u.session_id
    left join private.session_states n on n.session_id = u.session_id
    -- of a sender without limits every second will do, and claims that run at once do not wait for one another
    where case
        when a.session_id is not null then true
        when n.last_claimed_at > now() - interval '1 second' then false
        else pg_try_advisory_xact_lock(hashtextextended('private.session_states ' || u.session_id, 0))
    end
    order by u.session_id
    on conflict (session_id) do update set
        last_claimed_at = greatest(s.last_claimed_at, excluded.last_claimed_at),
        next_send_at = greatest(s.next_send_at, excluded.next_send_at);
end
$$;
revoke all on function private.note_claims(private.send_turn[], private.session_allowance[]) from public, anon, authenticated;
grant execute on function private.note_claims(private.send_turn[], private.session_allowance[]) to service_role;
comment on function private.note_claims(private.send_turn[], private.session_allowance[]) is
    'Notes that senders have been claimed for, and when the turn of their next message comes. Locks session states, after recipients and campaigns.';

create function public.claim_recipients(
    p_limit integer default 50,
    p_lease interval default null,
    p_exclude_sessions text[] default '{}',
    p_gateways text[] default null,
    p_default_senders jsonb default '{}',
    p_pace_ahead interval default null
)
returns table (
    client_message_id uuid,
    recipient_id uuid,
    campaign_id uuid,
    channel public.campaign_channel,
    gateway text,
    session_id text,
    recipient text,
    content jsonb,
    variables jsonb,
    attempt_number integer,
    send_after_ms integer
)
language plpgsql
set search_path = ''
-- Every look-up is an index probe, also for a session that made its plans while the tables were empty; and the limits
-- below are parameters, which a generic plan takes for a tenth of the table: it must not fetch and sort that much.
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_sources private.send_source[] := private.send_sources(
        p_exclude_sessions, p_gateways, p_default_senders, p_pace_ahead is not null
    );
    v_allowances private.session_allowance[] := private.session_allowances(v_sources);
    v_round private.send_source[];
    v_round_picked private.picked_recipient[];
    v_picked private.picked_recipient[] := '{}';
    v_left uuid[];
    v_turns private.send_turn[];
    v_remaining integer := p_limit;
begin
    if p_limit is null or p_limit not between 1 and 10000 then
        raise invalid_parameter_value using
            message = format('p_limit must be between 1 and 10000, not %s', coalesce(p_limit::text, 'null'));
    end if;

    if exists (select 1 from unnest(v_sources) s where s.messages_per_minute is not null or s.daily_allowance is not null) then
        v_sources := array(
            select (
                s.campaign_id, s.organization_id, s.channel, s.gateway, s.session_id, s.messages_per_minute, s.daily_allowance, l.allowance,
                s.after_at, s.after_id
            )::private.send_source
            from unnest(v_sources) with ordinality s
            left join unnest(v_allowances) a on a.session_id = s.session_id
            cross join lateral (
                select least(
                    a.allowance,
                    -- those whose turn comes within p_pace_ahead
                    ceil(extract(epoch from now() + p_pace_ahead - greatest(a.next_send_at, now())) * a.messages_per_minute / 66)
                )::integer
            ) as l (allowance)
            where case when s.messages_per_minute is null and s.daily_allowance is null then true else l.allowance > 0 end
            order by s.ordinality
        );
    end if;

    -- every source gets the same share; what some do not need is shared again among the others
    while v_sources <> '{}' loop
        v_round := v_sources[1:v_remaining];
        v_round_picked := array(
            select (p.recipient_id, p.campaign_id, p.organization_id, p.channel, p.gateway, p.session_id, p.next_attempt_at)::private.picked_recipient
            from (
                select d.*, row_number() over (partition by d.session_id order by d.place, d.ordinality) as session_place
                from (
                    select s.*, r.id as recipient_id, r.next_attempt_at, row_number() over (partition by s.campaign_id) as place
                    from unnest(v_round) with ordinality s
                    cross join lateral (
                        select q.id, q.next_attempt_at
                        from public.notification_campaign_recipients q
                        where q.campaign_id = s.campaign_id and q.status = 'pending' and q.next_attempt_at <= now()
                            -- behind what the rounds before took, which this transaction's own locks would not skip
                            and (q.next_attempt_at, q.id) > (s.after_at, s.after_id)
                        order by q.next_attempt_at, q.id
                        limit least(greatest(1, v_remaining / cardinality(v_round)), coalesce(s.allowance, v_remaining))
                        for update skip locked
                    ) as r
                ) as d
            ) as p
            where p.allowance is null or p.session_place <= p.allowance
            order by p.place, p.ordinality
            limit v_remaining
        );
        v_picked := v_picked || v_round_picked;
        v_remaining := v_remaining - cardinality(v_round_picked);
        exit when v_remaining = 0;

        -- those whose turn has not come yet, then those that had something
        v_sources := array(
            select (
                s.campaign_id, s.organization_id, s.channel, s.gateway, s.session_id, s.messages_per_minute, s.daily_allowance,
                s.allowance - coalesce(k.session_count, 0), coalesce(t.after_at, s.after_at), coalesce(t.after_id, s.after_id)
            )::private.send_source
            from unnest(v_sources) with ordinality s
            left join (
                select p.session_id, count(*)::integer as session_count
                from unnest(v_round_picked) p
                group by p.session_id
            ) as k on k.session_id = s.session_id
            left join (
                select distinct on (p.campaign_id) p.campaign_id, p.next_attempt_at as after_at, p.recipient_id as after_id
                from unnest(v_round_picked) p
                order by p.campaign_id, p.next_attempt_at desc, p.recipient_id desc
            ) as t on t.campaign_id = s.campaign_id
            where (s.ordinality > cardinality(v_round) or t.campaign_id is not null)
                and coalesce(s.allowance > coalesce(k.session_count, 0), true)
            order by s.ordinality <= cardinality(v_round), s.ordinality
        );
    end loop;

    v_left := array(
        select r.id
        from unnest(v_picked) p
        join public.notification_campaign_recipients r on r.id = p.recipient_id
        where r.message_id is not null
            or exists (
                select 1
                from public.opt_outs o
                where o.organization_id = p.organization_id
                    and o.channel = p.channel
                    and o.address = coalesce(r.address, r.recipient)
            )
    );
    if v_left <> '{}' then
        -- what carries a message id was sent, whatever its status said
        update public.notification_campaign_recipients r
        set status = case when r.message_id is null then 'skipped'::public.recipient_status else 'sent' end,
            skip_reason = case when r.message_id is null then 'opted_out' end,
            error_code = null,
            error_message = null,
            failure_class = null
        where r.id = any (v_left);
        v_picked := array(select p from unnest(v_picked) p where p.recipient_id <> all (v_left));
    end if;
    v_left := case when p_pace_ahead is null then '{}' else private.hold_spaced_recipients(v_picked, p_pace_ahead) end;
    v_turns := array(
        select (
            g.recipient_id, g.channel, g.gateway, g.session_id,
            greatest(g.next_send_at - now(), '0')
                + coalesce(sum(g.gap) over (partition by g.session_id order by g.ordinality rows between unbounded preceding and 1 preceding), '0'),
            g.gap
        )::private.send_turn
        from (
            select p.*, a.next_send_at, case when p_pace_ahead is not null then private.pace_gap(a.messages_per_minute) end as gap
            from unnest(v_picked) with ordinality p
            left join unnest(v_allowances) a on a.session_id = p.session_id
            where v_left = '{}' or p.recipient_id <> all (v_left)
        ) as g
    );

    return query
    with claimed as (
        update public.notification_campaign_recipients r
        set status = 'processing',
            attempt_count = r.attempt_count + 1,
            attempt_id = private.time_ordered_uuid(),
            failure_class = null,
            lease_expires_at = now() + coalesce(p_lease, private.default_lease(t.channel))
        from unnest(v_turns) t
        where r.id = t.recipient_id and r.status = 'pending'
        returning r.id, r.campaign_id, r.recipient, r.variables, r.attempt_id, r.attempt_count, t.channel, t.gateway, t.session_id,
            case when t.gap is not null then t.send_after end as send_after
    ),
    attempts as (
        insert into public.send_attempts (id, recipient_id, attempt_number, session_id)
        select c.attempt_id, c.id, c.attempt_count, c.session_id
        from claimed c
    )
    select c.attempt_id, c.id, c.campaign_id, c.channel, c.gateway, c.session_id, c.recipient, g.content, c.variables, c.attempt_count,
        ceil(extract(epoch from c.send_after) * 1000)::integer
    from claimed c
    join public.notification_campaigns g on g.id = c.campaign_id
    order by c.send_after nulls first;

    perform private.note_claims(v_turns, v_allowances);
end
$$;
revoke all on function public.claim_recipients(integer, interval, text[], text[], jsonb, interval) from public, anon, authenticated;
grant execute on function public.claim_recipients(integer, interval, text[], text[], jsonb, interval) to service_role;
comment on function public.claim_recipients(integer, interval, text[], text[], jsonb, interval) is
    'Claims up to p_limit due recipients of processing campaigns, in equal shares, within each sender''s messages_per_minute and daily limit; the opted-out are skipped. '
    'An attempt is committed for each: send it as client_message_id, then report to record_send_results. p_lease: null is 5 minutes for groups, 10 for contacts. '
    'p_gateways: only senders of these; p_default_senders: {gateway: sender}, for organizations that have no sender of the channel''s own gateway. '
    'p_pace_ahead: keep the pace: what a sender with messages_per_minute sends is spread over the minute, and claimed when its turn comes within so long, to be sent after send_after_ms; '
    'Retry-After is honoured, and what goes to one recipient is spaced where the provider asks for it. Null: all that the limits allow, at once; send_after_ms is null. '
    'Two claims never answer the same row; one that carries a message id is settled as sent. Caller: process-notification-campaigns.';

create function public.milliseconds_until_next_send(p_gateways text[] default null, p_default_senders jsonb default '{}')
returns integer
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return (
        select ceil(extract(epoch from min(least(greatest(n.next_send_at, n.hold_expires_at), now() + interval '1 day')) - now()) * 1000)
        from private.due_campaigns() c
        cross join lateral private.campaign_senders(c.organization_id, c.channel, c.session_id, p_default_senders) u
        join private.session_states n on n.session_id = u.session_id
        where u.is_active
            and (p_gateways is null or u.gateway = any (p_gateways))
            and greatest(n.next_send_at, n.hold_expires_at) > now()
    );
end
$$;
revoke all on function public.milliseconds_until_next_send(text[], jsonb) from public, anon, authenticated;
grant execute on function public.milliseconds_until_next_send(text[], jsonb) to service_role;
comment on function public.milliseconds_until_next_send(text[], jsonb) is
    'When the pace, a limit or a Retry-After of some sender lets the next due message through, at most a day; null where nothing due waits for that. '
    'Arguments as of claim_recipients. Caller: process-notification-campaigns.';

-- ---------------------------------------------------------------------------------------------------------------------
-- what was heard
-- ---------------------------------------------------------------------------------------------------------------------

create function public.record_send_results(p_results jsonb)
returns jsonb
language plpgsql
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_outcomes private.send_outcome[];
    v_recorded integer;
begin
    if jsonb_typeof(p_results) is distinct from 'array' then
        raise invalid_parameter_value using
            message = format('p_results must be an array of results, not %s', coalesce(jsonb_typeof(p_results), 'null'));
    end if;
    v_outcomes := array(
        select (
            row_number() over (), a.recipient_id, a.id,
            -- a refusal is what its code says it is
            case
                when e.outcome = 'failed' and private.failure_action_of(e."errorCode") in ('retry', 'pause') then 'deferred'
                else e.outcome
            end,
            nullif(e."messageId", ''), e."errorCode", e."errorMessage",
            now(), e."retryAfterSeconds" * interval '1 second', e."leaseSeconds" * interval '1 second',
            e.outcome = 'not_found' and coalesce(e.asked, true),
            case when e.outcome in ('failed', 'deferred', 'skipped') then private.failure_class_of(e."errorCode") end,
            e."pollAfterSeconds" * interval '1 second'
        )::private.send_outcome
        from jsonb_to_recordset(p_results) as e (
            "clientMessageId" uuid, outcome public.attempt_outcome, "messageId" text, "errorCode" text, "errorMessage" text,
            "retryAfterSeconds" double precision, "leaseSeconds" double precision, asked boolean, "pollAfterSeconds" double precision
        )
        join public.send_attempts a on a.id = e."clientMessageId"
    );
    if exists (select 1 from unnest(v_outcomes) o where o.message_id is not null) then
        perform private.lock_message_ids(array(select o.message_id from unnest(v_outcomes) o where o.message_id is not null));
    end if;
    select count(*) filter (where o.applied)
    into v_recorded
    from private.apply_send_outcomes(v_outcomes) o;
    perform private.hold_senders(v_outcomes);
    -- last: it may opt somebody out
    if p_results @? '$[*].waId' then
        perform private.learn_contact_aliases(p_results);
    end if;
    return jsonb_build_object('recorded', v_recorded, 'superseded', jsonb_array_length(p_results) - v_recorded);
end
$$;
revoke all on function public.record_send_results(jsonb) from public, anon, authenticated;
grant execute on function public.record_send_results(jsonb) to service_role;
comment on function public.record_send_results(jsonb) is
    'Records what the gateway answered, or said when it was asked: [{clientMessageId, outcome: accepted|sent|skipped|failed|deferred|unknown|not_found, messageId, errorCode, errorMessage, '
    'retryAfterSeconds, leaseSeconds, asked (not_found: false where nobody could be asked), pollAfterSeconds, waId (what WhatsApp calls the recipient, where that is not the number dialled)}]. What a failure leads to, its errorCode decides (private.failure_codes). '
    'Answers {recorded, superseded}: superseded ones came too late to change anything. Caller: process-notification-campaigns.';

create function private.is_send_callback(p_event jsonb)
returns boolean
language sql
immutable
return coalesce(
    p_event ->> 'event' in ('message_sent', 'message_failed')
    and coalesce(nullif(p_event ->> 'clientMessageId', ''), nullif(p_event ->> 'messageId', ''), nullif(p_event ->> 'groupJid', '')) is not null,
    false
);
revoke all on function private.is_send_callback(jsonb) from public, anon, authenticated;
grant execute on function private.is_send_callback(jsonb) to service_role;
comment on function private.is_send_callback(jsonb) is 'Whether record_send_callback can look for the send an event is about.';

create function private.send_callback_candidates(p_event jsonb)
returns table (recipient_id uuid, attempt_id uuid)
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    -- by the id we gave it
    return query
    select a.recipient_id, a.id
    from public.send_attempts a
    where a.id = case
        when pg_input_is_valid(p_event ->> 'clientMessageId', 'uuid') then (p_event ->> 'clientMessageId')::uuid
    end;
    if found then
        return;
    end if;
    -- by the id the provider gave it, where that is known: a repetition
    return query
    select i.recipient_id, a.id
    from private.message_ids i
    left join public.send_attempts a on a.message_id = i.message_id
    where i.message_id = nullif(p_event ->> 'messageId', '') and i.recipient_id is not null;
    if found then
        return;
    end if;
    -- by the group: what is being sent to it now, else what was given up without an answer, else what was proved sent
    -- without its id; the same sender first
    return query
    select r.id, a.id
    from public.notification_campaign_recipients r
    join public.notification_campaigns c on c.id = r.campaign_id
    left join public.send_attempts a on a.id = r.attempt_id
    where coalesce(r.address, r.recipient) = private.address_of(p_event ->> 'groupJid')
        and r.message_id is null
        and (r.status in ('processing', 'sent') or r.attempt_count > 0)
        -- a known sender speaks for its own organization alone
        and not exists (
            select 1
            from public.gateway_sessions s
            where s.id = p_event ->> 'sessionId' and s.organization_id <> c.organization_id
        )
    order by
        r.status = 'processing' desc, r.status = 'sent', a.session_id is not distinct from p_event ->> 'sessionId' desc,
        a.claimed_at desc nulls last
    limit 20;
end
$$;
revoke all on function private.send_callback_candidates(jsonb) from public, anon, authenticated;
grant execute on function private.send_callback_candidates(jsonb) to service_role;
comment on function private.send_callback_candidates(jsonb) is
    'Which recipient and attempt a send callback may be about, the best first: clientMessageId, else a known messageId, else what is or was sent to the group.';

create function public.record_send_callback(p_event jsonb)
returns jsonb
language plpgsql
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_events jsonb := case jsonb_typeof(p_event) when 'array' then p_event else jsonb_build_array(p_event) end;
    v_callbacks jsonb[];
    v_outcomes private.send_outcome[] := '{}';
    v_unmatched jsonb[] := '{}';
    v_outcome private.send_outcome;
    v_locked uuid[];
    v_event jsonb;
    v_matched integer := 0;
    v_recorded integer := 0;
    v_journaled integer := 0;
begin
    if coalesce(jsonb_typeof(p_event), 'null') not in ('array', 'object') then
        raise invalid_parameter_value using
            message = format('p_event must be an event or an array of events, not %s', coalesce(jsonb_typeof(p_event), 'null'));
    end if;
    v_callbacks := array(
        select e.event
        from jsonb_array_elements(v_events) with ordinality as e (event, place)
        where private.is_send_callback(e.event)
        order by e.place
    );
    if cardinality(v_callbacks) < jsonb_array_length(v_events) then
        v_journaled := private.journal_undigested('send_callback', array(
            select e.event
            from jsonb_array_elements(v_events) as e (event)
            where not private.is_send_callback(e.event)
        ));
    end if;
    -- first of all: of two callbacks that name the same message, one waits here and then finds what the other did
    perform private.lock_message_ids(array(
        select e.event ->> 'messageId'
        from unnest(v_callbacks) as e (event)
        where e.event ->> 'messageId' <> ''
    ));
    -- everything any of them may be about, in id order
    v_locked := array(
        select distinct c.recipient_id
        from unnest(v_callbacks) as e (event)
        cross join lateral private.send_callback_candidates(e.event) c
    );
    perform 1
    from public.notification_campaign_recipients r
    where r.id = any (v_locked)
    order by r.id
    for no key update;

    -- An array says the same as its events one after the other. What has nothing to do with one another is applied
    -- together; an event about the same recipient or message as one before it first waits for that to be applied.
    foreach v_event in array v_callbacks
    loop
        loop
            v_outcome := null;
            select c.recipient_id, c.attempt_id
            into v_outcome.recipient_id, v_outcome.attempt_id
            from private.send_callback_candidates(v_event) c
            limit 1;
            if exists (
                select 1
                from unnest(v_outcomes) o
                where o.recipient_id = v_outcome.recipient_id or o.message_id = v_event ->> 'messageId'
            ) then
                v_recorded := v_recorded + (select count(*) filter (where o.applied) from private.apply_send_outcomes(v_outcomes) o);
                v_outcomes := '{}';
                continue;
            end if;
            exit when v_outcome.recipient_id is null or v_outcome.recipient_id = any (v_locked);
            -- claimed while we were looking: hold it, and look again whether it still is the one
            perform 1 from public.notification_campaign_recipients r where r.id = v_outcome.recipient_id for no key update;
            v_locked := v_locked || v_outcome.recipient_id;
        end loop;
        if v_outcome.recipient_id is null then
            v_unmatched := v_unmatched || v_event;
            continue;
        end if;
        v_matched := v_matched + 1;
        v_outcome.ordinal := v_matched;
        v_outcome.outcome := case v_event ->> 'event' when 'message_sent' then 'sent' else 'failed' end;
        v_outcome.message_id := nullif(v_event ->> 'messageId', '');
        v_outcome.occurred_at := private.event_time(v_event ->> 'timestamp');
        if v_outcome.outcome = 'failed' then
            v_outcome.error_code := coalesce(v_event ->> 'errorCode', v_event #>> '{error,code}');
            v_outcome.error_message := case jsonb_typeof(v_event -> 'error')
                when 'object' then v_event #>> '{error,message}'
                else v_event ->> 'error'
            end;
            v_outcome.failure_class := private.failure_class_of(v_outcome.error_code);
        end if;
        v_outcomes := v_outcomes || v_outcome;
    end loop;
    v_recorded := v_recorded + (select count(*) filter (where o.applied) from private.apply_send_outcomes(v_outcomes) o);

    if v_unmatched <> '{}' then
        perform private.journal_webhook_events('send_callback', 'unmatched', v_unmatched);
        -- ids that were held for nothing, and that no receipt waits under
        delete from private.message_ids i
        where i.message_id = any (array(select u.event ->> 'messageId' from unnest(v_unmatched) as u (event)))
            and i.recipient_id is null
            and i.parked_at is null;
    end if;
    perform private.note_heard(array(select distinct e.event ->> 'sessionId' from unnest(v_callbacks) as e (event)));

    return jsonb_build_object(
        'recorded', v_recorded,
        'duplicates', v_matched - v_recorded,
        'unmatched', cardinality(v_unmatched),
        'journaled', v_journaled
    );
end
$$;
revoke all on function public.record_send_callback(jsonb) from public, anon, authenticated;
grant execute on function public.record_send_callback(jsonb) to service_role;
comment on function public.record_send_callback(jsonb) is
    'Records a gateway''s callback, or an array of them: {event: message_sent|message_failed, sessionId, groupJid, messageId, error, timestamp, clientMessageId}. '
    'Completes the campaign when it was the last. Answers {recorded, duplicates, unmatched, journaled}; unmatched ones are journaled too. Caller: whatsapp-send-callback.';

-- ---------------------------------------------------------------------------------------------------------------------
-- what was not heard
-- ---------------------------------------------------------------------------------------------------------------------

create function public.claim_stale_attempts(p_limit integer default 100)
returns table (
    client_message_id uuid,
    campaign_id uuid,
    channel public.campaign_channel,
    gateway text,
    session_id text,
    recipient text
)
language sql
set search_path = ''
set enable_seqscan = off
as $$
    with stale as (
        select r.id
        from public.notification_campaign_recipients r
        where r.id = any (array(
            select s.id
            from public.notification_campaign_recipients s
            where s.status = 'processing' and s.lease_expires_at < now() and s.attempt_id is not null
            order by s.lease_expires_at
            limit p_limit
            for no key update skip locked
        ))
    ),
    leased as (
        -- one asker at a time; asked again when no answer was recorded by then
        update public.notification_campaign_recipients r
        set lease_expires_at = now() + interval '15 seconds'
        from stale s
        where r.id = s.id and r.status = 'processing'
        returning r.id, r.campaign_id, r.attempt_id, r.recipient
    ),
    asked as (
        update public.send_attempts a
        set asked_at = now(), asked_count = a.asked_count + 1
        from leased l
        where a.id = l.attempt_id
        returning a.id, a.session_id, a.recipient_id
    )
    select a.id, l.campaign_id, c.channel, private.session_gateway(s.gateway, s.channel, a.session_id, c.channel), a.session_id, l.recipient
    from asked a
    join leased l on l.id = a.recipient_id
    join public.notification_campaigns c on c.id = l.campaign_id
    left join public.gateway_sessions s on s.id = a.session_id
$$;
revoke all on function public.claim_stale_attempts(integer) from public, anon, authenticated;
grant execute on function public.claim_stale_attempts(integer) to service_role;
comment on function public.claim_stale_attempts(integer) is
    'Up to p_limit sends whose lease ended without confirmation, to be looked up at the gateway. Each is handed to one asker and again after 15 s. Caller: process-notification-campaigns.';

create function public.recover_stale_recipients(p_asked_at_least integer default 0)
returns integer
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_outcomes private.send_outcome[];
    v_recovered integer;
begin
    v_outcomes := array(
        select (row_number() over (), r.id, a.id, 'not_found', null, null, null, now(), null, null, false, null, null)::private.send_outcome
        from public.notification_campaign_recipients r
        left join public.send_attempts a on a.id = r.attempt_id
        where r.id = any (array(
            select s.id
            from public.notification_campaign_recipients s
            left join public.send_attempts t on t.id = s.attempt_id
            where s.status = 'processing'
                and s.lease_expires_at < now()
                and coalesce(t.asked_count, p_asked_at_least) >= p_asked_at_least
            order by s.lease_expires_at
            limit 1000
        ))
    );
    if v_outcomes = '{}' then
        return 0;
    end if;
    perform 1
    from public.notification_campaign_recipients r
    where r.id = any (array(select o.recipient_id from unnest(v_outcomes) o))
    order by r.id
    for no key update;
    -- somebody may have renewed a lease, or claimed the row anew, before we held it
    v_outcomes := array(
        select o
        from unnest(v_outcomes) o
        join public.notification_campaign_recipients r on r.id = o.recipient_id
        where r.status = 'processing' and r.lease_expires_at < now()
    );
    select count(*) filter (where o.applied)
    into v_recovered
    from private.apply_send_outcomes(v_outcomes) o;
    return v_recovered;
end
$$;
revoke all on function public.recover_stale_recipients(integer) from public, anon, authenticated;
grant execute on function public.recover_stale_recipients(integer) to service_role;
comment on function public.recover_stale_recipients(integer) is
    'Gives up waiting for up to 1,000 sends whose lease ended, the gateway having been asked p_asked_at_least times: by the campaign''s unconfirmed_policy they go back to pending '
    'while attempts remain, else they become unconfirmed: nobody knows whether they were sent. Answers how many. Caller: process-notification-campaigns.';

create function public.claim_silent_messages(p_limit integer default 100, p_gateways text[] default null)
returns table (client_message_id uuid, message_id text, campaign_id uuid, gateway text, session_id text)
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    with due as (
        select
            a.id, r.campaign_id, r.status = 'sent' and r.delivered_count = 0 as is_silent,
            r.status in ('processing', 'unconfirmed') as is_open, g.gateway,
            now() - coalesce(a.claimed_at, a.finished_at, now()) as age
        from public.send_attempts a
        join public.notification_campaign_recipients r on r.id = a.recipient_id
        join public.notification_campaigns c on c.id = r.campaign_id
        left join public.gateway_sessions s on s.id = a.session_id
        cross join lateral private.session_gateway(s.gateway, s.channel, a.session_id, c.channel) as g (gateway)
        where a.next_poll_at <= now() and (p_gateways is null or g.gateway = any (p_gateways))
        order by a.next_poll_at
        limit p_limit
        for update of a skip locked
    ),
    polled as (
        update public.send_attempts a
        set asked_at = now(),
            asked_count = a.asked_count + 1,
            -- at twice the age, until two days have passed
            next_poll_at = case
                when (d.is_silent or d.is_open) and d.age < interval '2 days' then now() + greatest(d.age, interval '1 second')
            end
        from due d
        where a.id = d.id
        returning a.id, a.message_id, d.campaign_id, d.gateway, a.session_id, d.is_silent
    )
    select p.id, p.message_id, p.campaign_id, p.gateway, p.session_id
    from polled p
    where p.is_silent and p.message_id is not null;
end
$$;
revoke all on function public.claim_silent_messages(integer, text[]) from public, anon, authenticated;
grant execute on function public.claim_silent_messages(integer, text[]) to service_role;
comment on function public.claim_silent_messages(integer, text[]) is
    'Up to p_limit sent messages whose delivery nobody has reported, to be asked about at the gateways named: after a while, then each time at twice their age, for two days. '
    'Each is handed to one asker. Caller: process-notification-campaigns.';
