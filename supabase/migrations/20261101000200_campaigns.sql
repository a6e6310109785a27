-- What is sent, by whom, to whom: senders, opt-outs, campaigns, recipients and every attempt to send.
-- How rows move through these tables is in the migrations after this one.

-- ---------------------------------------------------------------------------------------------------------------------
-- types
-- ---------------------------------------------------------------------------------------------------------------------

create type public.campaign_channel as enum ('whatsapp_group', 'whatsapp', 'sms');
create type public.session_status as enum ('active', 'paused', 'restricted');
create type public.campaign_status as enum ('draft', 'scheduled', 'processing', 'paused', 'completed', 'failed', 'cancelled');
create type public.unconfirmed_policy as enum ('retry', 'hold');
create type public.transient_error_policy as enum ('fail', 'retry');

create type public.failure_class as enum (
    'invalid_recipient', 'opted_out', 'window_closed', 'rate_limited', 'sender_restricted', 'content_rejected', 'auth',
    'provider_error', 'unknown'
);
comment on type public.failure_class is
    'What a provider''s code means: invalid_recipient: nobody to reach there; opted_out: does not want it; window_closed: only a template may be sent now; '
    'rate_limited: later; sender_restricted: the provider holds the sender back; content_rejected: not this message; auth: the provider does not let us in; '
    'provider_error: its own fault; unknown: a code nobody has sorted yet. What follows from each is in private.failure_classes.';

-- The order of the next two types is the law of evidence: what stands later outranks what stands earlier.
create type public.recipient_status as enum ('pending', 'processing', 'unconfirmed', 'skipped', 'failed', 'sent');
comment on type public.recipient_status is
    'Evidence moves forward: pending < processing < unconfirmed < skipped < failed < sent. The first three are open.';
create type public.attempt_outcome as enum ('claimed', 'accepted', 'unknown', 'not_found', 'deferred', 'skipped', 'failed', 'sent');
comment on type public.attempt_outcome is
    'claimed: intent committed, nothing heard; accepted: the gateway took it; unknown: timeout or reset after the request left; '
    'not_found: the gateway, asked, never heard of it; deferred: it proves nothing was sent, may be tried again; '
    'skipped: not sent, and never to be; failed: an explicit rejection; sent: proved by a result, a callback, a receipt or a person.';

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create function private.spelled_address(p_recipient text)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    -- digits of other scripts as ours; marks that nobody sees, which are copied along from chats, go
    v_recipient text := translate(
        p_recipient,
        '＋０１２３４５６７８９٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९' || U&'\00a0\200b\200e\200f\202a\202c\202f\2060\2066\2069\feff',
        '+0123456789012345678901234567890123456789'
    );
begin
    -- a number, however it is written, or the JID of a person
    if v_recipient ~ '^\s*(\+|00)?\s*[1-9][\d\s().\-/‐‑–—\[\]]{4,48}(\s*(x|ext\.?)\s*\d{1,6})?(:\d+)?(@(s\.whatsapp\.net|c\.us))?\s*$' then
        -- +44 (0)20 …: the zero is for callers at home; extensions and devices are not the number
        return '+' || regexp_replace(regexp_replace(v_recipient, '[x:@e].*$|\(0\)', '', 'g'), '^\s*(\+|00)|\D', '', 'g');
    end if;
    return btrim(p_recipient);
end
$$;
revoke all on function private.spelled_address(text) from public, anon, authenticated;
grant execute on function private.spelled_address(text) to authenticated, service_role;
comment on function private.spelled_address(text) is 'address_of, for what is not in one of the two spellings that nearly all have.';

create function private.address_of(p_recipient text)
returns text
language sql
immutable
-- parsed, not run under a search path: that pins every name as well, and lets the planner inline it
return case
    when length(p_recipient) between 5 and 16 and left(p_recipient, 1) <> '0' and ltrim(p_recipient, '0123456789') = '' then '+' || p_recipient
    when length(p_recipient) between 6 and 17
        and left(p_recipient, 1) = '+' and substr(p_recipient, 2, 1) <> '0' and ltrim(substr(p_recipient, 2), '0123456789') = ''
        then p_recipient
    else private.spelled_address(p_recipient)
end;
revoke all on function private.address_of(text) from public, anon, authenticated;
grant execute on function private.address_of(text) to authenticated, service_role;
comment on function private.address_of(text) is
    'Who a recipient is, in one spelling: + and digits for a phone number or a person''s JID, anything else as it stands. Not a check of the number.';

create function private.channel_gateway(p_channel public.campaign_channel)
returns text
language sql
immutable
return case p_channel when 'whatsapp_group' then 'vps' when 'whatsapp' then 'cloud-api' else 'sms' end;
revoke all on function private.channel_gateway(public.campaign_channel) from public, anon, authenticated;
grant execute on function private.channel_gateway(public.campaign_channel) to service_role;
comment on function private.channel_gateway(public.campaign_channel) is 'The gateway that sends for a channel where nobody names a sender.';

create function private.session_gateway(
    p_gateway text, p_session_channel public.campaign_channel, p_session_id text, p_channel public.campaign_channel
)
returns text
language sql
immutable
return case
    when p_gateway is not null then p_gateway
    when p_channel = 'sms' then 'sms'
    -- the id of a number of the Cloud API is digits alone
    when p_channel = 'whatsapp_group' then case when p_session_channel = 'whatsapp' and p_session_id ~ '^\d{6,}$' then 'cloud-api' else 'vps' end
    else case when p_session_channel = 'whatsapp_group' or starts_with(p_session_id, 'wa_') then 'vps' else 'cloud-api' end
end;
revoke all on function private.session_gateway(text, public.campaign_channel, text, public.campaign_channel) from public, anon, authenticated;
grant execute on function private.session_gateway(text, public.campaign_channel, text, public.campaign_channel) to service_role;
comment on function private.session_gateway(text, public.campaign_channel, text, public.campaign_channel) is
    'The gateway through which a sender sends messages of a channel: the one it names, else what its id and the channel say.';

create table public.gateway_sessions (
    id text primary key,
    organization_id uuid not null references public.organizations (id) on delete cascade,
    channel public.campaign_channel not null default 'whatsapp',
    -- the name of the gateway that sends for it: vps, cloud-api, sms; null: what its id and the campaign's channel say
    gateway text,
    status public.session_status not null default 'active',
    -- why it is not active: what the provider said, or a person
    status_reason text,
    -- not by a person: the provider said so, or too many messages failed
    is_stopped_automatically boolean not null default false,
    -- failures before this are forgiven
    activated_at timestamptz not null default now(),
    -- attempts in any sixty seconds; null is no limit
    messages_per_minute integer,
    -- attempts in any 24 hours; null is no limit
    daily_limit integer,
    -- a new sender: so many on its first day, growing by the same factor every day until daily_limit; null is no warm-up
    warm_up_first_day integer,
    warm_up_days integer not null default 14,
    warm_up_started_at timestamptz not null default now(),
    -- it is paused when so many of its last 100 attempts have failed; null is never
    max_failure_percent integer default 90,
    -- the provider's account that it belongs to, where that speaks for all its senders: Meta's WhatsApp Business Account id
    account_id text,
    -- the number as the provider shows it, where the id is another, in any spelling: some signals name nothing else
    phone_number text,
    name text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- what campaigns point at, so that nobody sends through another organization's sender
    unique (organization_id, id),
    constraint messages_per_minute_is_positive check (messages_per_minute > 0),
    constraint daily_limit_is_positive check (daily_limit > 0),
    constraint warm_up_first_day_is_positive check (warm_up_first_day > 0),
    constraint warm_up_days_is_positive check (warm_up_days > 0),
    constraint warm_up_first_day_is_within_daily_limit check (warm_up_first_day is null or coalesce(warm_up_first_day <= daily_limit, false)),
    constraint max_failure_percent_is_a_percentage check (max_failure_percent between 1 and 100),
    constraint gateway_is_not_blank check (gateway ~ '\S'),
    constraint id_is_not_blank check (id ~ '\S')
);
comment on table public.gateway_sessions is
    'A sender: a WhatsApp session on the VPS gateway (wa_xxx), a Cloud API phone number id, an SMS number. '
    'A session of the VPS sends to groups and to contacts alike.';
comment on column public.gateway_sessions.gateway is
    'Null: sms for text messages, vps for groups and for ids like wa_xxx, cloud-api for contacts and for phone number ids.';
create index gateway_sessions_account on public.gateway_sessions (account_id) where account_id is not null;
create index gateway_sessions_phone_number on public.gateway_sessions (private.address_of(phone_number)) where phone_number is not null;

create table private.session_states (
    session_id text primary key,
    -- whose turn comes next, has it then: its pace, or a limit that is reached
    next_send_at timestamptz not null default '-infinity',
    -- nothing goes through it before: a Retry-After, and what it came with
    hold_expires_at timestamptz,
    hold_reason text,
    last_claimed_at timestamptz,
    -- the last callback or receipt that came through it, to ten seconds
    last_heard_at timestamptz
)
with (fillfactor = 50);
comment on table private.session_states is
    'What senders are doing: one row for each that ever sent, the default senders of the installation included. Locked after recipients and campaigns.';

create table public.opt_outs (
    organization_id uuid not null references public.organizations (id) on delete cascade,
    channel public.campaign_channel not null,
    recipient text not null,
    -- the recipient in one spelling, which is what counts
    address text not null,
    reason text not null default 'requested',
    created_at timestamptz not null default now(),
    primary key (organization_id, channel, recipient)
);
create index opt_outs_address on public.opt_outs (organization_id, channel, address);
comment on table public.opt_outs is 'Who does not want messages of a channel. Checked when a message is claimed, not only when the audience is built.';

create table public.notification_campaigns (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null references public.organizations (id) on delete cascade,
    name text not null default '',
    channel public.campaign_channel not null,
    -- null: any active session of the organization for this channel
    session_id text,
    -- {"type": "text", "text": "Hello {{name}}"}; other objects are handed to the gateway as they are
    content jsonb not null default '{}',
    status public.campaign_status not null default 'draft',
    scheduled_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    max_attempts integer not null default 3,
    unconfirmed_policy public.unconfirmed_policy not null default 'retry',
    on_transient_error public.transient_error_policy,
    -- what cannot wait until the morning: codes, alarms
    ignores_quiet_hours boolean not null default false,
    -- its recipients are deleted, or are being so; its counters stay
    archived_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    foreign key (organization_id, session_id) references public.gateway_sessions (organization_id, id),
    constraint max_attempts_is_positive check (max_attempts > 0),
    constraint content_is_an_object check (jsonb_typeof(content) = 'object'),
    constraint scheduled_has_a_time check (status <> 'scheduled' or scheduled_at is not null)
);
comment on table public.notification_campaigns is 'One message to many recipients.';
comment on column public.notification_campaigns.max_attempts is 'How often one message may be handed to a gateway before it is given up.';
comment on column public.notification_campaigns.unconfirmed_policy is
    'A send that nobody confirmed and the gateway does not know: retry sends it again while attempts remain; hold leaves it to a person (confirm_recipient).';
comment on column public.notification_campaigns.on_transient_error is
    'An error that proves nothing was sent (refused, unknown host, 429, 503): fail at once, or retry later. Null: fail for groups, retry for contacts.';
comment on column public.notification_campaigns.archived_at is 'Set by archive_campaigns alone, and for good.';
create index notification_campaigns_organization on public.notification_campaigns (organization_id, created_at desc);
create index notification_campaigns_session on public.notification_campaigns (organization_id, session_id);
create index notification_campaigns_processing on public.notification_campaigns (id) where status = 'processing';
create index notification_campaigns_scheduled on public.notification_campaigns (scheduled_at) where status = 'scheduled';

create table public.notification_campaign_recipients (
    id uuid primary key default private.time_ordered_uuid(),
    campaign_id uuid not null references public.notification_campaigns (id) on delete cascade,
    recipient text not null,
    -- the contact in one spelling; null for a group
    address text,
    variables jsonb not null default '{}',
    status public.recipient_status not null default 'pending',
    skip_reason text,
    attempt_count integer not null default 0,
    -- the newest claim's send_attempts(id): only its results may fail or requeue the row. No foreign key, the other way round there is one
    attempt_id uuid,
    next_attempt_at timestamptz not null default now(),
    lease_expires_at timestamptz,
    message_id text collate "C",
    sent_at timestamptz,
    error_code text,
    error_message text,
    failure_class public.failure_class,
    member_count integer,
    delivered_count integer not null default 0,
    read_count integer not null default 0,
    -- The evidence behind the two counts above. Identified and anonymous reports may be about the same people,
    -- so they are kept apart and never added up: the larger counts.
    identified_delivered_count integer not null default 0,
    identified_read_count integer not null default 0,
    anonymous_delivered_count integer not null default 0,
    anonymous_read_count integer not null default 0,
    cost numeric(14, 6),
    currency text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (campaign_id, recipient),
    constraint recipient_is_not_blank check (recipient ~ '\S'),
    constraint variables_is_an_object check (jsonb_typeof(variables) = 'object'),
    constraint member_count_is_not_negative check (member_count >= 0),
    constraint counts_are_not_negative check (least(
        attempt_count, delivered_count, read_count,
        identified_delivered_count, identified_read_count, anonymous_delivered_count, anonymous_read_count
    ) >= 0),
    constraint delivered_count_is_within_member_count check (delivered_count <= coalesce(member_count, 999999)),
    constraint read_count_is_within_delivered_count check (read_count <= delivered_count),
    constraint skipped_has_a_reason check (status <> 'skipped' or skip_reason is not null)
)
-- receipts update counts in place: room on the page keeps those updates out of every index
with (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
comment on table public.notification_campaign_recipients is 'One row is one message owed to one recipient: a group JID or a contact.';
comment on column public.notification_campaign_recipients.member_count is '1 for a contact; the members of a group; null where unknown (counts are then capped at 999999).';
comment on column public.notification_campaign_recipients.attempt_count is 'Number of the newest row in send_attempts. It never goes down.';
comment on column public.notification_campaign_recipients.delivered_count is 'People it was delivered to: least(member_count, greatest(identified, anonymous)).';
comment on column public.notification_campaign_recipients.address is
    '+ and digits, whatever spelling recipient has: one person gets one message of a campaign (duplicate_recipient), and opt-outs hold for all spellings.';
create unique index notification_campaign_recipients_address on public.notification_campaign_recipients (campaign_id, address)
    where address is not null and skip_reason is distinct from 'duplicate_recipient';
create unique index notification_campaign_recipients_message_id on public.notification_campaign_recipients (message_id)
    where message_id is not null;
-- what claim_recipients takes from
create index notification_campaign_recipients_due on public.notification_campaign_recipients (campaign_id, next_attempt_at, id)
    where status = 'pending';
-- with the index above: is anything of this campaign still open?
create index notification_campaign_recipients_in_flight on public.notification_campaign_recipients (campaign_id)
    where status in ('processing', 'unconfirmed');
create index notification_campaign_recipients_lease on public.notification_campaign_recipients (lease_expires_at)
    where status = 'processing';
-- what a person may look into and send again
create index notification_campaign_recipients_failed on public.notification_campaign_recipients (campaign_id) where status = 'failed';
-- what a callback that names only the chat can be about
create index notification_campaign_recipients_awaiting_callback on public.notification_campaign_recipients (coalesce(address, recipient))
    where message_id is null and (status in ('processing', 'sent') or attempt_count > 0);

create table public.send_attempts (
    -- travels to the provider as clientMessageId and comes back with its reports
    id uuid primary key default private.time_ordered_uuid(),
    recipient_id uuid not null references public.notification_campaign_recipients (id) on delete cascade,
    attempt_number integer not null,
    -- another message of an attempt that had one: that attempt. No foreign key, it goes when its recipient does
    repeated_attempt_id uuid,
    session_id text,
    message_id text collate "C" unique,
    outcome public.attempt_outcome not null default 'claimed',
    error_code text,
    error_message text,
    failure_class public.failure_class,
    -- null: a message that went out without a claim, known only because it was reported
    claimed_at timestamptz default now(),
    accepted_at timestamptz,
    finished_at timestamptz,
    -- when the gateway was last asked what became of it
    asked_at timestamptz,
    asked_count integer not null default 0,
    -- when to ask whether it was delivered, where the provider can be asked and nobody has said
    next_poll_at timestamptz,
    unique (recipient_id, attempt_number),
    constraint attempt_number_is_positive check (attempt_number > 0)
)
with (fillfactor = 85);
comment on table public.send_attempts is
    'Every try to send, committed before the network call. A second send is seen here, and receipts of either message id find their recipient.';
create index send_attempts_session on public.send_attempts (session_id, claimed_at);
create index send_attempts_to_poll on public.send_attempts (next_poll_at) where next_poll_at is not null;

-- ---------------------------------------------------------------------------------------------------------------------
-- triggers: what a row must carry whoever writes it
-- ---------------------------------------------------------------------------------------------------------------------

create function private.complete_session()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.status = 'active' then
        new.status_reason := null;
        new.is_stopped_automatically := false;
        if tg_op = 'UPDATE' and old.status <> 'active' then
            new.activated_at := now();
        end if;
    end if;
    new.updated_at := now();
    return new;
end
$$;
revoke all on function private.complete_session() from public, anon, authenticated;
comment on function private.complete_session() is 'Before a sender is written: a reason ends with what it was the reason for, and old failures are forgiven.';
create trigger complete_session before insert or update on public.gateway_sessions
    for each row execute function private.complete_session();

create function private.complete_opt_out()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.address := private.address_of(new.recipient);
    return new;
end
$$;
revoke all on function private.complete_opt_out() from public, anon, authenticated;
comment on function private.complete_opt_out() is 'Before an opt-out is written: the spelling it is found by.';
create trigger complete_opt_out before insert or update on public.opt_outs
    for each row execute function private.complete_opt_out();

create function private.complete_campaign()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := now();
    if new.status = 'processing' then
        new.started_at := coalesce(new.started_at, now());
        new.completed_at := null;
    elsif new.status = 'completed' then
        new.completed_at := coalesce(new.completed_at, now());
    end if;
    return new;
end
$$;
revoke all on function private.complete_campaign() from public, anon, authenticated;
comment on function private.complete_campaign() is 'Before a campaign is written: its times follow its status, whoever sets it.';
create trigger complete_campaign before insert or update on public.notification_campaigns
    for each row execute function private.complete_campaign();

create function private.complete_recipient()
returns trigger
language plpgsql
-- definer because row-level security would ask for the caller's organizations again at every row; the insert's own policy holds
security definer
set search_path = ''
set enable_seqscan = off
as $$
begin
    if tg_op = 'INSERT' then
        if exists (
            select 1
            from public.notification_campaigns c
            where c.id = new.campaign_id and c.channel <> 'whatsapp_group'
        ) then
            -- a contact is one person; a group of unknown size stays unknown
            new.member_count := coalesce(new.member_count, 1);
            new.address := private.address_of(new.recipient);
            -- the same spelling twice is for the constraint of the contract to refuse
            if exists (
                select 1
                from public.notification_campaign_recipients r
                where r.campaign_id = new.campaign_id
                    and r.address = new.address
                    and r.recipient <> new.recipient
                    and r.skip_reason is distinct from 'duplicate_recipient'
            ) then
                new.status := 'skipped';
                new.skip_reason := 'duplicate_recipient';
            end if;
        end if;
        -- counts that a migrating system brings along are evidence without names
        new.anonymous_delivered_count := greatest(new.anonymous_delivered_count, new.delivered_count);
        new.anonymous_read_count := greatest(new.anonymous_read_count, new.read_count);
    elsif new.address is not null and new.recipient <> old.recipient then
        new.address := private.address_of(new.recipient);
    elsif new.skip_reason = 'duplicate_recipient' and new.status in ('pending', 'processing') then
        -- whoever sets it: the person gets the message in the other spelling
        new.status := 'skipped';
    end if;
    if new.status = 'processing' then
        new.lease_expires_at := coalesce(new.lease_expires_at, now() + interval '5 minutes');
    elsif new.status = 'sent' then
        new.sent_at := coalesce(new.sent_at, now());
    end if;
    new.updated_at := now();
    return new;
end
$$;
revoke all on function private.complete_recipient() from public, anon, authenticated;
comment on function private.complete_recipient() is
    'Before a recipient is inserted, its status set or its number corrected: a contact has one member and one address, and is skipped where another spelling of it is there; '
    'processing has a lease, sent has a time, whoever writes it.';
-- not on every update: receipts change counts alone, a thousand rows at a time
create trigger complete_recipient before insert or update of status, recipient on public.notification_campaign_recipients
    for each row execute function private.complete_recipient();

-- ---------------------------------------------------------------------------------------------------------------------
-- grants and policies
-- ---------------------------------------------------------------------------------------------------------------------

alter table public.gateway_sessions enable row level security;
revoke all on public.gateway_sessions from anon, authenticated;
grant select, delete on public.gateway_sessions to authenticated;
grant insert (
    id, organization_id, channel, gateway, status, status_reason, messages_per_minute, daily_limit, warm_up_first_day, warm_up_days,
    warm_up_started_at, max_failure_percent, account_id, phone_number, name
) on public.gateway_sessions to authenticated;
grant update (
    status, status_reason, messages_per_minute, daily_limit, warm_up_first_day, warm_up_days, warm_up_started_at, max_failure_percent,
    name
) on public.gateway_sessions to authenticated;
grant all on public.gateway_sessions to service_role;

create policy "members read their senders" on public.gateway_sessions
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));
create policy "owners add senders" on public.gateway_sessions
    for insert to authenticated
    with check (organization_id in (select private.organization_ids_with_role('owner')));
create policy "operators pace and pause senders" on public.gateway_sessions
    for update to authenticated
    using (organization_id in (select private.organization_ids_with_role('operator')))
    with check (organization_id in (select private.organization_ids_with_role('operator')));
create policy "owners remove senders" on public.gateway_sessions
    for delete to authenticated
    using (organization_id in (select private.organization_ids_with_role('owner')));

alter table private.session_states enable row level security;
revoke all on private.session_states from public, anon, authenticated;
grant all on private.session_states to service_role;

alter table public.opt_outs enable row level security;
revoke all on public.opt_outs from anon, authenticated;
grant select, insert, delete on public.opt_outs to authenticated;
grant all on public.opt_outs to service_role;

create policy "members read their opt-outs" on public.opt_outs
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));
create policy "operators add opt-outs" on public.opt_outs
    for insert to authenticated
    with check (organization_id in (select private.organization_ids_with_role('operator')));
create policy "operators remove opt-outs" on public.opt_outs
    for delete to authenticated
    using (organization_id in (select private.organization_ids_with_role('operator')));

alter table public.notification_campaigns enable row level security;
revoke all on public.notification_campaigns from anon, authenticated;
grant select, delete on public.notification_campaigns to authenticated;
grant insert (
    id, organization_id, name, channel, session_id, content, status, scheduled_at,
    max_attempts, unconfirmed_policy, on_transient_error, ignores_quiet_hours
) on public.notification_campaigns to authenticated;
-- status moves through the rpcs alone (start_campaign and its siblings)
grant update (
    name, session_id, content, scheduled_at, max_attempts, unconfirmed_policy, on_transient_error, ignores_quiet_hours
) on public.notification_campaigns to authenticated;
grant all on public.notification_campaigns to service_role;

create policy "members read their campaigns" on public.notification_campaigns
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));
create policy "operators create campaigns that have not begun" on public.notification_campaigns
    for insert to authenticated
    with check (
        status in ('draft', 'scheduled')
        and organization_id in (select private.organization_ids_with_role('operator'))
    );
create policy "operators edit campaigns that are not running" on public.notification_campaigns
    for update to authenticated
    using (
        status in ('draft', 'scheduled', 'paused')
        and organization_id in (select private.organization_ids_with_role('operator'))
    )
    with check (organization_id in (select private.organization_ids_with_role('operator')));
create policy "operators delete campaigns that have not begun" on public.notification_campaigns
    for delete to authenticated
    using (
        status in ('draft', 'scheduled')
        and organization_id in (select private.organization_ids_with_role('operator'))
    );

alter table public.notification_campaign_recipients enable row level security;
revoke all on public.notification_campaign_recipients from anon, authenticated;
grant select, delete on public.notification_campaign_recipients to authenticated;
grant insert (id, campaign_id, recipient, variables, status, member_count) on public.notification_campaign_recipients to authenticated;
grant all on public.notification_campaign_recipients to service_role;

create policy "members read the recipients of their campaigns" on public.notification_campaign_recipients
    for select to authenticated
    using (exists (
        select 1
        from public.notification_campaigns c
        where c.id = campaign_id and c.organization_id in (select private.readable_organization_ids())
    ));
create policy "operators add recipients that are still to be sent" on public.notification_campaign_recipients
    for insert to authenticated
    with check (
        -- skipped: as another spelling of a contact that is there already, which only the trigger can say
        (status = 'pending' or skip_reason = 'duplicate_recipient')
        and exists (
            select 1
            from public.notification_campaigns c
            where c.id = campaign_id
                and c.status <> 'cancelled'
                and c.organization_id in (select private.organization_ids_with_role('operator'))
        )
    );
create policy "operators remove recipients before the campaign begins" on public.notification_campaign_recipients
    for delete to authenticated
    using (exists (
        select 1
        from public.notification_campaigns c
        where c.id = campaign_id
            and c.status in ('draft', 'scheduled')
            and c.organization_id in (select private.organization_ids_with_role('operator'))
    ));

alter table public.send_attempts enable row level security;
revoke all on public.send_attempts from anon, authenticated;
grant select on public.send_attempts to authenticated;
grant all on public.send_attempts to service_role;

create policy "members read the attempts of their campaigns" on public.send_attempts
    for select to authenticated
    using (exists (
        select 1
        from public.notification_campaign_recipients r
        join public.notification_campaigns c on c.id = r.campaign_id
        where r.id = recipient_id and c.organization_id in (select private.readable_organization_ids())
    ));
