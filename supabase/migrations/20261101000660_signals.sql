-- What providers say about a sender itself: that it may not send any more, that it may again, how much it may send in a
-- day. Such signals come by webhook, often before a message fails for it. Senders are locked last, by id.

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table private.sender_stops (
    session_id text not null references public.gateway_sessions (id) on delete cascade,
    -- restriction, ban, connection: a signal lifts a stop of its own cause alone, for an account that is connected again
    -- may still be banned
    cause text not null,
    is_in_force boolean not null,
    -- as gateway_sessions.status_reason has it while the sender is stopped for it
    reason text not null,
    -- the provider's clock: what is older than the newest word of a cause says nothing any more
    said_at timestamptz not null,
    heard_at timestamptz not null,
    primary key (session_id, cause),
    constraint cause_is_not_blank check (cause ~ '\S')
);
comment on table private.sender_stops is
    'The last word of a provider on whether a sender may send, for each cause. Whoever sets the sender active after a stop was heard has overruled it.';

create table private.sender_limits (
    session_id text primary key references public.gateway_sessions (id) on delete cascade,
    -- gateway_sessions.daily_limit as a person set it
    limit_before integer,
    -- what it was lowered to; null: the provider allows as much as the person does
    lowered_to integer,
    said_at timestamptz not null
);
comment on table private.sender_limits is
    'The last word of a provider on how many messages a sender may send in a day. What it lowered it may raise again, never above what a person set.';

-- ---------------------------------------------------------------------------------------------------------------------
-- reading signals
-- ---------------------------------------------------------------------------------------------------------------------

create function private.is_sender_signal(p_event jsonb)
returns boolean
language sql
immutable
return coalesce(
    p_event ->> 'event' in ('sender_restricted', 'sender_restored', 'sender_limited')
    and greatest(
        length(p_event ->> 'sessionId'), length(p_event ->> 'accountId'), length(p_event ->> 'displayPhoneNumber')
    ) between 1 and 256
    and length(coalesce(p_event ->> 'cause', '-')) between 1 and 64
    -- null is no limit
    and coalesce(p_event ->> 'dailyLimit', '1') ~ '^[1-9]\d{0,8}$',
    false
);
revoke all on function private.is_sender_signal(jsonb) from public, anon, authenticated;
grant execute on function private.is_sender_signal(jsonb) to service_role;
comment on function private.is_sender_signal(jsonb) is 'Whether record_sender_signals can make something of an event.';

create type private.sender_signal as (
    place bigint,
    -- null: it names nobody that we know
    session_id text,
    event text,
    cause text,
    reason text,
    daily_limit integer,
    said_at timestamptz
);

create function private.sender_signals(p_signals jsonb)
returns private.sender_signal[]
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return array(
        select (
            e.place, m.id, e.event ->> 'event', coalesce(e.event ->> 'cause', 'restriction'),
            left(coalesce(nullif(btrim(e.event ->> 'reason'), ''), 'the provider gave no reason'), 1000),
            (e.event ->> 'dailyLimit')::integer,
            -- nobody speaks in the future, where it would have the last word for ever
            least(private.event_time(e.event ->> 'timestamp'), now())
        )::private.sender_signal
        from jsonb_array_elements(p_signals) with ordinality as e (event, place)
        -- every sender that it names in any way
        left join lateral (
            select g.id
            from public.gateway_sessions g
            where g.id = e.event ->> 'sessionId'
            union
            select g.id
            from public.gateway_sessions g
            where g.account_id = e.event ->> 'accountId'
            union
            -- a number may be a sender of text messages as well, which is another matter
            select g.id
            from public.gateway_sessions g
            where g.phone_number is not null
                and private.address_of(g.phone_number) = private.address_of(e.event ->> 'displayPhoneNumber')
                and g.channel <> 'sms'
        ) as m on true
        where private.is_sender_signal(e.event)
        order by e.place, m.id
    );
end
$$;
revoke all on function private.sender_signals(jsonb) from public, anon, authenticated;
grant execute on function private.sender_signals(jsonb) to service_role;
comment on function private.sender_signals(jsonb) is
    'The signals among the elements of a batch, one for each sender that they name: by its id, by its account_id, by its phone_number.';

-- ---------------------------------------------------------------------------------------------------------------------
-- what follows
-- ---------------------------------------------------------------------------------------------------------------------

create function private.apply_sender_stops(p_signals private.sender_signal[])
returns bigint[]
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_news private.sender_signal[];
    v_changed text[];
begin
    with said as (
        select distinct on (s.session_id, s.cause) s.session_id, s.cause, s as signal
        from unnest(p_signals) s
        join public.gateway_sessions g on g.id = s.session_id
        where s.event in ('sender_restricted', 'sender_restored')
        -- the last word; in one second, that it may not send
        order by s.session_id, s.cause, s.said_at desc, s.event = 'sender_restricted' desc, s.place
    ),
    heard as (
        insert into private.sender_stops as p (session_id, cause, is_in_force, reason, said_at, heard_at)
        select s.session_id, s.cause, (s.signal).event = 'sender_restricted', (s.signal).reason, (s.signal).said_at, clock_timestamp()
        from said s
        order by s.session_id, s.cause
        on conflict (session_id, cause) do update set
            is_in_force = excluded.is_in_force,
            reason = case when excluded.is_in_force then excluded.reason else p.reason end,
            said_at = excluded.said_at,
            heard_at = excluded.heard_at
        where excluded.said_at > p.said_at or (excluded.said_at = p.said_at and excluded.is_in_force and not p.is_in_force)
        returning p.session_id, p.cause
    )
    select coalesce(array_agg(s.signal), '{}')
    into v_news
    from said s
    join heard h on h.session_id = s.session_id and h.cause = s.cause;

    with standing as (
        select
            g.id,
            (array_agg(p.reason order by p.said_at desc, p.cause) filter (where p.is_in_force and p.heard_at > g.activated_at))[1] as reason,
            bool_or(p.reason = g.status_reason) as is_stopped_by_signal
        from public.gateway_sessions g
        join private.sender_stops p on p.session_id = g.id
        where g.id = any (array(select n.session_id from unnest(v_news) n))
        group by g.id
    ),
    changed as (
        update public.gateway_sessions g
        set status = case when s.reason is null then 'active'::public.session_status else 'restricted' end,
            status_reason = s.reason,
            is_stopped_automatically = s.reason is not null
        from standing s
        where g.id = s.id
            and g.status_reason is distinct from s.reason
            -- what a person has stopped, or lacks a token, is left alone; a restriction seen by its failures is this one
            and case
                when s.reason is not null then g.status = 'active' or (g.status = 'restricted' and g.is_stopped_automatically)
                else g.status = 'restricted' and g.is_stopped_automatically and s.is_stopped_by_signal
            end
        returning g.id
    )
    select coalesce(array_agg(c.id), '{}') into v_changed from changed c;
    return array(select n.place from unnest(v_news) n where n.session_id = any (v_changed));
end
$$;
revoke all on function private.apply_sender_stops(private.sender_signal[]) from public, anon, authenticated;
grant execute on function private.apply_sender_stops(private.sender_signal[]) to service_role;
comment on function private.apply_sender_stops(private.sender_signal[]) is
    'Stops senders that may not send and lets those go on that were stopped so and may send again. Answers the places of the signals that changed a sender. The caller holds the senders.';

create function private.apply_sender_limits(p_signals private.sender_signal[])
returns bigint[]
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_applied bigint[];
begin
    with said as (
        select distinct on (s.session_id) s.place, s.session_id, s.daily_limit, s.said_at
        from unnest(p_signals) s
        where s.event = 'sender_limited'
        -- the last word; in one second, the lowest
        order by s.session_id, s.said_at desc, s.daily_limit nulls last, s.place
    ),
    news as (
        select
            s.place, s.session_id, s.daily_limit as allowed, s.said_at,
            -- what a person set: what it was before a signal lowered it, unless somebody has changed it since
            case when g.daily_limit = l.lowered_to then l.limit_before else g.daily_limit end as wanted
        from said s
        join public.gateway_sessions g on g.id = s.session_id
        left join private.sender_limits l on l.session_id = s.session_id
        where l.said_at is null or s.said_at > l.said_at
    ),
    noted as (
        insert into private.sender_limits as l (session_id, limit_before, lowered_to, said_at)
        select n.session_id, n.wanted, case when least(n.wanted, n.allowed) is distinct from n.wanted then n.allowed end, n.said_at
        from news n
        order by n.session_id
        on conflict (session_id) do update set
            limit_before = excluded.limit_before,
            lowered_to = excluded.lowered_to,
            said_at = excluded.said_at
    ),
    limited as (
        update public.gateway_sessions g
        -- least() leaves nulls out, which are no limit
        set daily_limit = least(n.wanted, n.allowed),
            warm_up_first_day = case when g.warm_up_first_day is not null then least(g.warm_up_first_day, n.wanted, n.allowed) end
        from news n
        where g.id = n.session_id
            and g.daily_limit is distinct from least(n.wanted, n.allowed)
            -- a warm-up leads to a limit
            and (g.warm_up_first_day is null or least(n.wanted, n.allowed) is not null)
        returning n.place
    )
    select coalesce(array_agg(l.place), '{}') into v_applied from limited l;
    return v_applied;
end
$$;
revoke all on function private.apply_sender_limits(private.sender_signal[]) from public, anon, authenticated;
grant execute on function private.apply_sender_limits(private.sender_signal[]) to service_role;
comment on function private.apply_sender_limits(private.sender_signal[]) is
    'Lowers the daily_limit of senders to what their provider allows, and raises it again as far as it was lowered so. Answers the places of the signals that changed a sender. '
    'The caller holds the senders.';

create function private.complete_seen_senders(p_seen jsonb)
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_incomplete text[];
begin
    v_incomplete := array(
        select g.id
        from jsonb_to_recordset(p_seen) as s ("sessionId" text, "accountId" text, "displayPhoneNumber" text)
        -- by its id, however few lack something
        cross join lateral (
            select i.id, i.account_id, i.phone_number from public.gateway_sessions i where i.id = s."sessionId" offset 0
        ) as g
        where (g.account_id is null and s."accountId" <> '') or (g.phone_number is null and s."displayPhoneNumber" <> '')
    );
    if v_incomplete = '{}' then
        return;
    end if;
    perform 1
    from public.gateway_sessions g
    where g.id = any (v_incomplete)
    order by g.id
    for no key update;
    update public.gateway_sessions g
    set account_id = coalesce(g.account_id, nullif(s."accountId", '')),
        phone_number = coalesce(g.phone_number, nullif(s."displayPhoneNumber", ''))
    from jsonb_to_recordset(p_seen) as s ("sessionId" text, "accountId" text, "displayPhoneNumber" text)
    where g.id = any (v_incomplete) and g.id = s."sessionId";
end
$$;
revoke all on function private.complete_seen_senders(jsonb) from public, anon, authenticated;
grant execute on function private.complete_seen_senders(jsonb) to service_role;
comment on function private.complete_seen_senders(jsonb) is
    'Fills in the account and the number of senders that have none, from what came with a message to them: signals name nothing else. What is filled in already stays.';

create function public.record_sender_signals(p_signals jsonb)
returns jsonb
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_signals private.sender_signal[];
    v_applied bigint[];
    v_unmatched bigint[];
    v_journaled integer := 0;
begin
    if jsonb_typeof(p_signals) is distinct from 'array' then
        raise invalid_parameter_value using
            message = format('p_signals must be an array of signals, not %s', coalesce(jsonb_typeof(p_signals), 'null'));
    end if;
    if p_signals = '[]' then
        return '{"applied": 0, "ignored": 0, "unmatched": 0, "journaled": 0}';
    end if;
    if p_signals @? '$[*] ? (@.event == "sender_seen")' then
        perform private.complete_seen_senders(jsonb_path_query_array(p_signals, '$[*] ? (@.event == "sender_seen")'));
        p_signals := jsonb_path_query_array(p_signals, '$[*] ? (!exists (@.event ? (@ == "sender_seen")))');
        if p_signals = '[]' then
            return '{"applied": 0, "ignored": 0, "unmatched": 0, "journaled": 0}';
        end if;
    end if;
    v_signals := private.sender_signals(p_signals);
    if exists (select 1 from jsonb_array_elements(p_signals) as e (event) where not private.is_sender_signal(e.event)) then
        v_journaled := private.journal_undigested('signal', array(
            select e.event
            from jsonb_array_elements(p_signals) as e (event)
            where not private.is_sender_signal(e.event)
        ));
    end if;

    perform 1
    from public.gateway_sessions g
    where g.id = any (array(select s.session_id from unnest(v_signals) s))
    order by g.id
    for no key update;
    v_applied := private.apply_sender_stops(v_signals) || private.apply_sender_limits(v_signals);
    v_unmatched := array(select s.place from unnest(v_signals) s where s.session_id is null);

    -- all of them are kept: whoever wonders why a sender stands still finds what the provider said
    insert into private.webhook_events as w (source, reason, payload, replayed_at)
    select distinct on (md5(u.event::text)) 'signal', u.outcome, u.event, case when u.outcome <> 'unmatched' then now() end
    from (
        select
            e.place,
            case when e.place = any (v_applied) then 'applied' when e.place = any (v_unmatched) then 'unmatched' else 'ignored' end as outcome,
            private.without_secrets(
                -- a replay must not take it for something said just then
                case
                    when e.place = any (v_unmatched) and e.event ->> 'timestamp' is null then e.event || jsonb_build_object('timestamp', now())
                    else e.event
                end
            ) as event
        from jsonb_array_elements(p_signals) with ordinality as e (event, place)
        where private.is_sender_signal(e.event)
    ) as u
    order by md5(u.event::text), u.outcome, u.place
    on conflict (source, payload_hash) do update set
        seen_count = w.seen_count + 1,
        last_seen_at = now(),
        -- unmatched when it first came, and of use now
        replayed_at = coalesce(w.replayed_at, excluded.replayed_at);

    return jsonb_build_object(
        'applied', (select count(distinct a.place) from unnest(v_applied) as a (place)),
        'ignored',
            jsonb_array_length(p_signals) - v_journaled - cardinality(v_unmatched)
            - (select count(distinct a.place) from unnest(v_applied) as a (place)),
        'unmatched', cardinality(v_unmatched),
        'journaled', v_journaled
    );
end
$$;
revoke all on function public.record_sender_signals(jsonb) from public, anon, authenticated;
grant execute on function public.record_sender_signals(jsonb) to service_role;
comment on function public.record_sender_signals(jsonb) is
    'Records what providers say about senders: [{event: sender_restricted|sender_restored|sender_limited, sessionId, accountId, displayPhoneNumber (at least one), cause: restriction|ban|connection, '
    'reason, dailyLimit (sender_limited: null is unlimited), timestamp, payload}]. Restricted stops every active sender that it names; restored lets it go on if a signal of that cause stopped it; '
    'limited lowers daily_limit. Each is journaled with what came of it. And {event: sender_seen, sessionId, accountId, displayPhoneNumber}, which fills in what is missing and is not counted. Answers {applied, ignored, unmatched, journaled}: journaled ones could not be read. Caller: the webhooks.';

create function public.record_gateway_events(p_callbacks jsonb, p_signals jsonb)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_callbacks jsonb := case
        when p_callbacks = '[]' then '{"recorded": 0, "duplicates": 0, "unmatched": 0, "journaled": 0}'
        else public.record_send_callback(p_callbacks)
    end;
    v_signals jsonb := public.record_sender_signals(p_signals);
begin
    return v_callbacks || v_signals || jsonb_build_object(
        'unmatched', (v_callbacks ->> 'unmatched')::integer + (v_signals ->> 'unmatched')::integer,
        'journaled', (v_callbacks ->> 'journaled')::integer + (v_signals ->> 'journaled')::integer
    );
end
$$;
revoke all on function public.record_gateway_events(jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.record_gateway_events(jsonb, jsonb) to service_role;
comment on function public.record_gateway_events(jsonb, jsonb) is
    'record_send_callback and record_sender_signals for one post of a gateway that holds both: all of it, or nothing. Answers the counts of both together. Caller: whatsapp-send-callback.';

-- ---------------------------------------------------------------------------------------------------------------------
-- grants
-- ---------------------------------------------------------------------------------------------------------------------

alter table private.sender_stops enable row level security;
revoke all on private.sender_stops from public, anon, authenticated;
grant all on private.sender_stops to service_role;

alter table private.sender_limits enable row level security;
revoke all on private.sender_limits from public, anon, authenticated;
grant all on private.sender_limits to service_role;
