-- Brings the history of a CRM into Truetick's tables: contacts of its send queue, and its chat messages. Run it after
-- `supabase db push`; docs/adopting.md says how the CRM's own tables get out of the way before.
--
--   call adopt.move_send_queue('legacy.send_queue');
--   call adopt.move_chat_messages('legacy.chat_messages_to_move');
--   select * from adopt.unmoved_rows;
--
-- Only inserts, in chunks that are each committed, and nothing twice: it may be stopped and called again. The relation
-- that is named may be a view, and is one where columns have other names than those that are asked for.

create schema if not exists adopt;
revoke all on schema adopt from public, anon, authenticated;

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table if not exists adopt.moved_rows (
    -- the relation that it was read from
    source text not null,
    legacy_id text not null,
    -- notification_campaign_recipients(id) or chat_messages(id)
    new_id text not null,
    moved_at timestamptz not null default now(),
    primary key (source, legacy_id)
);
comment on table adopt.moved_rows is 'Which row of the CRM became which row of Truetick. Several sends of a campaign to one contact became one recipient.';

-- What a call read, as it will be written. Unlogged: after a crash it is read again.
create unlogged table if not exists adopt.staged_sends (
    source text not null,
    legacy_id text,
    campaign_id uuid,
    recipient text,
    address text,
    status public.recipient_status,
    skip_reason text,
    -- collated as the columns that these are compared with, or no index of theirs is used
    message_id text collate "C",
    sent_at timestamptz,
    error_message text,
    variables jsonb,
    is_delivered boolean,
    is_read boolean,
    -- why it is not moved
    problem text,
    -- numbers the contacts of campaigns
    place integer
);
comment on table adopt.staged_sends is 'The send queue that move_send_queue read last.';
create index if not exists staged_sends_place on adopt.staged_sends (place);

create unlogged table if not exists adopt.staged_messages (
    source text not null,
    legacy_id text,
    organization_id uuid,
    channel public.campaign_channel,
    session_id text collate "C",
    contact text collate "C",
    contact_name text,
    wa_message_id text collate "C",
    direction public.message_direction,
    message_type text,
    content text,
    payload jsonb,
    context_message_id text,
    occurred_at timestamptz,
    problem text,
    -- numbers the messages by time
    place integer
);
comment on table adopt.staged_messages is 'The chat messages that move_chat_messages read last.';
create index if not exists staged_messages_place on adopt.staged_messages (place);

create or replace view adopt.unmoved_rows
with (security_invoker = true)
as
    select s.source, s.legacy_id, s.problem from adopt.staged_sends s where s.problem is not null
    union all
    select s.source, s.legacy_id, s.problem from adopt.staged_messages s where s.problem is not null;
comment on view adopt.unmoved_rows is 'What the last call of each procedure read and did not move, and why.';

alter table adopt.moved_rows enable row level security;
alter table adopt.staged_sends enable row level security;
alter table adopt.staged_messages enable row level security;
revoke all on all tables in schema adopt from public, anon, authenticated;

-- ---------------------------------------------------------------------------------------------------------------------
-- reading
-- ---------------------------------------------------------------------------------------------------------------------

create or replace function adopt.require_columns(p_from regclass, p_columns name[])
returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    v_missing name[] := array(
        select c.name
        from unnest(p_columns) with ordinality as c (name, place)
        where not exists (
            select
            from pg_catalog.pg_attribute a
            where a.attrelid = p_from and a.attname = c.name and not a.attisdropped
        )
        order by c.place
    );
begin
    if v_missing <> '{}' then
        raise undefined_column using
            message = format('%s has no column %s', p_from, array_to_string(v_missing, ', ')),
            hint = 'Make a view in which its columns have these names, and name that.';
    end if;
end
$$;
revoke all on function adopt.require_columns(regclass, name[]) from public, anon, authenticated;
comment on function adopt.require_columns(regclass, name[]) is 'Fails with undefined_column where a relation lacks a column.';

create or replace function adopt.time_of(p_row jsonb, p_columns text[])
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select (p_row ->> c.name)::timestamptz
    from unnest(p_columns) with ordinality as c (name, place)
    where pg_catalog.pg_input_is_valid(p_row ->> c.name, 'timestamptz')
    order by c.place
    limit 1
$$;
revoke all on function adopt.time_of(jsonb, text[]) from public, anon, authenticated;
comment on function adopt.time_of(jsonb, text[]) is 'The first of these columns that holds a time.';

create or replace function adopt.stage_sends(p_from regclass)
returns integer
language plpgsql
set search_path = ''
set row_security = off
as $$
begin
    perform adopt.require_columns(p_from, '{id,campaign_id,phone,status,whatsapp_message_id}');
    delete from adopt.staged_sends;
    execute format(
        $query$
        insert into adopt.staged_sends (
            source, legacy_id, campaign_id, recipient, address, status, skip_reason, message_id, sent_at, error_message,
            variables, is_delivered, is_read, problem
        )
        with legacy as (
            select
                to_jsonb(l) as r,
                l.id::text as legacy_id,
                btrim(l.phone::text) as recipient,
                nullif(btrim(l.whatsapp_message_id::text), '') collate "C" as message_id,
                case
                    when pg_catalog.pg_input_is_valid(l.campaign_id::text, 'uuid') then l.campaign_id::text::uuid
                end as campaign_id,
                lower(btrim(l.status::text)) as said
            from %s l
        ),
        sorted_out as (
            select
                l.*,
                c.status in ('draft', 'scheduled', 'paused') as may_be_open,
                case
                    -- it went out, whatever was noted of it
                    when l.message_id is not null then 'sent'
                    when l.said in ('sent', 'delivered', 'read', 'played', 'completed', 'success') then 'sent'
                    when l.said in ('failed', 'error', 'undelivered', 'rejected') then 'failed'
                    when l.said in ('skipped', 'cancelled', 'canceled', 'opted_out') then 'skipped'
                    -- it may have gone out: to be sent again only by a person who has looked
                    when l.said in ('processing', 'sending', 'unconfirmed') then 'unconfirmed'
                    when l.said in ('ready', 'pending', 'queued', 'scheduled') then 'pending'
                end::public.recipient_status as status,
                case
                    when l.legacy_id is null then 'it has no id'
                    when coalesce(l.recipient, '') = '' then 'it has no phone'
                    when c.id is null then 'its campaign is not in notification_campaigns'
                    when c.channel = 'whatsapp_group' then 'its campaign is one to groups'
                    when c.status = 'processing' then 'its campaign is running: pause it and call again'
                end as problem,
                -- one id names one message: the first that has it, unless Truetick knows it already
                row_number() over (partition by l.message_id order by adopt.time_of(l.r, '{actual_sent_at,created_at}'), l.legacy_id) = 1
                    and not exists (select from public.notification_campaign_recipients r where r.message_id = l.message_id)
                    and not exists (select from public.send_attempts a where a.message_id = l.message_id)
                    as owns_message_id
            from legacy l
            left join public.notification_campaigns c on c.id = l.campaign_id
        )
        select
            %L,
            s.legacy_id,
            s.campaign_id,
            s.recipient,
            private.address_of(s.recipient),
            -- nothing of a campaign that is over is sent just because it was moved
            case when s.status in ('pending', 'unconfirmed') and not s.may_be_open then 'skipped' else s.status end,
            case
                when s.status = 'skipped' then coalesce(s.r ->> 'skip_reason', s.said)
                when s.status in ('pending', 'unconfirmed') and not s.may_be_open then 'open_when_moved'
            end,
            case when s.owns_message_id then s.message_id end,
            adopt.time_of(s.r, '{actual_sent_at,sent_at,updated_at,created_at}'),
            s.r ->> 'error_message',
            case when jsonb_typeof(s.r -> 'variables') = 'object' then s.r -> 'variables' else '{}' end,
            s.said in ('delivered', 'read', 'played') or s.r ->> 'delivered_at' is not null or s.r ->> 'read_at' is not null,
            s.said in ('read', 'played') or s.r ->> 'read_at' is not null,
            coalesce(s.problem, case when s.status is null then format('its status %%s is unknown', coalesce(s.said, 'null')) end)
        from sorted_out s
        $query$,
        p_from, p_from
    );
    update adopt.staged_sends s
    set place = p.place
    from (
        select d.campaign_id, d.address, row_number() over (order by d.campaign_id, d.address) as place
        from (select distinct n.campaign_id, n.address from adopt.staged_sends n where n.problem is null) as d
    ) as p
    where s.campaign_id = p.campaign_id and s.address = p.address and s.problem is null;
    analyze adopt.staged_sends;
    return coalesce((select max(s.place) from adopt.staged_sends s), 0);
end
$$;
revoke all on function adopt.stage_sends(regclass) from public, anon, authenticated;
comment on function adopt.stage_sends(regclass) is 'Reads a send queue into adopt.staged_sends; answers how many contacts of campaigns it holds.';

create or replace function adopt.stage_messages(p_from regclass)
returns integer
language plpgsql
set search_path = ''
set row_security = off
as $$
begin
    perform adopt.require_columns(p_from, '{id,session_id,contact,direction,wa_message_id,content}');
    delete from adopt.staged_messages;
    execute format(
        $query$
        insert into adopt.staged_messages (
            source, legacy_id, organization_id, channel, session_id, contact, contact_name, wa_message_id, direction, message_type,
            content, payload, context_message_id, occurred_at, problem, place
        )
        with legacy as (
            select
                to_jsonb(l) as r,
                l.id::text as legacy_id,
                nullif(btrim(l.session_id::text), '') as session_id,
                private.address_of(l.contact::text) as contact,
                case
                    when lower(l.direction::text) in ('inbound', 'incoming', 'in', 'received') then 'inbound'
                    when lower(l.direction::text) in ('outbound', 'outgoing', 'out', 'sent') then 'outbound'
                end::public.message_direction as direction,
                nullif(btrim(l.wa_message_id::text), '') as wa_message_id
            from %s l
        ),
        sorted_out as (
            select
                l.*,
                coalesce(adopt.time_of(l.r, '{occurred_at,timestamp,created_at}'), now()) as occurred_at,
                coalesce(
                    (select g.organization_id from public.gateway_sessions g where g.id = l.session_id),
                    (select o.id from public.organizations o where o.id::text = l.r ->> 'organization_id')
                ) as organization_id
            from legacy l
        )
        select
            %L,
            s.legacy_id,
            s.organization_id,
            case s.r ->> 'channel' when 'sms' then 'sms'::public.campaign_channel else 'whatsapp' end,
            s.session_id,
            s.contact,
            nullif(btrim(s.r ->> 'contact_name'), ''),
            s.wa_message_id,
            s.direction,
            coalesce(nullif(s.r ->> 'message_type', ''), 'text'),
            s.r ->> 'content',
            case when jsonb_typeof(s.r -> 'payload') = 'object' then s.r -> 'payload' else '{}' end,
            nullif(s.r ->> 'context_message_id', ''),
            s.occurred_at,
            case
                when s.legacy_id is null then 'it has no id'
                when s.session_id is null then 'it has no session_id'
                when coalesce(s.contact, '') = '' then 'it has no contact'
                when s.direction is null then format('its direction %%s is unknown', coalesce(s.r ->> 'direction', 'null'))
                when s.organization_id is null and s.r ->> 'organization_id' is not null then 'its organization is not in organizations'
            end,
            row_number() over (order by s.occurred_at, length(s.legacy_id), s.legacy_id)
        from sorted_out s
        $query$,
        p_from, p_from
    );
    analyze adopt.staged_messages;
    return coalesce((select max(s.place) from adopt.staged_messages s), 0);
end
$$;
revoke all on function adopt.stage_messages(regclass) from public, anon, authenticated;
comment on function adopt.stage_messages(regclass) is 'Reads chat messages into adopt.staged_messages; answers how many.';

-- ---------------------------------------------------------------------------------------------------------------------
-- writing
-- ---------------------------------------------------------------------------------------------------------------------

create or replace function adopt.move_sends(p_first_place integer, p_last_place integer)
returns integer
language plpgsql
set search_path = ''
-- index probes; and no plan from when these tables were empty
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_moved integer;
begin
    with contacts as (
        -- One contact of one campaign is one row, however often the CRM queued it; the strongest evidence says what became
        -- of it, so that nobody who has the message gets it again.
        select
            s.campaign_id,
            s.address,
            (array_agg(s.recipient order by s.status desc, s.sent_at, s.legacy_id))[1] as recipient,
            (array_agg(s.variables order by s.status desc, s.sent_at, s.legacy_id))[1] as variables,
            max(s.status) as status,
            (array_agg(s.skip_reason order by s.status desc, s.sent_at, s.legacy_id))[1] as skip_reason,
            (array_agg(s.error_message order by s.status desc, s.sent_at, s.legacy_id))[1] as error_message,
            array_agg(s.message_id order by s.sent_at, s.legacy_id) filter (where s.message_id is not null) as message_ids,
            array_agg(s.sent_at order by s.sent_at, s.legacy_id) filter (where s.message_id is not null) as sent_ats,
            min(s.sent_at) filter (where s.status = 'sent') as sent_at,
            bool_or(s.is_delivered) as is_delivered,
            bool_or(s.is_read) as is_read,
            bool_or((select true from adopt.moved_rows m where m.source = s.source and m.legacy_id = s.legacy_id)) as is_moved
        from adopt.staged_sends s
        where s.place between p_first_place and p_last_place
        group by s.campaign_id, s.address
    ),
    inserted as (
        insert into public.notification_campaign_recipients (
            campaign_id, recipient, variables, status, skip_reason, attempt_count, message_id, sent_at, error_message, delivered_count, read_count
        )
        select
            c.campaign_id,
            c.recipient,
            c.variables,
            c.status,
            case when c.status = 'skipped' then coalesce(c.skip_reason, 'skipped') end,
            case when cardinality(c.message_ids) > 1 then cardinality(c.message_ids) else 0 end,
            c.message_ids[1],
            c.sent_at,
            case when c.status = 'failed' then c.error_message end,
            case when c.status = 'sent' and c.is_delivered then 1 else 0 end,
            case when c.status = 'sent' and c.is_read then 1 else 0 end
        from contacts c
        where c.is_moved is not true
            -- a probe of an index for each, here and above: never a join, which might read the whole campaign
            and (
                select true
                from public.notification_campaign_recipients r
                where r.campaign_id = c.campaign_id and r.address = c.address and r.skip_reason is distinct from 'duplicate_recipient'
            ) is null
        order by c.campaign_id, c.recipient
        on conflict do nothing
        returning id, campaign_id, address
    ),
    -- Who was sent the same message several times is seen in duplicate_sends, and receipts of each find their recipient.
    attempts as (
        insert into public.send_attempts (recipient_id, attempt_number, message_id, outcome, claimed_at, finished_at)
        select i.id, m.number, m.message_id, 'sent', null, m.sent_at
        from inserted i
        join contacts c on c.campaign_id = i.campaign_id and c.address = i.address
        cross join lateral unnest(c.message_ids, c.sent_ats) with ordinality as m (message_id, sent_at, number)
        where cardinality(c.message_ids) > 1
    )
    insert into adopt.moved_rows (source, legacy_id, new_id)
    select s.source, s.legacy_id, i.id::text
    from inserted i
    join adopt.staged_sends s on s.campaign_id = i.campaign_id and s.address = i.address and s.problem is null
    where s.place between p_first_place and p_last_place
    on conflict (source, legacy_id) do nothing;
    get diagnostics v_moved = row_count;

    update adopt.staged_sends s
    set problem = 'the campaign has this contact already'
    where s.place between p_first_place and p_last_place
        and not exists (select from adopt.moved_rows m where m.source = s.source and m.legacy_id = s.legacy_id);
    return v_moved;
end
$$;
revoke all on function adopt.move_sends(integer, integer) from public, anon, authenticated;
comment on function adopt.move_sends(integer, integer) is 'Writes staged sends as recipients; answers how many rows of the CRM that were.';

create or replace function adopt.move_messages(p_first_place integer, p_last_place integer)
returns integer
language plpgsql
set search_path = ''
-- index probes; and no plan from when these tables were empty
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_sequence constant regclass := pg_get_serial_sequence('public.chat_messages', 'id');
    v_moved integer;
begin
    insert into public.conversations (organization_id, channel, session_id, contact, contact_name, last_message_at, created_at)
    select
        s.organization_id,
        s.channel,
        s.session_id,
        s.contact,
        (array_agg(s.contact_name order by s.place desc) filter (where s.contact_name is not null))[1],
        max(s.occurred_at),
        min(s.occurred_at)
    from adopt.staged_messages s
    where s.place between p_first_place and p_last_place and s.problem is null
    group by s.organization_id, s.channel, s.session_id, s.contact
    order by s.session_id, s.contact, s.channel
    on conflict do nothing;

    update public.conversations c
    set last_message_at = l.last_message_at
    from (
        select s.organization_id, s.channel, s.session_id, s.contact, max(s.occurred_at) as last_message_at
        from adopt.staged_messages s
        where s.place between p_first_place and p_last_place and s.problem is null
        group by s.organization_id, s.channel, s.session_id, s.contact
    ) as l
    where c.session_id = l.session_id
        and c.contact = l.contact
        and c.channel = l.channel
        and c.organization_id is not distinct from l.organization_id
        and c.last_message_at < l.last_message_at;

    with numbered as materialized (
        select s.*, nextval(v_sequence) as new_id
        from (
            select s.*
            from adopt.staged_messages s
            where s.place between p_first_place and p_last_place
                and s.problem is null
                and (select true from adopt.moved_rows m where m.source = s.source and m.legacy_id = s.legacy_id) is null
            order by s.place
        ) as s
    ),
    inserted as (
        insert into public.chat_messages (
            id, conversation_id, wa_message_id, direction, message_type, content, payload, context_message_id, occurred_at
        )
        overriding system value
        select n.new_id, c.id, n.wa_message_id, n.direction, n.message_type, n.content, n.payload, n.context_message_id, n.occurred_at
        from numbered n
        join public.conversations c
            on c.session_id = n.session_id
            and c.contact = n.contact
            and c.channel = n.channel
            and c.organization_id is not distinct from n.organization_id
        order by n.new_id
        on conflict (wa_message_id) where wa_message_id is not null do nothing
        returning id
    )
    insert into adopt.moved_rows (source, legacy_id, new_id)
    select n.source, n.legacy_id, n.new_id::text
    from numbered n
    join inserted i on i.id = n.new_id;
    get diagnostics v_moved = row_count;

    -- messages that are there already, from a webhook or from a duplicate
    insert into adopt.moved_rows (source, legacy_id, new_id)
    select s.source, s.legacy_id, c.id::text
    from adopt.staged_messages s
    join public.chat_messages c on c.wa_message_id = s.wa_message_id
    where s.place between p_first_place and p_last_place and s.problem is null
    on conflict (source, legacy_id) do nothing;
    return v_moved;
end
$$;
revoke all on function adopt.move_messages(integer, integer) from public, anon, authenticated;
comment on function adopt.move_messages(integer, integer) is 'Writes staged messages into conversations and chat_messages; answers how many.';

create or replace procedure adopt.move_send_queue(p_from regclass, p_chunk integer default 1000)
language plpgsql
-- No search path is set, because a procedure with one cannot commit: every name is written out.
as $$
declare
    v_last integer := adopt.stage_sends(p_from);
    v_moved integer := 0;
begin
    commit;
    for v_place in 1..v_last by p_chunk
    loop
        v_moved := v_moved + adopt.move_sends(v_place, v_place + p_chunk - 1);
        commit;
    end loop;
    raise notice 'moved % rows of %, not moved: %', v_moved, p_from,
        (select count(*) from adopt.staged_sends s where s.problem is not null);
end
$$;
revoke all on procedure adopt.move_send_queue(regclass, integer) from public, anon, authenticated;
comment on procedure adopt.move_send_queue(regclass, integer) is
    'Moves contacts into notification_campaign_recipients. Needs the columns id, campaign_id, phone, status and whatsapp_message_id; takes actual_sent_at, '
    'delivered_at, read_at, error_message, skip_reason, variables, updated_at and created_at where they are. Campaigns must be in notification_campaigns '
    'before, and not running. Rows with a message id become sent.';

create or replace procedure adopt.move_chat_messages(p_from regclass, p_chunk integer default 1000)
language plpgsql
-- No search path is set, because a procedure with one cannot commit: every name is written out.
as $$
declare
    v_last integer := adopt.stage_messages(p_from);
    v_moved integer := 0;
begin
    commit;
    for v_place in 1..v_last by p_chunk
    loop
        v_moved := v_moved + adopt.move_messages(v_place, v_place + p_chunk - 1);
        commit;
    end loop;
    raise notice 'moved % messages of %, not moved: %', v_moved, p_from,
        (select count(*) from adopt.staged_messages s where s.problem is not null);
end
$$;
revoke all on procedure adopt.move_chat_messages(regclass, integer) from public, anon, authenticated;
comment on procedure adopt.move_chat_messages(regclass, integer) is
    'Moves messages into conversations and chat_messages. Needs the columns id, session_id, contact, direction, wa_message_id and content; takes channel, '
    'contact_name, message_type, payload, context_message_id, organization_id and occurred_at, timestamp or created_at where they are. Opts nobody out.';
