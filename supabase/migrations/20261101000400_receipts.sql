-- What providers report back: which message id belongs to which recipient, who received and read it, and a journal of
-- what could not be digested. A receipt enters in record_receipts, becomes a row keyed by (message id, reader), and a
-- trigger turns changed rows into the counts of their recipient. It is counted there and nowhere else.
--
-- Locks are taken in this order everywhere: message ids, receipts, recipients, campaigns; in each of them by key.

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table private.message_ids (
    message_id text primary key,
    -- null while only receipts have named this id
    recipient_id uuid references public.notification_campaign_recipients (id) on delete cascade
)
with (fillfactor = 90);
comment on table private.message_ids is
    'Where a message id meets its recipient. Receipts of an unknown id and the send that names it both write this row first, '
    'so one of them always waits for the other and sees what it did.';
create index message_ids_recipient on private.message_ids (recipient_id);

create table public.message_receipts (
    message_id text not null,
    -- canonical: no device suffix; '' stands for nobody named
    reader text not null,
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
    anonymous_delivered_count integer not null default 0,
    anonymous_read_count integer not null default 0,
    -- which kinds the last write was the first to report (1 delivered, 2 read, 4 played, 8 sent, 16 failed):
    -- `on conflict … returning` cannot see the old row, and record_receipts answers from this
    last_change smallint not null default 0,
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
    constraint source_is_known check (source in ('send_callback', 'receipt', 'inbound', 'sms_delivery')),
    constraint seen_count_is_positive check (seen_count > 0)
);
comment on table private.webhook_events is
    'Authentic events that could not be applied: unmatched, malformed, of an unknown kind, or in conflict with what is known. '
    'Kept once each; replay_webhook_events tries the unmatched again.';
create index webhook_events_to_replay on private.webhook_events (id) where replayed_at is null and reason = 'unmatched';

-- ---------------------------------------------------------------------------------------------------------------------
-- reading what providers write
-- ---------------------------------------------------------------------------------------------------------------------

create function private.canonical_reader(p_reader text)
returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when p_reader is null then ''
        when p_reader !~ '[:_\s]|@c\.us$' then p_reader
        -- 91987:12@s.whatsapp.net and 91987_1:12@s.whatsapp.net are devices of 91987@s.whatsapp.net
        else regexp_replace(
            regexp_replace(btrim(p_reader), '^([^@:_]+)(_\d+)?(:\d+)?(@|$)', '\1\4'),
            '@c\.us$', '@s.whatsapp.net'
        )
    end
$$;
revoke all on function private.canonical_reader(text) from public, anon, authenticated;
grant execute on function private.canonical_reader(text) to service_role;
comment on function private.canonical_reader(text) is 'A reader without device and agent suffix, in one spelling; empty for nobody.';

create function private.event_time(p_time text)
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select case
        when p_time is null then now()
        when p_time ~ '^\d{1,10}(\.\d+)?$' then to_timestamp(p_time::double precision)
        when p_time ~ '^\d{11,13}(\.\d+)?$' then to_timestamp(p_time::double precision / 1000)
        when p_time ~ '^\d{4}-\d\d-\d\d' and pg_input_is_valid(p_time, 'timestamptz') then p_time::timestamptz
        else now()
    end
$$;
revoke all on function private.event_time(text) from public, anon, authenticated;
grant execute on function private.event_time(text) to service_role;
comment on function private.event_time(text) is
    'A provider''s time: unix seconds, milliseconds or ISO 8601; now() for anything else. Shown to people, never used to order events.';

create function public.journal_webhook_event(p_source text, p_reason text, p_payload jsonb)
returns void
language sql
set search_path = ''
as $$
    insert into private.webhook_events as e (source, reason, payload)
    values (p_source, p_reason, p_payload)
    on conflict (source, payload_hash) do update set
        seen_count = e.seen_count + 1,
        last_seen_at = now()
$$;
revoke all on function public.journal_webhook_event(text, text, jsonb) from public, anon, authenticated;
grant execute on function public.journal_webhook_event(text, text, jsonb) to service_role;
comment on function public.journal_webhook_event(text, text, jsonb) is
    'Keeps an authentic event that could not be applied. p_source: send_callback, receipt, inbound or sms_delivery; p_reason: one word. Caller: the webhooks.';

create function private.journal_undigested(p_source text, p_events jsonb[])
returns integer
language sql
set search_path = ''
as $$
    with journaled as (
        insert into private.webhook_events as e (source, reason, payload)
        select distinct on (md5(u.event::text))
            p_source,
            case when u.event ->> 'event' in ('malformed', 'message_sent', 'message_failed', 'message_delivered', 'message_read', 'message_played')
                then 'malformed'
                else 'unknown_event'
            end,
            u.event
        from unnest(p_events) as u (event)
        order by md5(u.event::text)
        on conflict (source, payload_hash) do update set
            seen_count = e.seen_count + 1,
            last_seen_at = now()
    )
    select cardinality(p_events)
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
set search_path = ''
as $$
    select least(coalesce(p_member_count, 999999), greatest(p_identified, p_anonymous, p_at_least))
$$;
revoke all on function private.counted_people(integer, integer, integer, integer) from public, anon, authenticated;
grant execute on function private.counted_people(integer, integer, integer, integer) to service_role;
comment on function private.counted_people(integer, integer, integer, integer) is
    'The people behind identified and anonymous reports: the larger of the two, never more than there are members.';

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
        error_message = null
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
    -- one of the messages that changed; when several did, or it is not the recipient's own, people are recounted
    message_id text,
    message_count integer,
    delivered integer,
    read integer,
    anonymous_delivered integer,
    anonymous_read integer,
    proves_send boolean,
    failed boolean,
    error_code text,
    error_message text
);

create type private.receipt_row as (
    -- +1 for a row as it is now, -1 for the row it was
    n integer,
    message_id text,
    reader text,
    recipient_id uuid,
    delivered boolean,
    read boolean,
    anonymous_delivered_count integer,
    anonymous_read_count integer,
    sent boolean,
    failed boolean,
    error_code text,
    error_message text
);

create function private.apply_receipts(p_rows private.receipt_row[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_changes private.receipt_change[];
    v_recipient_ids uuid[];
    v_recounted uuid[];
    v_unsettled boolean;
begin
    select array_agg((
        c.recipient_id, c.message_id, c.message_count, c.delivered, c.read, c.anonymous_delivered, c.anonymous_read,
        c.delivered > 0 or c.anonymous_delivered > 0 or c.anonymous_read > 0 or c.sent > 0, c.failed > 0,
        c.error_code, c.error_message
    )::private.receipt_change order by c.recipient_id), array_agg(c.recipient_id)
    into v_changes, v_recipient_ids
    from (
        select
            r.recipient_id,
            min(r.message_id) as message_id,
            count(distinct r.message_id) as message_count,
            coalesce(sum(r.n) filter (where r.delivered and r.reader <> ''), 0) as delivered,
            coalesce(sum(r.n) filter (where r.read and r.reader <> ''), 0) as read,
            sum(r.n * r.anonymous_delivered_count) as anonymous_delivered,
            sum(r.n * r.anonymous_read_count) as anonymous_read,
            coalesce(sum(r.n) filter (where r.sent), 0) as sent,
            coalesce(sum(r.n) filter (where r.failed), 0) as failed,
            max(r.error_code) filter (where r.n > 0 and r.failed) as error_code,
            max(r.error_message) filter (where r.n > 0 and r.failed) as error_message
        from unnest(p_rows) r
        where r.recipient_id is not null
        group by r.recipient_id
    ) as c;
    if v_changes is null then
        return;
    end if;

    select
        array_agg(r.id) filter (where c.message_count > 1 or r.attempt_count > 1 or r.message_id <> c.message_id),
        coalesce(bool_or(r.status <> 'sent' and (c.proves_send or c.failed)), false)
    into v_recounted, v_unsettled
    from (
        select l.id, l.status, l.attempt_count, l.message_id
        from public.notification_campaign_recipients l
        where l.id = any (v_recipient_ids)
        order by l.id
        for no key update
    ) as r
    join unnest(v_changes) c on c.recipient_id = r.id;

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
        )
    from unnest(v_changes) c
    where r.id = c.recipient_id and r.id <> all (coalesce(v_recounted, '{}'));

    if v_recounted is not null then
        -- Sent twice, so that one person may have two receipts: people are counted, not receipts. The rows are locked,
        -- so everything that others changed for them is either committed, and seen here, or will come after us.
        update public.notification_campaign_recipients r
        set identified_delivered_count = p.delivered,
            identified_read_count = p.read,
            anonymous_delivered_count = r.anonymous_delivered_count + c.anonymous_delivered,
            anonymous_read_count = r.anonymous_read_count + c.anonymous_read,
            read_count = private.counted_people(r.member_count, p.read, r.anonymous_read_count + c.anonymous_read),
            delivered_count = private.counted_people(
                r.member_count, p.delivered, r.anonymous_delivered_count + c.anonymous_delivered,
                greatest(p.read, r.anonymous_read_count + c.anonymous_read)
            )
        from unnest(v_changes) c
        cross join lateral (
            select
                count(distinct m.reader) filter (where m.delivered_at is not null)::integer as delivered,
                count(distinct m.reader) filter (where m.read_at is not null)::integer as read
            from private.message_ids i
            join public.message_receipts m on m.message_id = i.message_id
            where i.recipient_id = c.recipient_id and m.reader <> ''
        ) as p
        where r.id = c.recipient_id and r.id = any (v_recounted);
    end if;

    if v_unsettled then
        -- a receipt proves the send; a failure counts only against what is still open
        update public.send_attempts a
        set outcome = case when f.failed and not f.proved then 'failed'::public.attempt_outcome else 'sent' end,
            error_code = coalesce(f.error_code, a.error_code),
            error_message = coalesce(f.error_message, a.error_message),
            finished_at = coalesce(a.finished_at, now())
        from (
            select
                r.message_id,
                bool_or(r.n > 0 and (r.delivered or r.sent or r.anonymous_delivered_count + r.anonymous_read_count > 0)) as proved,
                bool_or(r.n > 0 and r.failed) as failed,
                max(r.error_code) filter (where r.n > 0 and r.failed) as error_code,
                max(r.error_message) filter (where r.n > 0 and r.failed) as error_message
            from unnest(p_rows) r
            where r.recipient_id is not null
            group by r.message_id
        ) as f
        where a.message_id = f.message_id and (f.proved or f.failed) and a.outcome <> 'sent';

        update public.notification_campaign_recipients r
        set status = case when c.proves_send then 'sent'::public.recipient_status else 'failed' end,
            message_id = coalesce(r.message_id, c.message_id),
            lease_expires_at = null,
            error_code = case when c.proves_send then null else coalesce(c.error_code, r.error_code) end,
            error_message = case when c.proves_send then null else coalesce(c.error_message, 'The provider reported a failure without a reason.') end
        from unnest(v_changes) c
        where r.id = c.recipient_id
            and (
                (c.proves_send and r.status <> 'sent')
                or (
                    c.failed and r.status in ('pending', 'processing', 'unconfirmed')
                    -- an older attempt's failure says nothing about the one in flight
                    and not exists (
                        select 1
                        from public.send_attempts a
                        where a.message_id = c.message_id and a.attempt_number <> r.attempt_count
                    )
                )
            );
    end if;
end
$$;
revoke all on function private.apply_receipts(private.receipt_row[]) from public, anon, authenticated;
comment on function private.apply_receipts(private.receipt_row[]) is
    'Brings changed receipts home: the counts of their recipients, and the send they prove or fail. Locks recipients in id order.';

create function private.apply_inserted_receipts()
returns trigger
language plpgsql
-- definer because a receipt may be written by whoever may, its consequences by nobody else
security definer
set search_path = ''
as $$
begin
    perform private.apply_receipts(array(
        select (
            1, n.message_id, n.reader, n.recipient_id, n.delivered_at is not null, n.read_at is not null,
            n.anonymous_delivered_count, n.anonymous_read_count, n.sent_at is not null,
            -- one participant's failure is not the group's
            n.failed_at is not null and n.reader = '', n.error_code, n.error_message
        )::private.receipt_row
        from new_rows n
        where n.recipient_id is not null
    ));
    return null;
end
$$;
revoke all on function private.apply_inserted_receipts() from public, anon, authenticated;
comment on function private.apply_inserted_receipts() is 'After receipts were inserted: what they change for their recipients.';
create trigger apply_inserted_receipts after insert on public.message_receipts
    referencing new table as new_rows
    for each statement execute function private.apply_inserted_receipts();

create function private.apply_updated_receipts()
returns trigger
language plpgsql
-- definer because a receipt may be written by whoever may, its consequences by nobody else
security definer
set search_path = ''
as $$
begin
    perform private.apply_receipts(array(
        select (
            1, n.message_id, n.reader, n.recipient_id, n.delivered_at is not null, n.read_at is not null,
            n.anonymous_delivered_count, n.anonymous_read_count, n.sent_at is not null,
            n.failed_at is not null and n.reader = '', n.error_code, n.error_message
        )::private.receipt_row
        from new_rows n
        where n.recipient_id is not null
        union all
        select (
            -1, o.message_id, o.reader, o.recipient_id, o.delivered_at is not null, o.read_at is not null,
            o.anonymous_delivered_count, o.anonymous_read_count, o.sent_at is not null,
            o.failed_at is not null and o.reader = '', o.error_code, o.error_message
        )::private.receipt_row
        from old_rows o
        where o.recipient_id is not null
    ));
    return null;
end
$$;
revoke all on function private.apply_updated_receipts() from public, anon, authenticated;
comment on function private.apply_updated_receipts() is 'After receipts were updated or adopted: what that changes for their recipients.';
create trigger apply_updated_receipts after update on public.message_receipts
    referencing old table as old_rows new table as new_rows
    for each statement execute function private.apply_updated_receipts();

create function private.apply_deleted_receipts()
returns trigger
language plpgsql
-- definer because a receipt may be deleted by whoever may, its consequences by nobody else
security definer
set search_path = ''
as $$
begin
    perform private.apply_receipts(array(
        select (
            -1, o.message_id, o.reader, o.recipient_id, o.delivered_at is not null, o.read_at is not null,
            o.anonymous_delivered_count, o.anonymous_read_count, o.sent_at is not null,
            o.failed_at is not null and o.reader = '', o.error_code, o.error_message
        )::private.receipt_row
        from old_rows o
        where o.recipient_id is not null
    ));
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
as $$
begin
    insert into private.message_ids (message_id)
    select distinct u.message_id
    from unnest(p_message_ids) as u (message_id)
    where u.message_id is not null
    order by u.message_id
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
as $$
declare
    v_bound_to uuid;
begin
    insert into private.message_ids as i (message_id, recipient_id)
    values (p_message_id, p_recipient_id)
    on conflict (message_id) do update set recipient_id = excluded.recipient_id
        where i.recipient_id is null;
    if found then
        return;
    end if;
    select i.recipient_id into v_bound_to from private.message_ids i where i.message_id = p_message_id;
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

create function private.bind_message_id_of_attempt()
returns trigger
language plpgsql
-- definer because whoever may name a message id may not write the tables behind it
security definer
set search_path = ''
as $$
begin
    perform private.bind_message_id(new.message_id, new.recipient_id);
    return null;
end
$$;
revoke all on function private.bind_message_id_of_attempt() from public, anon, authenticated;
comment on function private.bind_message_id_of_attempt() is 'After an attempt got a message id: it is bound to the attempt''s recipient.';
create trigger bind_message_id_of_new_attempt after insert on public.send_attempts
    for each row when (new.message_id is not null)
    execute function private.bind_message_id_of_attempt();
create trigger bind_message_id_of_attempt after update of message_id on public.send_attempts
    for each row when (new.message_id is not null and new.message_id is distinct from old.message_id)
    execute function private.bind_message_id_of_attempt();

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
as $$
begin
    update public.message_receipts m
    set recipient_id = new.recipient_id
    where m.message_id = new.message_id and m.recipient_id is null;
    return null;
end
$$;
revoke all on function private.adopt_receipts() from public, anon, authenticated;
comment on function private.adopt_receipts() is 'After a message id that receipts had named got its recipient: the parked receipts are its own.';
create trigger adopt_receipts after update of recipient_id on private.message_ids
    for each row when (old.recipient_id is null and new.recipient_id is not null)
    execute function private.adopt_receipts();

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

create function private.is_receipt(p_event jsonb)
returns boolean
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        p_event ->> 'event' in ('message_delivered', 'message_read', 'message_played', 'message_sent', 'message_failed')
        and p_event ->> 'messageId' <> '',
        false
    )
$$;
revoke all on function private.is_receipt(jsonb) from public, anon, authenticated;
grant execute on function private.is_receipt(jsonb) to service_role;
comment on function private.is_receipt(jsonb) is 'Whether record_receipts can apply an event: a known event that names its message.';

create function private.reported_kinds(p_receipt public.message_receipts)
returns integer
language sql
immutable
set search_path = ''
as $$
    select (p_receipt.delivered_at is not null)::integer
        + 2 * (p_receipt.read_at is not null)::integer
        + 4 * (p_receipt.played_at is not null)::integer
        + 8 * (p_receipt.sent_at is not null)::integer
        + 16 * (p_receipt.failed_at is not null)::integer
$$;
revoke all on function private.reported_kinds(public.message_receipts) from public, anon, authenticated;
grant execute on function private.reported_kinds(public.message_receipts) to service_role;
comment on function private.reported_kinds(public.message_receipts) is
    'What is known of a receipt as a bit mask: 1 delivered, 2 read, 4 played, 8 sent, 16 failed.';

create function public.record_receipts(p_receipts jsonb)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_message_ids text[];
    v_unknown text[];
    v_events integer;
    v_recorded integer;
    v_parked integer;
    v_journaled integer := 0;
    v_receipts jsonb := p_receipts;
begin
    if jsonb_typeof(p_receipts) is distinct from 'array' then
        raise invalid_parameter_value using
            message = format('p_receipts must be an array of receipts, not %s', coalesce(jsonb_typeof(p_receipts), 'null'));
    end if;

    select array_agg(distinct e.receipt ->> 'messageId'), count(*)
    into v_message_ids, v_events
    from jsonb_array_elements(p_receipts) as e (receipt)
    where private.is_receipt(e.receipt);

    if v_events < jsonb_array_length(p_receipts) then
        v_journaled := private.journal_undigested('receipt', array(
            select e.receipt
            from jsonb_array_elements(p_receipts) as e (receipt)
            where not private.is_receipt(e.receipt)
        ));
        v_receipts := (
            select jsonb_agg(e.receipt)
            from jsonb_array_elements(p_receipts) as e (receipt)
            where private.is_receipt(e.receipt)
        );
    end if;
    if v_events = 0 then
        return jsonb_build_object('recorded', 0, 'duplicates', 0, 'parked', 0, 'journaled', v_journaled);
    end if;

    v_unknown := array(
        select u.message_id
        from unnest(v_message_ids) as u (message_id)
        where not exists (
            select 1
            from private.message_ids i
            where i.message_id = u.message_id and i.recipient_id is not null
        )
        order by u.message_id
    );
    if v_unknown <> '{}' then
        insert into private.message_ids (message_id)
        select u.message_id
        from unnest(v_unknown) as u (message_id)
        order by u.message_id
        on conflict (message_id) do nothing;
        -- Whoever binds one of these ids waits until our receipts are committed, and then adopts them. If somebody bound
        -- it while we waited for the row, the next statement sees that and nothing is parked.
        perform 1
        from private.message_ids i
        where i.message_id = any (v_unknown) and i.recipient_id is null
        order by i.message_id
        for share;
    end if;

    with events as (
        select
            e."messageId" as message_id,
            private.canonical_reader(e.reader) as reader,
            case e.event
                when 'message_delivered' then 1
                when 'message_read' then 2
                when 'message_played' then 4
                when 'message_sent' then 8
                when 'message_failed' then 16
            end as kind,
            private.event_time(e."timestamp") as occurred_at,
            e."sessionId" as session_id,
            e."errorCode" as error_code,
            e."errorMessage" as error_message
        from jsonb_to_recordset(v_receipts) as e (
            event text, "messageId" text, reader text, "sessionId" text, "timestamp" text, "errorCode" text, "errorMessage" text
        )
    ),
    facts as (
        select
            v.message_id,
            v.reader,
            bit_or(v.kind) as kinds,
            min(v.occurred_at) filter (where v.kind <= 4 and v.reader <> '') as delivered_at,
            min(v.occurred_at) filter (where v.kind in (2, 4) and v.reader <> '') as read_at,
            min(v.occurred_at) filter (where v.kind = 4 and v.reader <> '') as played_at,
            min(v.occurred_at) filter (where v.kind = 8) as sent_at,
            min(v.occurred_at) filter (where v.kind = 16) as failed_at,
            max(v.error_code) as error_code,
            max(v.error_message) as error_message,
            min(v.session_id) as session_id,
            count(*) filter (where v.kind = 1 and v.reader = '') as anonymous_delivered_count,
            count(*) filter (where v.kind in (2, 4) and v.reader = '') as anonymous_read_count
        from events v
        group by v.message_id, v.reader
    ),
    written as (
        insert into public.message_receipts as m (
            message_id, reader, recipient_id, delivered_at, read_at, played_at, sent_at, failed_at, error_code, error_message,
            session_id, anonymous_delivered_count, anonymous_read_count, last_change
        )
        select
            f.message_id, f.reader, i.recipient_id, f.delivered_at, f.read_at, f.played_at, f.sent_at, f.failed_at, f.error_code,
            f.error_message, f.session_id, f.anonymous_delivered_count, f.anonymous_read_count,
            -- an anonymous report is counted, not remembered
            case when f.reader = '' then f.kinds & 24 else f.kinds end
        from facts f
        left join private.message_ids i on i.message_id = f.message_id
        order by f.message_id, f.reader
        on conflict (message_id, reader) do update set
            delivered_at = coalesce(m.delivered_at, excluded.delivered_at),
            read_at = coalesce(m.read_at, excluded.read_at),
            played_at = coalesce(m.played_at, excluded.played_at),
            sent_at = coalesce(m.sent_at, excluded.sent_at),
            failed_at = coalesce(m.failed_at, excluded.failed_at),
            error_code = coalesce(m.error_code, excluded.error_code),
            error_message = coalesce(m.error_message, excluded.error_message),
            session_id = coalesce(m.session_id, excluded.session_id),
            anonymous_delivered_count = m.anonymous_delivered_count + excluded.anonymous_delivered_count,
            anonymous_read_count = m.anonymous_read_count + excluded.anonymous_read_count,
            last_change = excluded.last_change & ~private.reported_kinds(m)
        where (excluded.last_change & ~private.reported_kinds(m)) <> 0
            or excluded.anonymous_delivered_count + excluded.anonymous_read_count > 0
        returning m.message_id, m.reader, m.recipient_id, m.last_change
    )
    select
        coalesce(sum(w.fact_count) filter (where w.recipient_id is not null), 0),
        coalesce(sum(w.fact_count) filter (where w.recipient_id is null), 0)
    into v_recorded, v_parked
    from (
        select
            n.recipient_id,
            bit_count(n.last_change::integer::bit(5))
                + case when n.reader = '' then f.anonymous_delivered_count + f.anonymous_read_count else 0 end as fact_count
        from written n
        join facts f on f.message_id = n.message_id and f.reader = n.reader
    ) as w;

    -- keeps what readers have to sum short even where nothing else folds
    if random() < 0.01 then
        perform public.fold_campaign_counters();
    end if;
    return jsonb_build_object(
        'recorded', v_recorded,
        'duplicates', v_events - v_recorded - v_parked,
        'parked', v_parked,
        'journaled', v_journaled
    );
end
$$;
revoke all on function public.record_receipts(jsonb) from public, anon, authenticated;
grant execute on function public.record_receipts(jsonb) to service_role;
comment on function public.record_receipts(jsonb) is
    'Records a batch of receipts: [{event: message_delivered|message_read|message_played|message_sent|message_failed, messageId, reader, sessionId, timestamp, errorCode, errorMessage}]. '
    'No reader: counted anonymously. Answers {recorded, duplicates, parked, journaled}: parked ones wait for their message id, journaled ones were of an unknown kind or malformed. '
    'Idempotent for every receipt that names its reader. Caller: the receipt webhooks.';

-- ---------------------------------------------------------------------------------------------------------------------
-- grants and policies
-- ---------------------------------------------------------------------------------------------------------------------

alter table private.message_ids enable row level security;
revoke all on private.message_ids from public, anon, authenticated;
grant all on private.message_ids to service_role;

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
