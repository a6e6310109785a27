-- What people write: conversations, their messages, each stored once, and what a person says about being written to.
-- Locks: conversations by sender and contact, then messages by id, then opt-outs; after everything that receipts lock.

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create type public.message_direction as enum ('inbound', 'outbound');
create type public.consent_action as enum ('stop', 'start', 'ignore');

create table public.conversations (
    id uuid primary key default private.time_ordered_uuid(),
    -- null: nobody has this sender yet; whoever adds it to gateway_sessions gets its conversations
    organization_id uuid references public.organizations (id) on delete cascade,
    channel public.campaign_channel not null,
    -- the sender that was written to: a phone number id, a number, a session
    session_id text collate "C" not null,
    -- + and digits, or the id of a person who hides the number
    contact text collate "C" not null,
    -- Meta's business-scoped id of the person, where it is known
    user_id text collate "C",
    contact_name text,
    last_message_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    -- one number may take text messages and WhatsApp, and a sender may change hands
    unique nulls not distinct (session_id, contact, channel, organization_id),
    constraint contact_is_not_blank check (contact ~ '\S')
)
with (fillfactor = 85);
comment on table public.conversations is 'What one of our senders and one contact have written to each other.';
create unique index conversations_user on public.conversations (session_id, user_id, channel, organization_id) nulls not distinct
    where user_id is not null;
create index conversations_unowned on public.conversations (session_id) where organization_id is null;
create index conversations_organization on public.conversations (organization_id, last_message_at desc);

create table public.chat_messages (
    id bigint generated always as identity primary key,
    conversation_id uuid not null references public.conversations (id) on delete cascade,
    -- the provider's id: a WAMID, an SM…; null for a message that somebody typed in
    wa_message_id text collate "C",
    direction public.message_direction not null default 'inbound',
    -- as the provider names it: text, image, button, reaction, edit, …
    message_type text not null default 'text',
    -- what was written, as far as it is text
    content text,
    payload jsonb not null default '{}',
    -- the message that this one answers
    context_message_id text,
    occurred_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    constraint wa_message_id_is_not_blank check (wa_message_id <> '')
);
comment on table public.chat_messages is 'Messages of conversations, each once however often it was posted.';
create unique index chat_messages_wa_message_id on public.chat_messages (wa_message_id) where wa_message_id is not null;
create index chat_messages_conversation on public.chat_messages (conversation_id, id desc);

create table public.consent_keywords (
    id bigint generated always as identity primary key,
    -- null: for everybody who has no word of their own for it
    organization_id uuid references public.organizations (id) on delete cascade,
    keyword text not null,
    action public.consent_action not null,
    unique nulls not distinct (organization_id, keyword),
    constraint keyword_is_not_blank check (keyword ~ '\S')
);
comment on table public.consent_keywords is
    'Words that, as a whole message, mean "write no more" (stop) or "write again" (start); ignore takes one of the common words back for an organization.';

create table private.consents (
    organization_id uuid not null references public.organizations (id) on delete cascade,
    channel public.campaign_channel not null,
    address text not null,
    action public.consent_action not null,
    said_at timestamptz not null,
    primary key (organization_id, channel, address)
);
comment on table private.consents is
    'The last word of each person on being written to. Providers repeat and reorder: an older word, or the same one again, changes nothing. In one second, stop counts.';

create table private.contact_aliases (
    -- what WhatsApp calls a person: +5215512345678
    alias text not null,
    -- what was dialled: +525512345678
    address text not null,
    primary key (alias, address),
    constraint alias_differs_from_address check (alias <> address)
);
comment on table private.contact_aliases is
    'Numbers that WhatsApp spells in another way than they were dialled, as in Mexico, Argentina and Brazil. What a person says comes under the alias and counts for each address.';

-- ---------------------------------------------------------------------------------------------------------------------
-- words
-- ---------------------------------------------------------------------------------------------------------------------

create function private.consent_word(p_text text)
returns text
language sql
immutable
-- letters and digits alone, in lower case whatever the locale of the database
return case
    when length(p_text) <= 60 then
        btrim(lower(regexp_replace(
            normalize(p_text, nfkc) collate "pg_c_utf8", '[^[:alnum:]\u0300-\u036f\u0900-\u0963\u0966-\u0dff]+', ' ', 'g'
        )))
end;
revoke all on function private.consent_word(text) from public, anon, authenticated;
grant execute on function private.consent_word(text) to authenticated, service_role;
comment on function private.consent_word(text) is 'A short message as keywords are compared: without punctuation, emoji and case. Null for a long one.';

create function private.consent_action(p_organization_id uuid, p_text text)
returns public.consent_action
language sql
stable
set search_path = ''
set enable_seqscan = off
as $$
    select k.action
    from public.consent_keywords k
    where k.keyword = private.consent_word(p_text)
        and (k.organization_id = p_organization_id or k.organization_id is null)
    -- an organization's own word before everybody's
    order by k.organization_id nulls last
    limit 1
$$;
revoke all on function private.consent_action(uuid, text) from public, anon, authenticated;
grant execute on function private.consent_action(uuid, text) to service_role;
comment on function private.consent_action(uuid, text) is 'What a message says about being written to, if all of it is a keyword; else null.';

create function private.complete_consent_keyword()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.keyword := private.consent_word(new.keyword);
    return new;
end
$$;
revoke all on function private.complete_consent_keyword() from public, anon, authenticated;
comment on function private.complete_consent_keyword() is 'Before a keyword is written: the form in which messages are compared with it.';
create trigger complete_consent_keyword before insert or update on public.consent_keywords
    for each row execute function private.complete_consent_keyword();

insert into public.consent_keywords (keyword, action)
select w.keyword, v.action
from (
    values
        ('stop'::public.consent_action, array[
            -- English, and what carriers and Meta's own buttons say
            'stop', 'stop all', 'stopall', 'stop promotions', 'stop messages', 'unsubscribe', 'cancel', 'end', 'quit', 'revoke',
            'opt out', 'optout', 'remove me',
            -- Spanish, Portuguese, French, Italian, Romanian
            'alto', 'baja', 'darme de baja', 'parar', 'detener', 'cancelar', 'cancelar suscripción', 'no más mensajes',
            'pare', 'sair', 'descadastrar', 'cancelar inscrição', 'remover',
            'arrêt', 'arret', 'arrêter', 'désabonner', 'se désabonner', 'désinscription',
            'basta', 'annulla', 'disiscrivimi', 'cancellami', 'dezabonare',
            -- German, Dutch, Scandinavian
            'stopp', 'abmelden', 'abbestellen', 'keine nachrichten mehr', 'afmelden', 'uitschrijven', 'avregistrera', 'avslutt', 'frameld',
            -- Slavic, Turkish, Greek
            'стоп', 'отписаться', 'отписка', 'відписатися', 'wypisz', 'rezygnuję', 'odhlásit', 'dur', 'iptal', 'durdur', 'διακοπή', 'διακοπη',
            -- Arabic, Hebrew, Persian, Urdu
            'توقف', 'إيقاف', 'ايقاف', 'إلغاء', 'إلغاء الاشتراك', 'הסר', 'הפסק', 'توقف کن', 'لغو', 'بند کرو',
            -- India, Southeast and East Asia
            'रोकें', 'रोको', 'बंद करें', 'बंद करो', 'band karo', 'বন্ধ করুন', 'நிறுத்து', 'ఆపు', 'थांबवा',
            'berhenti', 'henti', 'hentikan', 'dừng', 'hủy', 'หยุด', 'ยกเลิก', '停止', '退订', '退訂', '取消', '配信停止', '중지', '수신거부'
        ]),
        ('start', array[
            'start', 'unstop', 'resume', 'subscribe', 'opt in', 'optin', 'resume promotions',
            'alta', 'iniciar', 'empezar', 'reanudar', 'suscribir', 'começar', 'voltar', 'commencer', 'reprendre', 'inizia', 'riprendi',
            'starten', 'anmelden', 'weiter', 'aanmelden', 'старт', 'подписаться', 'başlat', 'başla', 'ابدأ', 'ابدا', 'اشتراك', 'התחל',
            'शुरू', 'शुरू करें', 'shuru karo', 'mulai', 'bắt đầu', 'เริ่ม', '开始', '開始', '再開', '시작'
        ])
) as v (action, keywords)
cross join lateral unnest(v.keywords) as w (keyword)
on conflict do nothing;

-- ---------------------------------------------------------------------------------------------------------------------
-- whose sender it is
-- ---------------------------------------------------------------------------------------------------------------------

create function private.organization_of_sender(p_session_id text, p_context_message_id text)
returns uuid
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return coalesce(
        (select g.organization_id from public.gateway_sessions g where g.id = p_session_id),
        -- the sender of a whole installation: whose message is answered, else who sent through it last
        (
            select c.organization_id
            from private.message_ids i
            join public.notification_campaign_recipients r on r.id = i.recipient_id
            join public.notification_campaigns c on c.id = r.campaign_id
            where i.message_id = p_context_message_id
        ),
        (
            select c.organization_id
            from (
                select a.recipient_id
                from public.send_attempts a
                where a.session_id = p_session_id
                order by a.claimed_at desc
                limit 1
            ) as last
            join public.notification_campaign_recipients r on r.id = last.recipient_id
            join public.notification_campaigns c on c.id = r.campaign_id
        )
    );
end
$$;
revoke all on function private.organization_of_sender(text, text) from public, anon, authenticated;
grant execute on function private.organization_of_sender(text, text) to service_role;
comment on function private.organization_of_sender(text, text) is
    'The organization that a message to this sender is for; null where nobody can tell yet.';

-- ---------------------------------------------------------------------------------------------------------------------
-- consent
-- ---------------------------------------------------------------------------------------------------------------------

create type private.consent as (
    organization_id uuid,
    channel public.campaign_channel,
    address text,
    action public.consent_action,
    said_at timestamptz,
    reason text
);

create function private.with_aliases(p_consents private.consent[])
returns private.consent[]
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return p_consents || array(
        select (c.organization_id, c.channel, a.address, c.action, c.said_at, c.reason)::private.consent
        from unnest(p_consents) c
        join private.contact_aliases a on a.alias = c.address
        where c.channel = 'whatsapp'
    );
end
$$;
revoke all on function private.with_aliases(private.consent[]) from public, anon, authenticated;
grant execute on function private.with_aliases(private.consent[]) to service_role;
comment on function private.with_aliases(private.consent[]) is
    'What people say, and the same for every number under which they were dialled.';

create function private.apply_consents(p_consents private.consent[])
returns table (opted_out integer, opted_in integer)
language plpgsql
set search_path = ''
as $$
begin
    p_consents := private.with_aliases(p_consents);
    return query
    with said as (
        insert into private.consents as k (organization_id, channel, address, action, said_at)
        select distinct on (c.organization_id, c.channel, c.address) c.organization_id, c.channel, c.address, c.action, c.said_at
        from unnest(p_consents) c
        -- the last word of each; in one second, stop
        order by c.organization_id, c.channel, c.address, c.said_at desc, c.action
        on conflict (organization_id, channel, address) do update set
            action = excluded.action,
            said_at = excluded.said_at
        where excluded.said_at > k.said_at or (excluded.said_at = k.said_at and excluded.action = 'stop' and k.action = 'start')
        returning k.*
    ),
    stopped as (
        insert into public.opt_outs (organization_id, channel, recipient, reason)
        select s.organization_id, s.channel, s.address, max(c.reason)
        from said s
        join unnest(p_consents) c
            on c.organization_id = s.organization_id and c.channel = s.channel and c.address = s.address and c.action = s.action
        where s.action = 'stop'
        group by s.organization_id, s.channel, s.address
        order by s.organization_id, s.channel, s.address
        on conflict (organization_id, channel, recipient) do nothing
        returning 1
    ),
    lifted as (
        delete from public.opt_outs o
        using said s
        where s.action = 'start' and o.organization_id = s.organization_id and o.channel = s.channel and o.address = s.address
        returning 1
    )
    select (select count(*) from stopped)::integer, (select count(*) from lifted)::integer;
end
$$;
revoke all on function private.apply_consents(private.consent[]) from public, anon, authenticated;
grant execute on function private.apply_consents(private.consent[]) to service_role;
comment on function private.apply_consents(private.consent[]) is
    'The one place where what people say about being written to takes effect. Answers how many opt-outs came to be and how many were lifted.';

create function private.learn_contact_aliases(p_results jsonb)
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_consents private.consent[];
begin
    with named as (
        select distinct m.organization_id, private.address_of(e."waId") as alias, m.address
        from jsonb_to_recordset(p_results) as e ("clientMessageId" uuid, "waId" text)
        -- by their ids, however few the planner believes there are
        cross join lateral (
            select c.organization_id, c.channel, r.address
            from public.send_attempts a
            join public.notification_campaign_recipients r on r.id = a.recipient_id
            join public.notification_campaigns c on c.id = r.campaign_id
            where a.id = e."clientMessageId"
            offset 0
        ) as m
        where e."waId" ~ '^\d{6,15}$' and m.channel = 'whatsapp' and private.address_of(e."waId") <> m.address
    ),
    learnt as (
        insert into private.contact_aliases (alias, address)
        select distinct n.alias, n.address
        from named n
        order by n.alias, n.address
        on conflict (alias, address) do nothing
    )
    -- what was said before anybody knew
    select array_agg((k.organization_id, k.channel, n.address, k.action, k.said_at, 'said under the number as WhatsApp spells it')::private.consent)
    into v_consents
    from named n
    join private.consents k on k.organization_id = n.organization_id and k.channel = 'whatsapp' and k.address = n.alias;
    if v_consents is not null then
        perform private.apply_consents(v_consents);
    end if;
end
$$;
revoke all on function private.learn_contact_aliases(jsonb) from public, anon, authenticated;
grant execute on function private.learn_contact_aliases(jsonb) to service_role;
comment on function private.learn_contact_aliases(jsonb) is
    'Notes of results of sends what WhatsApp calls their recipients, where that is not the number dialled; what these people have said counts for it from now on. Caller: record_send_results.';

create function private.lock_identities(p_session_ids text[], p_is_exclusive boolean[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_session record;
begin
    for v_session in
        select hashtextextended('public.conversations ' || u.id, 0) as key, u.is_exclusive
        from unnest(p_session_ids, p_is_exclusive) as u (id, is_exclusive)
        order by u.id
    loop
        if v_session.is_exclusive then
            perform pg_advisory_xact_lock(v_session.key);
        else
            perform pg_advisory_xact_lock_shared(v_session.key);
        end if;
    end loop;
end
$$;
revoke all on function private.lock_identities(text[], boolean[]) from public, anon, authenticated;
grant execute on function private.lock_identities(text[], boolean[]) to service_role;
comment on function private.lock_identities(text[], boolean[]) is
    'Before conversations of these senders are made (shared) or get a person''s id as well as a number (alone): there are two keys then, and no order of rows is an order of both.';

create function private.adopt_conversations(p_session_id text, p_organization_id uuid)
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_consents private.consent[];
begin
    perform 1
    from public.conversations c
    where c.session_id = p_session_id and c.organization_id is null
    order by c.id
    for update;
    -- what they wrote while nobody heard it
    v_consents := array(
        select (p_organization_id, c.channel, c.contact, w.action, m.occurred_at, format('wrote "%s"', m.content))::private.consent
        from public.conversations c
        join public.chat_messages m on m.conversation_id = c.id
        cross join lateral private.consent_action(p_organization_id, m.content) as w (action)
        where c.session_id = p_session_id and c.organization_id is null and m.direction = 'inbound' and w.action in ('stop', 'start')
    );
    -- those that the organization has a conversation with already, from when the sender was its own before
    update public.chat_messages m
    set conversation_id = o.id
    from public.conversations c
    join public.conversations o
        on o.session_id = c.session_id and o.contact = c.contact and o.channel = c.channel and o.organization_id = p_organization_id
    where m.conversation_id = c.id and c.session_id = p_session_id and c.organization_id is null;
    delete from public.conversations c
    where c.session_id = p_session_id
        and c.organization_id is null
        and not exists (select 1 from public.chat_messages m where m.conversation_id = c.id);
    update public.conversations c
    set organization_id = p_organization_id,
        user_id = case
            when not exists (
                select 1
                from public.conversations o
                where o.session_id = c.session_id and o.user_id = c.user_id and o.channel = c.channel and o.organization_id = p_organization_id
            ) then c.user_id
        end
    where c.session_id = p_session_id and c.organization_id is null;
    if v_consents <> '{}' then
        perform private.apply_consents(v_consents);
    end if;
end
$$;
revoke all on function private.adopt_conversations(text, uuid) from public, anon, authenticated;
grant execute on function private.adopt_conversations(text, uuid) to service_role;
comment on function private.adopt_conversations(text, uuid) is
    'What people had written to a sender while it was nobody''s belongs to its organization, and those who wanted no more are heard.';

create function private.adopt_conversations_of_sender()
returns trigger
language plpgsql
-- definer because whoever adds a sender may not write conversations
security definer
set search_path = ''
as $$
begin
    perform private.adopt_conversations(new.id, new.organization_id);
    return null;
end
$$;
revoke all on function private.adopt_conversations_of_sender() from public, anon, authenticated;
comment on function private.adopt_conversations_of_sender() is 'After a sender was added: its conversations.';
create trigger adopt_conversations_of_sender after insert on public.gateway_sessions
    for each row execute function private.adopt_conversations_of_sender();

-- ---------------------------------------------------------------------------------------------------------------------
-- record_inbound_messages
-- ---------------------------------------------------------------------------------------------------------------------

create function private.is_somebody(p_event jsonb)
returns boolean
language sql
immutable
return coalesce(
    length(btrim(coalesce(nullif(btrim(p_event ->> 'contact'), ''), p_event ->> 'userId'))) between 1 and 256
    and length(coalesce(p_event ->> 'userId', '')) <= 256
    and length(coalesce(p_event ->> 'sessionId', '')) <= 256,
    false
);
revoke all on function private.is_somebody(jsonb) from public, anon, authenticated;
grant execute on function private.is_somebody(jsonb) to service_role;
comment on function private.is_somebody(jsonb) is 'Whether an event says who it is about, in a form that can be a key.';

create function private.is_chat_message(p_event jsonb)
returns boolean
language sql
immutable
return coalesce(
    coalesce(p_event ->> 'event', 'message_received') = 'message_received'
    -- ids are keys of indexes, which have an end
    and length(p_event ->> 'messageId') between 1 and 256
    and private.is_somebody(p_event),
    false
);
revoke all on function private.is_chat_message(jsonb) from public, anon, authenticated;
grant execute on function private.is_chat_message(jsonb) to service_role;
comment on function private.is_chat_message(jsonb) is 'Whether an event is a message that can be stored: it has an id, and somebody wrote it.';

create function private.is_preference(p_event jsonb)
returns boolean
language sql
immutable
return coalesce(
    p_event ->> 'event' = 'preference_changed'
    and p_event ->> 'value' in ('stop', 'resume')
    and private.is_somebody(p_event),
    false
);
revoke all on function private.is_preference(jsonb) from public, anon, authenticated;
grant execute on function private.is_preference(jsonb) to service_role;
comment on function private.is_preference(jsonb) is 'Whether an event says that a person stops or resumes the messages of a business.';

create type private.chat_event as (
    place bigint,
    organization_id uuid,
    message_id text collate "C",
    direction public.message_direction,
    channel public.campaign_channel,
    session_id text collate "C",
    contact text collate "C",
    user_id text collate "C",
    contact_name text,
    message_type text,
    content text,
    payload jsonb,
    context_message_id text,
    occurred_at timestamptz,
    -- what a preference says; null for a message
    preference public.consent_action
);

create function private.chat_events(p_messages jsonb)
returns private.chat_event[]
-- not sql, which would be planned anew at every call
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return (
        select coalesce(array_agg(
            (
                e.place,
                coalesce(
                    (select g.organization_id from public.gateway_sessions g where g.id = e.event ->> 'sessionId'),
                    private.organization_of_sender(e.event ->> 'sessionId', e.event ->> 'contextMessageId')
                ),
                e.event ->> 'messageId',
                case e.event ->> 'direction' when 'outbound' then 'outbound' else 'inbound' end,
                case e.event ->> 'channel' when 'sms' then 'sms' else 'whatsapp' end,
                coalesce(e.event ->> 'sessionId', ''),
                -- a WhatsApp id is a number without its plus
                private.address_of(coalesce(nullif(btrim(e.event ->> 'contact'), ''), e.event ->> 'userId')),
                nullif(btrim(e.event ->> 'userId'), ''),
                nullif(btrim(e.event ->> 'contactName'), ''),
                coalesce(nullif(e.event ->> 'type', ''), 'unknown'),
                e.event ->> 'text',
                coalesce(e.event -> 'payload', '{}'),
                nullif(e.event ->> 'contextMessageId', ''),
                -- nobody speaks in the future, where it would have the last word for ever
                least(private.event_time(e.event ->> 'timestamp'), now()),
                case when private.is_preference(e.event) then
                    case e.event ->> 'value' when 'stop' then 'stop'::public.consent_action else 'start' end
                end
            )::private.chat_event
            order by e.place
        ), '{}')
        from jsonb_array_elements(p_messages) with ordinality as e (event, place)
        where private.is_chat_message(e.event) or private.is_preference(e.event)
    );
end
$$;
revoke all on function private.chat_events(jsonb) from public, anon, authenticated;
grant execute on function private.chat_events(jsonb) to service_role;
comment on function private.chat_events(jsonb) is 'The messages and preferences among the elements of a batch, read.';

create type private.identity as (conversation_id uuid, number text, user_id text);

create function private.identify_conversations(p_identities private.identity[])
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_moved jsonb;
begin
    -- what was written under the id alone goes on under the number; an empty conversation stays behind
    with pairs as (
        select c.id as conversation_id, o.id as hidden_id
        from unnest(p_identities) i
        join public.conversations c on c.id = i.conversation_id
        join public.conversations o
            on o.session_id = c.session_id and o.user_id = i.user_id and o.channel = c.channel
            and o.organization_id is not distinct from c.organization_id
        where i.number is not null and c.contact = i.number and o.id <> c.id and o.contact = o.user_id
    ),
    released as (
        update public.conversations o
        set user_id = null
        from pairs p
        where o.id = p.hidden_id
        returning o.id, p.conversation_id
    )
    select jsonb_object_agg(r.id, r.conversation_id) into v_moved from released r;
    if v_moved is not null then
        update public.chat_messages m
        set conversation_id = (v_moved ->> m.conversation_id::text)::uuid
        where m.conversation_id = any (array(select k::uuid from jsonb_object_keys(v_moved) k));
    end if;

    update public.conversations c
    set contact = case
            when i.number is not null and c.contact = c.user_id and not exists (
                select 1
                from public.conversations o
                where o.session_id = c.session_id and o.contact = i.number and o.channel = c.channel
                    and o.organization_id is not distinct from c.organization_id
            ) then i.number
            else c.contact
        end,
        user_id = coalesce(
            c.user_id,
            case
                when not exists (
                    select 1
                    from public.conversations o
                    where o.session_id = c.session_id and o.user_id = i.user_id and o.channel = c.channel
                        and o.organization_id is not distinct from c.organization_id
                ) then i.user_id
            end
        )
    from unnest(p_identities) i
    where c.id = i.conversation_id;
exception
    when unique_violation then
        -- somebody else has just given that number or id a conversation of its own; no message is lost for it
        null;
end
$$;
revoke all on function private.identify_conversations(private.identity[]) from public, anon, authenticated;
grant execute on function private.identify_conversations(private.identity[]) to service_role;
comment on function private.identify_conversations(private.identity[]) is
    'Notes who the contact of a conversation is: the number, where it was hidden at first; the id, where it was not known. What another conversation has already stays there.';

create function private.conversation_of(p_event private.chat_event)
returns uuid
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    return coalesce(
        -- whoever hides the number is in the conversation with the number, once it was seen
        case when not starts_with((p_event).contact, '+') then (
            select c.id
            from public.conversations c
            where c.session_id = (p_event).session_id and c.user_id = (p_event).user_id and c.channel = (p_event).channel
                and c.organization_id is not distinct from (p_event).organization_id
        ) end,
        (
            select c.id
            from public.conversations c
            where c.session_id = (p_event).session_id and c.contact = (p_event).contact and c.channel = (p_event).channel
                and c.organization_id is not distinct from (p_event).organization_id
        ),
        (
            select c.id
            from public.conversations c
            where c.session_id = (p_event).session_id and c.user_id = (p_event).user_id and c.channel = (p_event).channel
                and c.organization_id is not distinct from (p_event).organization_id
        )
    );
end
$$;
revoke all on function private.conversation_of(private.chat_event) from public, anon, authenticated;
grant execute on function private.conversation_of(private.chat_event) to service_role;
comment on function private.conversation_of(private.chat_event) is
    'The conversation that a message belongs to: by the number, else by the id of a person who hides it. Null while there is none.';

create function public.record_inbound_messages(p_messages jsonb)
returns jsonb
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_events private.chat_event[];
    v_stored text[];
    v_message_count integer;
    v_journaled integer := 0;
    v_session_ids text[];
    v_is_identifying boolean[];
    v_identities private.identity[];
    v_consents private.consent[];
    v_opted_out integer := 0;
    v_opted_in integer := 0;
begin
    if jsonb_typeof(p_messages) is distinct from 'array' then
        raise invalid_parameter_value using
            message = format('p_messages must be an array of messages, not %s', coalesce(jsonb_typeof(p_messages), 'null'));
    end if;
    v_events := private.chat_events(p_messages);
    if cardinality(v_events) < jsonb_array_length(p_messages) then
        v_journaled := private.journal_undigested('inbound', array(
            select e.event
            from jsonb_array_elements(p_messages) as e (event)
            where not private.is_chat_message(e.event) and not private.is_preference(e.event)
        ));
    end if;
    v_message_count := (select count(*) from unnest(v_events) v where v.preference is null);

    -- the senders that get new conversations, or whose conversations get to know who somebody is
    select array_agg(u.session_id), array_agg(u.is_identifying)
    into v_session_ids, v_is_identifying
    from (
        select
            v.session_id,
            bool_or(v.user_id is not null) or exists (
                select 1 from public.conversations o where o.session_id = v.session_id and o.organization_id is null
            ) as is_identifying
        from unnest(v_events) v
        left join public.conversations c on c.id = private.conversation_of(v)
        where v.preference is null
            and (
                c.id is null
                or (v.user_id is not null and (c.user_id is null or (c.contact = c.user_id and starts_with(v.contact, '+'))))
            )
        group by v.session_id
    ) as u;
    if v_session_ids is not null then
        perform private.lock_identities(v_session_ids, v_is_identifying);
    end if;

    -- what came while nobody had its sender, or while the sender was just being added
    perform private.adopt_conversations(u.session_id, u.organization_id)
    from (
        select distinct v.session_id, v.organization_id
        from unnest(v_events) v
        where v.organization_id is not null
    ) as u
    where exists (select 1 from public.conversations c where c.session_id = u.session_id and c.organization_id is null);

    if v_session_ids is not null then
        -- a person is known by number or by id, and a message may name either
        insert into public.conversations (organization_id, channel, session_id, contact, user_id, contact_name, last_message_at)
        select n.organization_id, n.channel, n.session_id, n.contact, n.user_id, n.contact_name, n.occurred_at
        from (
            select distinct on (v.session_id, v.contact, v.channel, v.organization_id) v.*
            from unnest(v_events) v
            where v.preference is null and private.conversation_of(v) is null
            order by v.session_id, v.contact, v.channel, v.organization_id, v.user_id is null, v.place
        ) as n
        order by n.session_id, n.contact, n.channel, n.organization_id
        on conflict do nothing;
    end if;

    with stored as (
        insert into public.chat_messages (
            conversation_id, wa_message_id, direction, message_type, content, payload, context_message_id, occurred_at
        )
        select
            private.conversation_of(n.event), n.message_id, n.direction, n.message_type, n.content, n.payload, n.context_message_id, n.occurred_at
        from (
            select distinct on (v.message_id) v.*, v as event
            from unnest(v_events) v
            where v.preference is null
            order by v.message_id, v.place
        ) as n
        order by n.message_id
        on conflict (wa_message_id) where wa_message_id is not null do nothing
        returning wa_message_id, conversation_id
    ),
    -- the first event of each message that was stored; grouped, since nobody can tell the planner how many a join would meet
    news as (
        select
            u.message_id, (array_agg(u.conversation_id) filter (where u.conversation_id is not null))[1] as conversation_id,
            max(u.number) as number, max(u.contact_name) as contact_name, max(u.user_id) as user_id, max(u.occurred_at) as occurred_at
        from (
            select s.wa_message_id as message_id, s.conversation_id, null as number, null as contact_name, null as user_id, null as occurred_at
            from stored s
            union all
            select
                v.message_id, null, case when starts_with(v.contact, '+') then v.contact end, v.contact_name, v.user_id, v.occurred_at
            from unnest(v_events) v
            where v.preference is null
        ) as u
        group by u.message_id
        having count(u.conversation_id) > 0
    ),
    latest as (
        select
            n.conversation_id, max(n.occurred_at) as occurred_at, max(n.number) as number, max(n.contact_name) as contact_name,
            max(n.user_id) as user_id
        from news n
        group by n.conversation_id
    ),
    held as (
        select c.id, c.session_id, c.contact, c.user_id
        from public.conversations c
        where c.id = any (array(
            select l.conversation_id
            from latest l
            union
            -- what was written under the id alone is to be moved
            select o.id
            from latest l
            join public.conversations k on k.id = l.conversation_id
            join public.conversations o
                on o.session_id = k.session_id and o.user_id = l.user_id and o.channel = k.channel
                and o.organization_id is not distinct from k.organization_id
            where k.session_id = any (v_session_ids) and l.number is not null and o.contact = o.user_id
        ))
        order by c.id
        for no key update
    ),
    locked as (
        select
            l.*,
            -- it is new who that is: the number behind an id, or the id behind a number; what was new only after we had looked waits for
            -- the next message
            h.session_id = any (v_session_ids)
                and ((h.user_id is null and l.user_id is not null) or (h.contact = h.user_id and l.number is not null)) as is_identified
        from latest l
        join held h on h.id = l.conversation_id
    ),
    renewed as (
        update public.conversations c
        set last_message_at = greatest(c.last_message_at, l.occurred_at),
            contact_name = coalesce(l.contact_name, c.contact_name)
        from locked l
        where c.id = l.conversation_id
    )
    select
        (select coalesce(array_agg(n.message_id), '{}') from news n),
        (
            select coalesce(array_agg((l.conversation_id, l.number, l.user_id)::private.identity order by l.conversation_id), '{}')
            from locked l
            where l.is_identified
        )
    into v_stored, v_identities;
    if v_identities <> '{}' then
        perform private.identify_conversations(v_identities);
    end if;

    -- What a person says counts once: a message when it is stored, a preference with its message, or else by its time.
    v_consents := array(
        select (w.organization_id, w.channel, w.contact, w.action, w.occurred_at, w.reason)::private.consent
        from (
            select
                v.*,
                case when v.preference is null then format('wrote "%s"', v.content) else 'changed the preferences in WhatsApp' end as reason
            from unnest(v_events) v
            where case
                    when v.preference is not null then v.message_id is null or v.message_id = any (v_stored)
                    else v.direction = 'inbound' and length(v.content) <= 60 and v.message_id = any (v_stored)
                end
        ) as s
        cross join lateral (
            select
                s.organization_id, s.channel, s.occurred_at, s.reason,
                -- the number, where the person hides it now but did not always
                case
                    when starts_with(s.contact, '+') then s.contact
                    else coalesce(
                        (
                            select c.contact
                            from public.conversations c
                            where c.session_id = s.session_id and c.user_id = s.user_id and c.channel = s.channel
                                and c.organization_id = s.organization_id
                        ),
                        s.contact
                    )
                end as contact,
                coalesce(s.preference, private.consent_action(s.organization_id, s.content)) as action
        ) as w
        where w.action in ('stop', 'start')
        union all
        -- said while the number was hidden, and meant for it
        select (k.organization_id, k.channel, v.contact, k.action, k.said_at, 'said before the number was shown')::private.consent
        from unnest(v_events) v
        join private.consents k
            on k.organization_id = v.organization_id
            and k.channel = v.channel
            and k.address = v.user_id collate "default"
        where v.user_id is not null and starts_with(v.contact, '+')
    );
    if exists (select 1 from unnest(v_consents) c where c.organization_id is null) then
        -- nobody knows yet whom it is said to: kept, and said again at a replay
        perform private.journal_webhook_events('inbound', 'unmatched', array(
            select e.event
            from jsonb_array_elements(p_messages) with ordinality as e (event, place)
            join unnest(v_events) v on v.place = e.place and v.preference is not null
            where v.organization_id is null
        ));
        v_consents := array(select c from unnest(v_consents) c where c.organization_id is not null);
    end if;
    if v_consents <> '{}' then
        select a.opted_out, a.opted_in into v_opted_out, v_opted_in from private.apply_consents(v_consents) a;
    end if;

    return jsonb_build_object(
        'stored', cardinality(v_stored),
        'duplicates', v_message_count - cardinality(v_stored),
        'journaled', v_journaled,
        'opted_out', v_opted_out,
        'opted_in', v_opted_in
    );
end
$$;
revoke all on function public.record_inbound_messages(jsonb) from public, anon, authenticated;
grant execute on function public.record_inbound_messages(jsonb) to service_role;
comment on function public.record_inbound_messages(jsonb) is
    'Stores a batch of what people wrote: [{event: message_received, messageId, direction, channel, sessionId, contact, userId, contactName, type, text, timestamp, contextMessageId, payload}], '
    'each once by its messageId, in the conversation of its contact; a whole text that is a word of consent_keywords opts out or in. Also [{event: preference_changed, channel, sessionId, contact, '
    'userId, value: stop|resume, timestamp, messageId}]; messageId: of the message that it came with, and only counts with. Anything else is journaled. Answers {stored, duplicates, journaled, opted_out, opted_in}. Caller: the webhooks.';

create function public.record_whatsapp_events(p_receipts jsonb, p_messages jsonb, p_signals jsonb default '[]')
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_receipts jsonb := case
        when p_receipts = '[]' then '{"recorded": 0, "duplicates": 0, "parked": 0, "journaled": 0}'
        else public.record_receipts(p_receipts)
    end;
    v_messages jsonb := public.record_inbound_messages(p_messages);
    -- last, as senders are where a failure stops one
    v_signals jsonb := public.record_sender_signals(p_signals);
begin
    return v_receipts || v_messages || v_signals || jsonb_build_object(
        'duplicates', (v_receipts ->> 'duplicates')::integer + (v_messages ->> 'duplicates')::integer,
        'journaled',
            (v_receipts ->> 'journaled')::integer + (v_messages ->> 'journaled')::integer + (v_signals ->> 'journaled')::integer
    );
end
$$;
revoke all on function public.record_whatsapp_events(jsonb, jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.record_whatsapp_events(jsonb, jsonb, jsonb) to service_role;
comment on function public.record_whatsapp_events(jsonb, jsonb, jsonb) is
    'record_receipts, record_inbound_messages and record_sender_signals for one post of Meta, which may hold all of them: all of it, or nothing. '
    'Answers the counts of all together. Caller: whatsapp-read-receipt-webhook.';

-- ---------------------------------------------------------------------------------------------------------------------
-- grants and policies
-- ---------------------------------------------------------------------------------------------------------------------

alter table public.conversations enable row level security;
revoke all on public.conversations from anon, authenticated;
grant select on public.conversations to authenticated;
grant all on public.conversations to service_role;
create policy "members read their conversations" on public.conversations
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));

alter table public.chat_messages enable row level security;
revoke all on public.chat_messages from anon, authenticated;
revoke all on sequence public.chat_messages_id_seq from anon, authenticated;
grant select on public.chat_messages to authenticated;
grant all on public.chat_messages to service_role;
create policy "members read the messages of their conversations" on public.chat_messages
    for select to authenticated
    using (exists (
        select 1
        from public.conversations c
        where c.id = conversation_id and c.organization_id in (select private.readable_organization_ids())
    ));

alter table public.consent_keywords enable row level security;
revoke all on public.consent_keywords from anon, authenticated;
revoke all on sequence public.consent_keywords_id_seq from anon, authenticated;
grant select, insert, delete on public.consent_keywords to authenticated;
grant update (action) on public.consent_keywords to authenticated;
grant all on public.consent_keywords to service_role;
create policy "members read the common keywords and their own" on public.consent_keywords
    for select to authenticated
    using (organization_id is null or organization_id in (select private.readable_organization_ids()));
create policy "owners add keywords" on public.consent_keywords
    for insert to authenticated
    with check (organization_id in (select private.organization_ids_with_role('owner')));
create policy "owners change keywords" on public.consent_keywords
    for update to authenticated
    using (organization_id in (select private.organization_ids_with_role('owner')))
    with check (organization_id in (select private.organization_ids_with_role('owner')));
create policy "owners remove keywords" on public.consent_keywords
    for delete to authenticated
    using (organization_id in (select private.organization_ids_with_role('owner')));

alter table private.consents enable row level security;
revoke all on private.consents from public, anon, authenticated;
grant all on private.consents to service_role;

alter table private.contact_aliases enable row level security;
revoke all on private.contact_aliases from public, anon, authenticated;
grant all on private.contact_aliases to service_role;
