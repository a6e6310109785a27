-- What providers report back: which message id belongs to which recipient, who received and read it, and a journal of
-- what could not be digested. A receipt enters in record_receipts, becomes a row keyed by (message id, reader), and a
-- trigger turns changed rows into the counts of their recipient. It is counted there and nowhere else.
--
-- Locks are taken in this order everywhere: message ids, receipts, recipients, campaigns, session states, senders; in each of them by key.

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table private.message_ids (
    -- collated by bytes, here and wherever an id stands: cheaper to compare, and one order for all locks
    message_id text collate "C" primary key,
    -- Null while only receipts have named this id. No foreign key: whoever binds an id holds the recipient's row anyway;
    -- forget_message_ids removes what a deleted recipient leaves.
    recipient_id uuid,
    -- when receipts first named it; null where the send did
    parked_at timestamptz
)
with (fillfactor = 90);
comment on table private.message_ids is
    'Where a message id meets its recipient. Receipts of an unknown id and the send that names it both write this row first, '
    'so one of them always waits for the other and sees what it did.';
create index message_ids_recipient on private.message_ids (recipient_id) where recipient_id is not null;
create index message_ids_parked on private.message_ids (parked_at) where recipient_id is null and parked_at is not null;

create table public.message_receipts (
    message_id text collate "C" not null,
    -- canonical: no device suffix; '' stands for nobody named, 'recipient' for the one person whom a message to a contact
    -- is for (or for all it is for, where a provider speaks of the message as a whole), 'sms' for their phone
    reader text collate "C" not null,
    -- No foreign key: a receipt may come before its message, and checking one would cost as much as counting.
    -- The row of private.message_ids is what links them; forget_receipts removes what a deleted recipient leaves.
    recipient_id uuid,
    delivered_at timestamptz,
    read_at timestamptz,
    played_at timestamptz,
    sent_at timestamptz,
    failed_at timestamptz,
    error_code text,
    error_message text,
    session_id text,
    -- what the provider charges for it, once: named by the provider, or by its category in message_rates
    cost numeric(14, 6),
    currency text,
    pricing_category text,
    anonymous_delivered_count integer not null default 0,
    anonymous_read_count integer not null default 0,
    -- which kinds the last write was the first to report (1 delivered, 2 read, 4 played, 8 sent, 16 failed):
    -- `on conflict … returning` cannot see the old row, and record_receipts answers from this
    -- In a row of nobody the bits above count what it reported anonymously.
    last_change integer not null default 0,
    primary key (message_id, reader),
    constraint message_id_is_not_blank check (message_id <> ''),
    constraint read_implies_delivered check (read_at is null or delivered_at is not null),
    constraint only_nobody_is_counted_anonymously check (
        reader = '' or (anonymous_delivered_count = 0 and anonymous_read_count = 0)
    ),
    constraint nobody_is_counted_anonymously check (reader <> '' or delivered_at is null)
)
with (
    fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_vacuum_cost_delay = 1
);
comment on table public.message_receipts is
    'Who received, read or played which message, each once. recipient_id is null while the message is not known yet (parked).';

create table public.message_rates (
    organization_id uuid not null references public.organizations (id) on delete cascade,
    -- as in Meta's pricing: marketing, utility, authentication, service
    category text not null,
    -- the rate of numbers that begin so: +49; the longest wins, '' is for all
    address_prefix text not null default '',
    effective_at timestamptz not null default '-infinity',
    cost numeric(14, 6) not null,
    currency text not null,
    primary key (organization_id, category, address_prefix, effective_at),
    constraint cost_is_not_negative check (cost >= 0)
);
comment on table public.message_rates is
    'What a delivered message costs. Meta''s receipts name a category and no amount; the rate that holds when the receipt comes is the cost of the message.';

create table private.webhook_events (
    id bigint generated always as identity primary key,
    source text not null,
    reason text not null,
    payload jsonb not null,
    payload_hash text not null generated always as (md5(payload::text)) stored,
    seen_count integer not null default 1,
    received_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    replayed_at timestamptz,
    unique (source, payload_hash),
    constraint source_is_known check (source in ('send_callback', 'receipt', 'inbound', 'sms_delivery', 'signal')),
    constraint seen_count_is_positive check (seen_count > 0)
);
comment on table private.webhook_events is
    'Authentic events that could not be applied: unmatched, malformed, of an unknown kind, or in conflict with what is known; and every signal about a sender. '
    'Kept once each and without secrets; replay_webhook_events tries the unmatched again, sweep_webhook_events forgets them in the end.';
create index webhook_events_to_replay on private.webhook_events (id) where replayed_at is null and reason in ('unmatched', 'error');
create index webhook_events_seen on private.webhook_events (last_seen_at);

-- ---------------------------------------------------------------------------------------------------------------------
-- reading what providers write
-- ---------------------------------------------------------------------------------------------------------------------

-- The next functions have a parsed body instead of a search path: that pins every name as well, and lets the planner inline them.

create function private.canonical_reader(p_reader text)
returns text
language sql
immutable
return case
    when p_reader is null then ''
    -- nearly all of them; a regular expression would cost more than storing the receipt
    when strpos(p_reader, ':') = 0 and strpos(p_reader, '_') = 0 and strpos(p_reader, ' ') = 0 and right(p_reader, 5) <> '@c.us' then p_reader
    -- 91987:12@s.whatsapp.net and 91987_1:12@s.whatsapp.net are devices of 91987@s.whatsapp.net
    else btrim(regexp_replace(
        regexp_replace(btrim(p_reader), '^([^@:_]+)(_\d+)?(:\d+)?(@|$)', '\1\4'),
        '@c\.us$', '@s.whatsapp.net'
    ))
end;
revoke all on function private.canonical_reader(text) from public, anon, authenticated;
grant execute on function private.canonical_reader(text) to service_role;
comment on function private.canonical_reader(text) is 'A reader without device and agent suffix, in one spelling; empty for nobody.';

create function private.event_time(p_time text)
returns timestamptz
language sql
stable
return case
    when p_time is null then now()
    when ltrim(p_time, '0123456789') = '' and length(p_time) between 1 and 10 then to_timestamp(p_time::double precision)
    when ltrim(p_time, '0123456789') = '' and length(p_time) between 11 and 13 then to_timestamp(p_time::double precision / 1000)
    when p_time ~ '^\d{1,10}\.\d{1,9}$' then to_timestamp(p_time::double precision)
    when p_time ~ '^\d{4}-\d\d-\d\d' and pg_input_is_valid(p_time, 'timestamptz') then p_time::timestamptz
    else now()
end;
revoke all on function private.event_time(text) from public, anon, authenticated;
grant execute on function private.event_time(text) to service_role;
comment on function private.event_time(text) is
    'A provider''s time: unix seconds, milliseconds or ISO 8601; now() for anything else. Shown to people, never used to order events.';

create function private.event_cost(p_cost text)
returns numeric
language sql
immutable
return case when p_cost ~ '^\d{1,8}(\.\d{1,12})?$' then p_cost::numeric end;
revoke all on function private.event_cost(text) from public, anon, authenticated;
grant execute on function private.event_cost(text) to service_role;
comment on function private.event_cost(text) is 'A provider''s amount; null for anything but a plain number from 0 to 99,999,999.';

create function private.without_secrets(p_value jsonb)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
begin
    return case jsonb_typeof(p_value)
        when 'object' then (
            select coalesce(jsonb_object_agg(
                e.key,
                case
                    when e.key ~* '(api[-_]?key|token|secret|passw|authorization|signature|cookie)' and jsonb_typeof(e.value) <> 'null'
                        then '"[removed]"'::jsonb
                    else private.without_secrets(e.value)
                end
            ), '{}')
            from jsonb_each(p_value) e
        )
        when 'array' then (
            select coalesce(jsonb_agg(private.without_secrets(e.value) order by e.ordinality), '[]')
            from jsonb_array_elements(p_value) with ordinality e
        )
        else p_value
    end;
end
$$;
revoke all on function private.without_secrets(jsonb) from public, anon, authenticated;
grant execute on function private.without_secrets(jsonb) to service_role;
comment on function private.without_secrets(jsonb) is
    'A payload without the texts whose names say that they are secret: gateways have been seen to put the key of their session into the body.';

create function private.journal_webhook_events(p_source text, p_reason text, p_events jsonb[])
returns void
language sql
set search_path = ''
as $$
    insert into private.webhook_events as e (source, reason, payload)
    select distinct on (md5(u.event::text)) p_source, p_reason, u.event
    from (select private.without_secrets(e.event) as event from unnest(p_events) as e (event)) as u
    order by md5(u.event::text)
    on conflict (source, payload_hash) do update set
        seen_count = e.seen_count + 1,
        last_seen_at = now()
$$;
revoke all on function private.journal_webhook_events(text, text, jsonb[]) from public, anon, authenticated;
grant execute on function private.journal_webhook_events(text, text, jsonb[]) to service_role;
comment on function private.journal_webhook_events(text, text, jsonb[]) is
    'Keeps authentic events that could not be applied, each once. p_source: send_callback, receipt, inbound, sms_delivery or signal; p_reason: one word.';

create function public.journal_webhook_event(p_source text, p_reason text, p_payload jsonb)
returns void
language sql
set search_path = ''
as $$
    select private.journal_webhook_events(p_source, p_reason, array[p_payload])
$$;
revoke all on function public.journal_webhook_event(text, text, jsonb) from public, anon, authenticated;
grant execute on function public.journal_webhook_event(text, text, jsonb) to service_role;
comment on function public.journal_webhook_event(text, text, jsonb) is
    'Keeps an authentic event that could not be applied. p_source: send_callback, receipt, inbound, sms_delivery or signal; p_reason: one word. Caller: the webhooks.';

create function private.journal_undigested(p_source text, p_events jsonb[])
returns integer
language plpgsql
set search_path = ''
as $$
begin
    perform private.journal_webhook_events(p_source, u.reason, array_agg(u.event))
    from (
        select
            n.event,
            case when n.event ->> 'event' in (
                    'malformed', 'message_sent', 'message_failed', 'message_delivered', 'message_read', 'message_played',
                    'message_received', 'sender_restricted', 'sender_restored', 'sender_limited'
                )
                then 'malformed'
                else 'unknown_event'
            end as reason
        from unnest(p_events) as n (event)
    ) as u
    group by u.reason
    order by u.reason;
    return cardinality(p_events);
end
$$;
revoke all on function private.journal_undigested(text, jsonb[]) from public, anon, authenticated;
grant execute on function private.journal_undigested(text, jsonb[]) to service_role;
comment on function private.journal_undigested(text, jsonb[]) is
    'Journals the elements of a batch that could not be applied: malformed, or of an unknown kind. Answers how many.';

-- ---------------------------------------------------------------------------------------------------------------------
-- counts
-- ---------------------------------------------------------------------------------------------------------------------

create function private.counted_people(p_member_count integer, p_identified integer, p_anonymous integer, p_at_least integer default 0)
returns integer
language sql
immutable
return least(coalesce(p_member_count, 999999), greatest(p_identified, p_anonymous, p_at_least));
revoke all on function private.counted_people(integer, integer, integer, integer) from public, anon, authenticated;
grant execute on function private.counted_people(integer, integer, integer, integer) to service_role;
comment on function private.counted_people(integer, integer, integer, integer) is
    'The people behind identified and anonymous reports: the larger of the two, never more than there are members.';

create function private.is_delivered(p_reader text, p_delivered_at timestamptz, p_failed_at timestamptz)
returns boolean
language sql
immutable
-- a text message goes out in segments, each with a report of its own: one that failed is not made good by the others
return p_delivered_at is not null and (p_failed_at is null or p_reader <> 'sms');
revoke all on function private.is_delivered(text, timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function private.is_delivered(text, timestamptz, timestamptz) to service_role;
comment on function private.is_delivered(text, timestamptz, timestamptz) is
    'Whether a receipt means that its reader has the message. Says the same in whatever order the reports came.';

create function private.is_read(p_reader text, p_read_at timestamptz, p_failed_at timestamptz)
returns boolean
language sql
immutable
return p_read_at is not null and (p_failed_at is null or p_reader <> 'sms');
revoke all on function private.is_read(text, timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function private.is_read(text, timestamptz, timestamptz) to service_role;
comment on function private.is_read(text, timestamptz, timestamptz) is
    'Whether a receipt means that its reader has read the message. As is_delivered, says the same in whatever order the reports came.';

create function private.is_failed(p_reader text, p_delivered_at timestamptz, p_failed_at timestamptz)
returns boolean
language sql
immutable
-- one participant's failure is not the group's; what a gateway says of a message without naming anybody is its own guess
return p_failed_at is not null and p_reader in ('recipient', 'sms') and not private.is_delivered(p_reader, p_delivered_at, p_failed_at);
revoke all on function private.is_failed(text, timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function private.is_failed(text, timestamptz, timestamptz) to service_role;
comment on function private.is_failed(text, timestamptz, timestamptz) is
    'Whether a receipt is a provider''s last word that the whole message failed: reported so, and no delivery proves otherwise. Says the same in whatever order the reports came.';

create function private.proves_send(
    p_reader text, p_delivered_at timestamptz, p_sent_at timestamptz, p_failed_at timestamptz, p_anonymous_count integer
)
returns boolean
language sql
immutable
-- that the provider took it proves little once it says that it failed
return private.is_delivered(p_reader, p_delivered_at, p_failed_at)
    or p_anonymous_count > 0
    or (p_sent_at is not null and not private.is_failed(p_reader, p_delivered_at, p_failed_at));
revoke all on function private.proves_send(text, timestamptz, timestamptz, timestamptz, integer) from public, anon, authenticated;
grant execute on function private.proves_send(text, timestamptz, timestamptz, timestamptz, integer) to service_role;
comment on function private.proves_send(text, timestamptz, timestamptz, timestamptz, integer) is
    'Whether a receipt means that its message was sent. Says the same in whatever order the reports came.';

create function private.message_price(p_recipient_id uuid, p_category text)
returns table (cost numeric, currency text)
language sql
stable
begin atomic
    select r.cost, r.currency
    from (
        -- whose message it is, before any rate is looked at
        select n.address, c.organization_id
        from public.notification_campaign_recipients n
        join public.notification_campaigns c on c.id = n.campaign_id
        where n.id = p_recipient_id
        offset 0
    ) as o
    join public.message_rates r on r.organization_id = o.organization_id
    where r.category = p_category
        and r.effective_at <= now()
        and starts_with(coalesce(o.address, ''), r.address_prefix)
    order by length(r.address_prefix) desc, r.effective_at desc
    limit 1;
end;
revoke all on function private.message_price(uuid, text) from public, anon, authenticated;
grant execute on function private.message_price(uuid, text) to service_role;
comment on function private.message_price(uuid, text) is 'What a message of a category to this recipient costs now, by message_rates; no row where no rate says.';

create function private.identified_people(p_recipient_id uuid)
returns table (delivered integer, read integer)
language sql
stable
set search_path = ''
-- two index probes, whatever the statistics say
set enable_seqscan = off
as $$
    select
        count(distinct m.reader) filter (where private.is_delivered(m.reader, m.delivered_at, m.failed_at))::integer,
        count(distinct m.reader) filter (where private.is_read(m.reader, m.read_at, m.failed_at))::integer
    from private.message_ids i
    -- message by message: without statistics the planner would rather read all receipts once
    cross join lateral (
        select r.reader, r.delivered_at, r.read_at, r.failed_at
        from public.message_receipts r
        where r.message_id = i.message_id
        offset 0
    ) as m
    where i.recipient_id = p_recipient_id and m.reader <> ''
$$;
revoke all on function private.identified_people(uuid) from public, anon, authenticated;
grant execute on function private.identified_people(uuid) to service_role;
comment on function private.identified_people(uuid) is
    'The people who received and read a recipient''s message, each once however many messages went out, counted from their receipts.';

create function private.recount_members()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.read_count := private.counted_people(new.member_count, new.identified_read_count, new.anonymous_read_count);
    new.delivered_count := private.counted_people(
        new.member_count, new.identified_delivered_count, new.anonymous_delivered_count, new.read_count
    );
    new.updated_at := now();
    return new;
end
$$;
revoke all on function private.recount_members() from public, anon, authenticated;
comment on function private.recount_members() is 'Before the member count of a recipient changes: the counts it caps, from their evidence.';
create trigger recount_members before update of member_count on public.notification_campaign_recipients
    for each row when (new.member_count is distinct from old.member_count)
    execute function private.recount_members();

create function public.increment_delivered_count(p_group_id uuid)
returns integer
language sql
set search_path = ''
set enable_seqscan = off
as $$
    update public.notification_campaign_recipients r
    set anonymous_delivered_count = least(r.anonymous_delivered_count + 1, coalesce(r.member_count, 999999)),
        delivered_count = private.counted_people(
            r.member_count, r.identified_delivered_count, r.anonymous_delivered_count + 1, r.read_count
        ),
        -- a delivery proves the send
        status = 'sent',
        lease_expires_at = null,
        error_code = null,
        error_message = null,
        failure_class = null
    where r.id = p_group_id
    returning r.delivered_count
$$;
revoke all on function public.increment_delivered_count(uuid) from public, anon, authenticated;
grant execute on function public.increment_delivered_count(uuid) to service_role;
comment on function public.increment_delivered_count(uuid) is
    'Records one anonymous delivery to a recipient: +1, never past member_count (999999 where unknown). Answers the delivered_count, null for an unknown id.';

-- ---------------------------------------------------------------------------------------------------------------------
-- from receipts to the counts of their recipients
-- ---------------------------------------------------------------------------------------------------------------------

create type private.receipt_change as (
    recipient_id uuid,
    message_id text collate "C",
    -- people, by how many the receipts of this message changed
    delivered integer,
    read integer,
    anonymous_delivered integer,
    anonymous_read integer,
    proves_send boolean,
    failed boolean,
    -- the provider's last word: it holds against the message that was sent, too
    is_final boolean,
    error_code text,
    error_message text,
    cost numeric,
    currency text
);
comment on type private.receipt_change is 'What changed receipts of one message mean for its recipient.';

create function private.message_failed(p_message_id text)
returns boolean
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return exists (
        select 1
        from public.message_receipts m
        where m.message_id = p_message_id collate "C" and private.is_failed(m.reader, m.delivered_at, m.failed_at)
    );
end
$$;
revoke all on function private.message_failed(text) from public, anon, authenticated;
grant execute on function private.message_failed(text) to service_role;
comment on function private.message_failed(text) is 'Whether the last word of a message''s receipts is that it failed.';

create function private.standing_message_id(p_recipient_id uuid, p_but_message_id text)
returns text
language sql
stable
set search_path = ''
set enable_seqscan = off
as $$
    select a.message_id
    from public.send_attempts a
    where a.recipient_id = p_recipient_id
        and a.message_id <> p_but_message_id
        and a.outcome = 'sent'
        and not private.message_failed(a.message_id)
    order by a.attempt_number
    limit 1
$$;
revoke all on function private.standing_message_id(uuid, text) from public, anon, authenticated;
grant execute on function private.standing_message_id(uuid, text) to service_role;
comment on function private.standing_message_id(uuid, text) is
    'Another message that went out to a recipient and was not reported as failed; null where there is none.';

create function private.apply_receipts(p_changes private.receipt_change[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_recounted uuid[];
    v_unsettled boolean;
    v_orphaned boolean;
begin
    select
        array_agg(r.id) filter (where r.attempt_count > 1 or r.message_id <> c.message_id or c.message_count > 1),
        coalesce(bool_or(((r.status <> 'sent' or r.message_id is null) and c.is_evidence) or c.is_final), false),
        count(*) < (select count(distinct u.recipient_id) from unnest(p_changes) u)
    into v_recounted, v_unsettled, v_orphaned
    from (
        select l.id, l.status, l.attempt_count, l.message_id
        from public.notification_campaign_recipients l
        where l.id = any (array(select c.recipient_id from unnest(p_changes) c))
        order by l.id
        for no key update
    ) as r
    join (
        select
            u.recipient_id, min(u.message_id) as message_id, count(*) as message_count,
            bool_or(u.proves_send or u.failed) as is_evidence, bool_or(u.is_final) as is_final
        from unnest(p_changes) u
        group by u.recipient_id
    ) as c on c.recipient_id = r.id;

    update public.notification_campaign_recipients r
    set identified_delivered_count = r.identified_delivered_count + c.delivered,
        identified_read_count = r.identified_read_count + c.read,
        anonymous_delivered_count = r.anonymous_delivered_count + c.anonymous_delivered,
        anonymous_read_count = r.anonymous_read_count + c.anonymous_read,
        read_count = private.counted_people(
            r.member_count, r.identified_read_count + c.read, r.anonymous_read_count + c.anonymous_read
        ),
        delivered_count = private.counted_people(
            r.member_count, r.identified_delivered_count + c.delivered, r.anonymous_delivered_count + c.anonymous_delivered,
            greatest(r.identified_read_count + c.read, r.anonymous_read_count + c.anonymous_read)
        ),
        cost = case when c.cost is null then r.cost else coalesce(r.cost, 0) + c.cost end,
        currency = coalesce(r.currency, c.currency),
        updated_at = now()
    from unnest(p_changes) c
    where r.id = c.recipient_id and (v_recounted is null or r.id <> all (v_recounted));

    if v_recounted is not null then
        -- Sent twice, so that one person may have two receipts: people are counted, not receipts. The rows are locked,
        -- so what others changed for them is either committed, and seen here, or will come after us.
        update public.notification_campaign_recipients r
        set identified_delivered_count = p.delivered,
            identified_read_count = p.read,
            anonymous_delivered_count = r.anonymous_delivered_count + c.anonymous_delivered,
            anonymous_read_count = r.anonymous_read_count + c.anonymous_read,
            read_count = private.counted_people(r.member_count, p.read, r.anonymous_read_count + c.anonymous_read),
            delivered_count = private.counted_people(
                r.member_count, p.delivered, r.anonymous_delivered_count + c.anonymous_delivered,
                greatest(p.read, r.anonymous_read_count + c.anonymous_read)
            ),
            cost = case when c.cost is null then r.cost else coalesce(r.cost, 0) + c.cost end,
            currency = coalesce(r.currency, c.currency),
            updated_at = now()
        from (
            select
                u.recipient_id,
                sum(u.anonymous_delivered)::integer as anonymous_delivered,
                sum(u.anonymous_read)::integer as anonymous_read,
                sum(u.cost) as cost,
                max(u.currency) as currency
            from unnest(p_changes) u
            group by u.recipient_id
        ) as c
        cross join lateral private.identified_people(c.recipient_id) p
        where r.id = c.recipient_id and r.id = any (v_recounted);
    end if;

    if v_orphaned then
        -- deleted while we waited for its row, together with the receipts that could be seen then: ours go too
        delete from public.message_receipts m
        using unnest(p_changes) c
        where m.message_id = c.message_id
            and m.recipient_id = c.recipient_id
            and not exists (select 1 from public.notification_campaign_recipients r where r.id = c.recipient_id);
    end if;

    if v_unsettled or v_recounted is not null then
        -- a receipt proves the send; a failure counts against what is still open, a final one also against the message that was sent
        update public.send_attempts a
        set outcome = case when c.proves_send then 'sent'::public.attempt_outcome else greatest(a.outcome, 'failed') end,
            error_code = coalesce(c.error_code, a.error_code),
            error_message = coalesce(c.error_message, a.error_message),
            failure_class = case when not c.proves_send then private.failure_class_of(c.error_code) end,
            finished_at = coalesce(a.finished_at, now())
        from unnest(p_changes) c
        where a.message_id = c.message_id
            and (c.failed or (c.proves_send and (a.outcome <> 'sent' or a.failure_class is not null)));
    end if;
    if v_unsettled then
        update public.notification_campaign_recipients r
        set status = case when c.standing_message_id is not null then 'sent'::public.recipient_status else 'failed' end,
            -- the id of the message that stands; where none does, of the one that failed
            message_id = case
                when c.standing_message_id is null then r.message_id
                when r.status = 'sent' and c.proves_send then coalesce(r.message_id, c.standing_message_id)
                else c.standing_message_id
            end,
            lease_expires_at = null,
            error_code = case when c.standing_message_id is null then coalesce(c.error_code, r.error_code) end,
            error_message = case
                when c.standing_message_id is null then coalesce(c.error_message, 'The provider reported a failure without a reason.')
            end,
            failure_class = case when c.standing_message_id is null then private.failure_class_of(c.error_code) end
        from (
            select
                e.*,
                case
                    when e.proves_send then e.message_id
                    -- sent twice, and the other message did not fail
                    when e.is_final then private.standing_message_id(e.recipient_id, e.message_id)
                end as standing_message_id
            from (
                -- the strongest evidence for each recipient; an older attempt's failure says nothing about the one in flight
                select distinct on (u.recipient_id) u.*, coalesce(a.repeated_attempt_id, a.id) as attempt_id
                from unnest(p_changes) u
                left join public.send_attempts a on a.message_id = u.message_id
                where u.proves_send or u.failed
                order by u.recipient_id, u.proves_send desc, a.attempt_number desc nulls last
            ) as e
        ) as c
        where r.id = c.recipient_id
            and (
                (c.proves_send and (r.status <> 'sent' or r.message_id is null))
                or (
                    not c.proves_send and r.delivered_count = 0
                    and case
                        when r.status = 'sent' then c.is_final and (r.message_id = c.message_id or private.message_failed(r.message_id))
                        else r.status in ('pending', 'processing', 'unconfirmed') and (c.attempt_id is null or c.attempt_id = r.attempt_id)
                    end
                )
            );
    end if;
end
$$;
revoke all on function private.apply_receipts(private.receipt_change[]) from public, anon, authenticated;
comment on function private.apply_receipts(private.receipt_change[]) is
    'Brings changed receipts home: the counts of their recipients, and the send they prove or fail. Locks recipients in id order.';

create function private.apply_inserted_receipts()
returns trigger
language plpgsql
-- definer because a receipt may be written by whoever may, its consequences by nobody else
security definer
set search_path = ''
as $$
declare
    v_changes private.receipt_change[];
begin
    v_changes := array(
        select (
            n.recipient_id, n.message_id, count(*) filter (where n.is_delivered), count(*) filter (where n.is_read),
            sum(n.anonymous_delivered_count), sum(n.anonymous_read_count),
            bool_or(n.proves_send),
            bool_or(n.is_failed or (n.reader = '' and n.failed_at is not null)),
            bool_or(n.is_failed),
            max(n.error_code) filter (where n.is_failed or n.reader = ''), max(n.error_message) filter (where n.is_failed or n.reader = ''),
            sum(n.cost), max(n.currency)
        )::private.receipt_change
        from (
            select
                r.*,
                private.is_delivered(r.reader, r.delivered_at, r.failed_at) as is_delivered,
                private.is_read(r.reader, r.read_at, r.failed_at) as is_read,
                private.is_failed(r.reader, r.delivered_at, r.failed_at) as is_failed,
                private.proves_send(r.reader, r.delivered_at, r.sent_at, r.failed_at, r.anonymous_delivered_count + r.anonymous_read_count)
                    as proves_send
            from new_rows r
        ) as n
        where n.recipient_id is not null
        group by n.recipient_id, n.message_id
    );
    if v_changes <> '{}' then
        perform private.apply_receipts(v_changes);
    end if;
    return null;
end
$$;
revoke all on function private.apply_inserted_receipts() from public, anon, authenticated;
comment on function private.apply_inserted_receipts() is 'After receipts were inserted: what they change for their recipients.';
create trigger apply_inserted_receipts after insert on public.message_receipts
    referencing new table as new_rows
    for each statement execute function private.apply_inserted_receipts();

create function private.apply_changed_receipts()
returns trigger
language plpgsql
-- definer because a receipt may be written by whoever may, its consequences by nobody else
security definer
set search_path = ''
as $$
declare
    v_changes private.receipt_change[];
begin
    v_changes := array(
        select (
            n.recipient_id, n.message_id,
            coalesce(sum(n.n) filter (where n.is_delivered), 0),
            coalesce(sum(n.n) filter (where n.is_read), 0),
            sum(n.n * n.anonymous_delivered_count), sum(n.n * n.anonymous_read_count),
            bool_or(n.n > 0 and n.proves_send),
            bool_or(n.n > 0 and (n.is_failed or (n.reader = '' and n.failed_at is not null))),
            bool_or(n.n > 0 and n.is_failed),
            max(n.error_code) filter (where n.n > 0 and (n.is_failed or n.reader = '')),
            max(n.error_message) filter (where n.n > 0 and (n.is_failed or n.reader = '')),
            sum(n.n * n.cost), max(n.currency)
        )::private.receipt_change
        from (
            select
                u.*,
                private.is_delivered(u.reader, u.delivered_at, u.failed_at) as is_delivered,
                private.is_read(u.reader, u.read_at, u.failed_at) as is_read,
                private.is_failed(u.reader, u.delivered_at, u.failed_at) as is_failed,
                private.proves_send(u.reader, u.delivered_at, u.sent_at, u.failed_at, u.anonymous_delivered_count + u.anonymous_read_count)
                    as proves_send
            from (
                select 1 as n, w.* from new_rows w
                union all
                select -1 as n, o.* from old_rows o
            ) as u
        ) as n
        where n.recipient_id is not null
        group by n.recipient_id, n.message_id
    );
    if v_changes <> '{}' then
        perform private.apply_receipts(v_changes);
    end if;
    return null;
end
$$;
revoke all on function private.apply_changed_receipts() from public, anon, authenticated;
comment on function private.apply_changed_receipts() is 'After receipts were updated or adopted: what that changes for their recipients.';
create trigger apply_changed_receipts after update on public.message_receipts
    referencing old table as old_rows new table as new_rows
    for each statement execute function private.apply_changed_receipts();

create function private.apply_deleted_receipts()
returns trigger
language plpgsql
-- definer because a receipt may be deleted by whoever may, its consequences by nobody else
security definer
set search_path = ''
as $$
declare
    v_changes private.receipt_change[];
begin
    v_changes := array(
        select (
            o.recipient_id, o.message_id,
            -count(*) filter (where private.is_delivered(o.reader, o.delivered_at, o.failed_at)),
            -count(*) filter (where private.is_read(o.reader, o.read_at, o.failed_at)),
            -sum(o.anonymous_delivered_count), -sum(o.anonymous_read_count), false, false, false, null, null, -sum(o.cost), null
        )::private.receipt_change
        from old_rows o
        where o.recipient_id is not null
        group by o.recipient_id, o.message_id
    );
    if v_changes <> '{}' then
        perform private.apply_receipts(v_changes);
    end if;
    return null;
end
$$;
revoke all on function private.apply_deleted_receipts() from public, anon, authenticated;
comment on function private.apply_deleted_receipts() is 'After receipts were deleted: the counts go down again. A send once proved stays proved.';
create trigger apply_deleted_receipts after delete on public.message_receipts
    referencing old table as old_rows
    for each statement execute function private.apply_deleted_receipts();

-- ---------------------------------------------------------------------------------------------------------------------
-- message ids: binding and adoption
-- ---------------------------------------------------------------------------------------------------------------------

create function private.lock_message_ids(p_message_ids text[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    insert into private.message_ids (message_id)
    select distinct u.message_id collate "C" as message_id
    from unnest(p_message_ids) as u (message_id)
    where u.message_id is not null
    order by message_id
    on conflict (message_id) do nothing;
    perform 1
    from private.message_ids i
    where i.message_id = any (p_message_ids)
    order by i.message_id
    for no key update;
end
$$;
revoke all on function private.lock_message_ids(text[]) from public, anon, authenticated;
grant execute on function private.lock_message_ids(text[]) to service_role;
comment on function private.lock_message_ids(text[]) is
    'Makes the calling transaction the only one that may bind these ids or park receipts for them until it ends.';

create function private.bind_message_id(p_message_id text, p_recipient_id uuid)
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_bound_to uuid := (select i.recipient_id from private.message_ids i where i.message_id = p_message_id);
begin
    if v_bound_to is null then
        insert into private.message_ids as i (message_id, recipient_id)
        values (p_message_id, p_recipient_id)
        on conflict (message_id) do update set recipient_id = coalesce(i.recipient_id, excluded.recipient_id)
        returning i.recipient_id into v_bound_to;
    end if;
    if v_bound_to <> p_recipient_id then
        raise unique_violation using
            message = format('message id %s belongs to recipient %s already', p_message_id, v_bound_to),
            hint = 'A message id names one message. Look the id up in send_attempts.';
    end if;
end
$$;
revoke all on function private.bind_message_id(text, uuid) from public, anon, authenticated;
comment on function private.bind_message_id(text, uuid) is
    'Says for good whose message an id names; receipts parked for it are adopted. unique_violation where it is another recipient''s.';

create function private.bind_message_ids_of_attempts()
returns trigger
language plpgsql
-- definer because whoever may name a message id may not write the tables behind it
security definer
set search_path = ''
set enable_seqscan = off
as $$
begin
    -- what apply_send_outcomes wrote is bound already
    perform private.bind_message_id(n.message_id, n.recipient_id)
    from new_rows n
    where n.message_id is not null
        and (select i.recipient_id from private.message_ids i where i.message_id = n.message_id) is distinct from n.recipient_id
    order by n.message_id;
    return null;
end
$$;
revoke all on function private.bind_message_ids_of_attempts() from public, anon, authenticated;
comment on function private.bind_message_ids_of_attempts() is 'After attempts got message ids: they are bound to the attempts'' recipients.';
create trigger bind_message_ids_of_new_attempts after insert on public.send_attempts
    referencing new table as new_rows
    for each statement execute function private.bind_message_ids_of_attempts();
create trigger bind_message_ids_of_attempts after update on public.send_attempts
    referencing new table as new_rows
    for each statement execute function private.bind_message_ids_of_attempts();

create function private.bind_message_id_of_recipient()
returns trigger
language plpgsql
-- definer because whoever may name a message id may not write the tables behind it
security definer
set search_path = ''
as $$
begin
    perform private.bind_message_id(new.message_id, new.id);
    return null;
end
$$;
revoke all on function private.bind_message_id_of_recipient() from public, anon, authenticated;
comment on function private.bind_message_id_of_recipient() is 'After a recipient got a message id, whoever wrote it: it is bound to the recipient.';
create trigger bind_message_id_of_new_recipient after insert on public.notification_campaign_recipients
    for each row when (new.message_id is not null)
    execute function private.bind_message_id_of_recipient();
create trigger bind_message_id_of_recipient after update of message_id on public.notification_campaign_recipients
    for each row when (new.message_id is not null and new.message_id is distinct from old.message_id)
    execute function private.bind_message_id_of_recipient();

create function private.adopt_receipts()
returns trigger
language plpgsql
-- definer because whoever may name a message id may not write receipts
security definer
set search_path = ''
set enable_seqscan = off
as $$
begin
    with adopting as (
        select n.message_id, n.recipient_id
        from new_rows n
        join old_rows o on o.message_id = n.message_id
        where o.recipient_id is null and n.recipient_id is not null
    ),
    parked as (
        select m.message_id, m.reader, a.recipient_id, p.cost, p.currency
        from adopting a
        join public.message_receipts m on m.message_id = a.message_id
        left join lateral private.message_price(a.recipient_id, m.pricing_category) p on m.cost is null
        where m.recipient_id is null
        order by m.message_id, m.reader
        for no key update of m
    )
    update public.message_receipts m
    set recipient_id = p.recipient_id,
        cost = coalesce(m.cost, p.cost),
        currency = coalesce(m.currency, p.currency)
    from parked p
    where m.message_id = p.message_id and m.reader = p.reader;
    return null;
end
$$;
revoke all on function private.adopt_receipts() from public, anon, authenticated;
comment on function private.adopt_receipts() is 'After message ids that receipts had named got their recipients: the parked receipts are theirs.';
create trigger adopt_receipts after update on private.message_ids
    referencing old table as old_rows new table as new_rows
    for each statement execute function private.adopt_receipts();

create function private.forget_message_ids()
returns trigger
language plpgsql
-- definer because whoever may delete a recipient may not delete what was reported of it
security definer
set search_path = ''
as $$
begin
    delete from private.message_ids i using old_rows o where i.recipient_id = o.id;
    return null;
end
$$;
revoke all on function private.forget_message_ids() from public, anon, authenticated;
comment on function private.forget_message_ids() is 'After recipients were deleted: their message ids go too, and with these their receipts.';
create trigger forget_message_ids after delete on public.notification_campaign_recipients
    referencing old table as old_rows
    for each statement execute function private.forget_message_ids();

create function private.forget_receipts()
returns trigger
language plpgsql
-- definer because whoever may delete a recipient may not delete receipts
security definer
set search_path = ''
as $$
begin
    delete from public.message_receipts m
    using old_rows o
    where m.message_id = o.message_id and m.recipient_id = o.recipient_id;
    return null;
end
$$;
revoke all on function private.forget_receipts() from public, anon, authenticated;
comment on function private.forget_receipts() is 'After a recipient was deleted and its message ids with it: its receipts go too.';
create trigger forget_receipts after delete on private.message_ids
    referencing old table as old_rows
    for each statement execute function private.forget_receipts();

-- ---------------------------------------------------------------------------------------------------------------------
-- record_receipts
-- ---------------------------------------------------------------------------------------------------------------------

create function private.receipt_kind(p_event text)
returns integer
language sql
immutable
return case p_event
    when 'message_delivered' then 1
    when 'message_read' then 2
    when 'message_played' then 4
    when 'message_sent' then 8
    when 'message_failed' then 16
end;
revoke all on function private.receipt_kind(text) from public, anon, authenticated;
grant execute on function private.receipt_kind(text) to service_role;
comment on function private.receipt_kind(text) is 'The bit of an event in message_receipts.last_change; null for an event that is no receipt.';

create function private.is_receipt(p_event jsonb)
returns boolean
language sql
immutable
return coalesce(private.receipt_kind(p_event ->> 'event') is not null and p_event ->> 'messageId' <> '', false);
revoke all on function private.is_receipt(jsonb) from public, anon, authenticated;
grant execute on function private.is_receipt(jsonb) to service_role;
comment on function private.is_receipt(jsonb) is 'Whether record_receipts can apply an event: a known event that names its message.';

create function private.reported_kinds(p_receipt public.message_receipts)
returns integer
language sql
immutable
return (p_receipt.delivered_at is not null)::integer
    + 2 * (p_receipt.read_at is not null)::integer
    + 4 * (p_receipt.played_at is not null)::integer
    + 8 * (p_receipt.sent_at is not null)::integer
    + 16 * (p_receipt.failed_at is not null)::integer;
revoke all on function private.reported_kinds(public.message_receipts) from public, anon, authenticated;
grant execute on function private.reported_kinds(public.message_receipts) to service_role;
comment on function private.reported_kinds(public.message_receipts) is
    'What is known of a receipt as a bit mask: 1 delivered, 2 read, 4 played, 8 sent, 16 failed.';

create type private.receipt_fact as (
    message_id text collate "C",
    reader text collate "C",
    -- bit mask as in message_receipts.last_change
    kinds integer,
    delivered_at timestamptz,
    read_at timestamptz,
    played_at timestamptz,
    sent_at timestamptz,
    failed_at timestamptz,
    error_code text,
    error_message text,
    session_id text,
    cost numeric,
    currency text,
    pricing_category text,
    -- the id of the attempt, as the provider gave it back
    client_message_id text,
    anonymous_delivered_count integer,
    anonymous_read_count integer
);
comment on type private.receipt_fact is 'What a batch says of one message and reader.';

create type private.receipt_news as (
    message_id text collate "C",
    reader text collate "C",
    -- which kinds were reported for the first time; bit mask as in message_receipts.last_change
    kinds integer,
    is_parked boolean
);
comment on type private.receipt_news is 'What of one message and reader was news.';

create function private.price_receipts(p_facts private.receipt_fact[])
returns private.receipt_fact[]
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return array(
        select (
            f.message_id, f.reader, f.kinds, f.delivered_at, f.read_at, f.played_at, f.sent_at, f.failed_at, f.error_code, f.error_message,
            f.session_id, coalesce(f.cost, p.cost), case when f.cost is null then p.currency else f.currency end, f.pricing_category,
            f.client_message_id, f.anonymous_delivered_count, f.anonymous_read_count
        )::private.receipt_fact
        from (
            select
                u.*,
                -- only of what has no price yet
                case
                    when u.pricing_category is not null and u.cost is null and not exists (
                        select 1
                        from public.message_receipts m
                        where m.message_id = u.message_id and m.reader = u.reader and m.cost is not null
                    ) then (select i.recipient_id from private.message_ids i where i.message_id = u.message_id)
                end as recipient_id
            from unnest(p_facts) with ordinality u
        ) as f
        left join lateral private.message_price(f.recipient_id, f.pricing_category) p on true
        order by f.ordinality
    );
end
$$;
revoke all on function private.price_receipts(private.receipt_fact[]) from public, anon, authenticated;
grant execute on function private.price_receipts(private.receipt_fact[]) to service_role;
comment on function private.price_receipts(private.receipt_fact[]) is
    'Receipts with what they cost, where they name a category and the rates know it. A parked one is priced when it is adopted.';

create function private.receipt_verdicts(p_receipts jsonb, p_news private.receipt_news[])
returns text
language sql
stable
set search_path = ''
as $$
    with events as (
        select
            e.place,
            private.is_receipt(e.receipt) as is_receipt,
            (e.receipt ->> 'messageId') collate "C" as message_id,
            private.canonical_reader(e.receipt ->> 'reader') collate "C" as reader,
            private.receipt_kind(e.receipt ->> 'event') as kind
        from jsonb_array_elements(p_receipts) with ordinality as e (receipt, place)
    )
    select string_agg(v.verdict, '' order by v.place)
    from (
        select
            e.place,
            case
                when not e.is_receipt then 'j'
                -- an anonymous report is always news; of the others, who said it first
                when n.message_id is not null and (
                    (e.reader = '' and e.kind <= 4)
                    or (
                        n.kinds & e.kind <> 0
                        and row_number() over (partition by e.is_receipt, e.message_id, e.reader, e.kind order by e.place) = 1
                    )
                ) then case when n.is_parked then 'p' else 'r' end
                else 'd'
            end as verdict
        from events e
        left join unnest(p_news) n on n.message_id = e.message_id and n.reader = e.reader
    ) as v
$$;
revoke all on function private.receipt_verdicts(jsonb, private.receipt_news[]) from public, anon, authenticated;
grant execute on function private.receipt_verdicts(jsonb, private.receipt_news[]) to service_role;
comment on function private.receipt_verdicts(jsonb, private.receipt_news[]) is
    'One letter for each element of a batch, in its order: r recorded, d duplicate, p parked, j journaled.';

create function private.record_receipts(p_receipts jsonb, p_source text, p_verdicts boolean)
returns jsonb
language plpgsql
set search_path = ''
-- Every look-up is an index probe, also for a session that made its plans while the tables were empty; and planning a
-- single receipt anew would cost as much as recording it.
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_facts private.receipt_fact[];
    v_news private.receipt_news[];
    v_unknown text[];
    v_events integer;
    v_named integer;
    v_priced integer;
    v_recorded integer;
    v_parked integer;
    v_journaled integer := 0;
    v_receipts jsonb := p_receipts;
begin
    if jsonb_typeof(p_receipts) is distinct from 'array' then
        raise invalid_parameter_value using
            message = format('p_receipts must be an array of receipts, not %s', coalesce(jsonb_typeof(p_receipts), 'null'));
    end if;

    if jsonb_path_exists(p_receipts, '$[*] ? (@.type() != "object")') then
        -- what is no object is journaled below
        v_receipts := jsonb_path_query_array(p_receipts, '$[*] ? (@.type() == "object")');
    end if;

    with events as materialized (
        select
            e."messageId" collate "C" as message_id,
            private.canonical_reader(e.reader) collate "C" as reader,
            private.receipt_kind(e.event) as kind,
            private.event_time(e."timestamp") as occurred_at,
            e."sessionId" as session_id,
            e."errorCode" as error_code,
            e."errorMessage" as error_message,
            private.event_cost(e.cost) as cost,
            e.currency,
            e."pricingCategory" as pricing_category,
            e."clientMessageId" as client_message_id
        from jsonb_to_recordset(v_receipts) as e (
            event text, "messageId" text, reader text, "sessionId" text, "timestamp" text, "errorCode" text, "errorMessage" text,
            cost text, currency text, "pricingCategory" text, "clientMessageId" text
        )
    ),
    facts as (
        select
            (
                v.message_id,
                v.reader,
                bit_or(v.kind),
                -- read implies delivered, played implies read
                min(v.occurred_at) filter (where v.kind <= 4 and v.reader <> ''),
                min(v.occurred_at) filter (where v.kind in (2, 4) and v.reader <> ''),
                min(v.occurred_at) filter (where v.kind = 4 and v.reader <> ''),
                min(v.occurred_at) filter (where v.kind = 8),
                min(v.occurred_at) filter (where v.kind = 16),
                max(v.error_code),
                max(v.error_message),
                min(v.session_id),
                max(v.cost),
                max(v.currency) filter (where v.cost is not null),
                max(v.pricing_category),
                -- one of them may be somebody else's
                max(v.client_message_id) filter (where pg_input_is_valid(v.client_message_id, 'uuid')),
                count(*) filter (where v.kind = 1 and v.reader = ''),
                count(*) filter (where v.kind in (2, 4) and v.reader = '')
            )::private.receipt_fact as fact,
            v.message_id,
            v.reader,
            count(*) as event_count,
            count(v.client_message_id) as named_count,
            count(v.pricing_category) as priced_count
        from events v
        where v.kind is not null and v.message_id <> ''
        group by v.message_id, v.reader
    )
    select
        -- sorted: every batch takes its locks in the same order
        coalesce(array_agg(f.fact order by f.message_id, f.reader), '{}'),
        coalesce(sum(f.event_count), 0),
        coalesce(sum(f.named_count), 0),
        coalesce(sum(f.priced_count), 0)
    into v_facts, v_events, v_named, v_priced
    from facts f;

    if v_events < jsonb_array_length(p_receipts) then
        v_journaled := private.journal_undigested(p_source, array(
            select e.receipt
            from jsonb_array_elements(p_receipts) as e (receipt)
            where not private.is_receipt(e.receipt)
        ));
    end if;

    v_unknown := array(
        select u.message_id
        from (select distinct f.message_id from unnest(v_facts) f) as u
        where (select i.recipient_id from private.message_ids i where i.message_id = u.message_id) is null
        order by u.message_id
    );
    if v_unknown <> '{}' and v_named > 0 then
        perform private.name_messages(v_unknown, v_facts);
    end if;
    if v_unknown <> '{}' then
        insert into private.message_ids (message_id, parked_at)
        select u.message_id, now()
        from unnest(v_unknown) as u (message_id)
        order by u.message_id collate "C"
        on conflict (message_id) do nothing;
        -- Whoever binds one of these ids waits until our receipts are committed, and then adopts them. If somebody bound
        -- it while we waited for the row, the next statement sees that and nothing is parked.
        perform 1
        from private.message_ids i
        where i.message_id = any (v_unknown) and i.recipient_id is null
        order by i.message_id
        for share;
    end if;

    if v_priced > 0 then
        v_facts := private.price_receipts(v_facts);
    end if;

    with written as (
        insert into public.message_receipts as m (
            message_id, reader, recipient_id, delivered_at, read_at, played_at, sent_at, failed_at, error_code, error_message,
            session_id, cost, currency, pricing_category, anonymous_delivered_count, anonymous_read_count, last_change
        )
        select
            f.message_id, f.reader,
            (select i.recipient_id from private.message_ids i where i.message_id = f.message_id),
            f.delivered_at, f.read_at, f.played_at, f.sent_at, f.failed_at, f.error_code, f.error_message, f.session_id,
            f.cost, f.currency, f.pricing_category, f.anonymous_delivered_count, f.anonymous_read_count,
            -- an anonymous report is counted, not remembered
            case
                when f.reader = '' then f.kinds & 24 | (f.anonymous_delivered_count + f.anonymous_read_count) << 5
                else f.kinds
            end
        from unnest(v_facts) f
        on conflict (message_id, reader) do update set
            delivered_at = coalesce(m.delivered_at, excluded.delivered_at),
            read_at = coalesce(m.read_at, excluded.read_at),
            played_at = coalesce(m.played_at, excluded.played_at),
            sent_at = coalesce(m.sent_at, excluded.sent_at),
            failed_at = coalesce(m.failed_at, excluded.failed_at),
            error_code = coalesce(m.error_code, excluded.error_code),
            error_message = coalesce(m.error_message, excluded.error_message),
            session_id = coalesce(m.session_id, excluded.session_id),
            cost = coalesce(m.cost, excluded.cost),
            currency = coalesce(m.currency, excluded.currency),
            pricing_category = coalesce(m.pricing_category, excluded.pricing_category),
            anonymous_delivered_count = m.anonymous_delivered_count + excluded.anonymous_delivered_count,
            anonymous_read_count = m.anonymous_read_count + excluded.anonymous_read_count,
            last_change = excluded.last_change & ~private.reported_kinds(m)
        where (excluded.last_change & ~private.reported_kinds(m)) <> 0
            or (m.cost is null and excluded.cost is not null)
            or (m.pricing_category is null and excluded.pricing_category is not null)
        returning
            m.message_id, m.reader, m.last_change as kinds, m.recipient_id is null as is_parked
    )
    select
        coalesce(sum(w.news_count) filter (where not w.is_parked), 0),
        coalesce(sum(w.news_count) filter (where w.is_parked), 0),
        case when p_verdicts then array_agg((w.message_id, w.reader, w.kinds, w.is_parked)::private.receipt_news) end
    into v_recorded, v_parked, v_news
    from (
        select n.*, bit_count(n.kinds::bit(5)) + (n.kinds >> 5) as news_count
        from written n
    ) as w;

    -- senders are locked last, and nobody waits for one here
    perform private.note_heard(array(select distinct f.session_id from unnest(v_facts) f where f.session_id is not null));
    -- keeps what readers have to sum short even where nothing else folds
    if random() < 0.01 then
        perform public.fold_campaign_counters();
    end if;
    return jsonb_build_object(
        'recorded', v_recorded,
        'duplicates', v_events - v_recorded - v_parked,
        'parked', v_parked,
        'journaled', v_journaled
    ) || case when p_verdicts then
        jsonb_build_object('verdicts', coalesce(private.receipt_verdicts(p_receipts, v_news), ''))
    else '{}' end;
end
$$;
revoke all on function private.record_receipts(jsonb, text, boolean) from public, anon, authenticated;
grant execute on function private.record_receipts(jsonb, text, boolean) to service_role;
comment on function private.record_receipts(jsonb, text, boolean) is 'What public.record_receipts says; p_verdicts: also a letter for each element.';

create function public.record_receipts(p_receipts jsonb, p_source text default 'receipt')
returns jsonb
-- not sql, which would be planned anew at every call
language plpgsql
set search_path = ''
as $$
begin
    return private.record_receipts(p_receipts, p_source, false);
end
$$;
revoke all on function public.record_receipts(jsonb, text) from public, anon, authenticated;
grant execute on function public.record_receipts(jsonb, text) to service_role;
comment on function public.record_receipts(jsonb, text) is
    'Records a batch of receipts: [{event: message_delivered|message_read|message_played|message_sent|message_failed, messageId, reader, sessionId, timestamp, errorCode, errorMessage, '
    'cost, currency, pricingCategory, clientMessageId}]. reader: a person; recipient for the one a message to a contact is for; sms for their phone; none: counted anonymously. '
    'clientMessageId: the attempt, as the provider gave it back, which names the message even before the answer to the send is stored. '
    'p_source: receipt or sms_delivery, for the journal. Answers {recorded, duplicates, parked, journaled}: parked ones wait for their message id, journaled ones were of an unknown kind or malformed. '
    'Idempotent for every receipt that names its reader. Caller: the receipt webhooks.';

create function public.record_receipts_with_verdicts(p_receipts jsonb, p_source text default 'receipt')
returns jsonb
language plpgsql
set search_path = ''
as $$
begin
    return private.record_receipts(p_receipts, p_source, true);
end
$$;
revoke all on function public.record_receipts_with_verdicts(jsonb, text) from public, anon, authenticated;
grant execute on function public.record_receipts_with_verdicts(jsonb, text) to service_role;
comment on function public.record_receipts_with_verdicts(jsonb, text) is
    'record_receipts for several requests at once: answers also verdicts, a letter for each element in its order: r recorded, d duplicate, p parked, j journaled. '
    'Caller: the receipt webhooks, which share it out.';

-- ---------------------------------------------------------------------------------------------------------------------
-- grants and policies
-- ---------------------------------------------------------------------------------------------------------------------

alter table private.message_ids enable row level security;
revoke all on private.message_ids from public, anon, authenticated;
grant all on private.message_ids to service_role;

alter table public.message_rates enable row level security;
revoke all on public.message_rates from anon, authenticated;
grant select, insert, delete on public.message_rates to authenticated;
grant update (cost, currency) on public.message_rates to authenticated;
grant all on public.message_rates to service_role;

create policy "members read their rates" on public.message_rates
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));
create policy "owners add rates" on public.message_rates
    for insert to authenticated
    with check (organization_id in (select private.organization_ids_with_role('owner')));
create policy "owners correct rates" on public.message_rates
    for update to authenticated
    using (organization_id in (select private.organization_ids_with_role('owner')))
    with check (organization_id in (select private.organization_ids_with_role('owner')));
create policy "owners remove rates" on public.message_rates
    for delete to authenticated
    using (organization_id in (select private.organization_ids_with_role('owner')));

alter table private.webhook_events enable row level security;
revoke all on private.webhook_events from public, anon, authenticated;
grant all on private.webhook_events to service_role;

alter table public.message_receipts enable row level security;
revoke all on public.message_receipts from anon, authenticated;
grant select on public.message_receipts to authenticated;
grant all on public.message_receipts to service_role;

create policy "members read the receipts of their campaigns" on public.message_receipts
    for select to authenticated
    using (exists (
        select 1
        from public.notification_campaign_recipients r
        join public.notification_campaigns c on c.id = r.campaign_id
        where r.id = recipient_id and c.organization_id in (select private.readable_organization_ids())
    ));
