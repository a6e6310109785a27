-- Why messages fail, and what follows: the one table that sorts the codes of all providers, and the one place that acts.
-- Codes of Meta, Twilio, WhatsApp and HTTP do not overlap, so a code alone says whose it is. To sort a new code, insert it.

create type private.failure_action as enum ('retry', 'give_up', 'opt_out', 'pause');
comment on type private.failure_action is
    'retry: again later, while attempts remain; give_up: this message fails; opt_out: it fails, and nothing more is sent there; '
    'pause: the sender is paused, and its message waits, which costs it no attempt.';

create table private.failure_classes (
    class public.failure_class primary key,
    action private.failure_action not null,
    meaning text not null
);
comment on table private.failure_classes is 'What follows from each class of failures, where a provider refuses a message at once.';

create table private.failure_codes (
    code text primary key,
    class public.failure_class not null,
    meaning text not null
);
comment on table private.failure_codes is 'What the codes of providers mean. A code that is not here is of the class unknown.';

insert into private.failure_classes (class, action, meaning) values
    ('invalid_recipient', 'give_up', 'There is nobody to reach under this recipient.'),
    ('opted_out', 'opt_out', 'The recipient does not want these messages.'),
    ('window_closed', 'give_up', 'The recipient has not written for 24 hours: only a template may be sent.'),
    ('rate_limited', 'retry', 'Too many messages, altogether or to this recipient; later it will go.'),
    ('sender_restricted', 'pause', 'The provider holds the sender back; going on makes it worse.'),
    ('content_rejected', 'give_up', 'The provider does not take this message as it is.'),
    ('auth', 'pause', 'The provider does not let us in: token, permission or payment.'),
    ('provider_error', 'retry', 'The provider is at fault, or cannot be reached.'),
    ('unknown', 'give_up', 'Nobody has sorted this code yet.');

insert into private.failure_codes (code, class, meaning) values
    -- Meta, Cloud API
    ('0', 'auth', 'Meta: the access token could not be read'),
    ('1', 'provider_error', 'Meta: unknown error of the API'),
    ('2', 'provider_error', 'Meta: the API is down or overloaded'),
    ('3', 'auth', 'Meta: a capability or permission is missing'),
    ('4', 'rate_limited', 'Meta: too many calls of the app'),
    ('10', 'auth', 'Meta: permission denied'),
    ('33', 'auth', 'Meta: the phone number was deleted'),
    ('100', 'content_rejected', 'Meta: invalid parameter'),
    ('131', 'content_rejected', 'Meta: invalid parameter'),
    ('190', 'auth', 'Meta: the access token has expired'),
    ('200', 'auth', 'Meta: permission denied'),
    ('294', 'auth', 'Meta: permission denied'),
    ('368', 'sender_restricted', 'Meta: temporarily blocked for policy violations'),
    ('80007', 'rate_limited', 'Meta: rate limit of the account'),
    ('130429', 'rate_limited', 'Meta: throughput of the number reached'),
    ('130472', 'unknown', 'Meta: the recipient is part of an experiment'),
    ('130497', 'invalid_recipient', 'Meta: the account may not write to this country'),
    ('131000', 'provider_error', 'Meta: something went wrong'),
    ('131005', 'auth', 'Meta: permission denied'),
    ('131008', 'content_rejected', 'Meta: a required parameter is missing'),
    ('131009', 'content_rejected', 'Meta: the value of a parameter is not valid'),
    ('131016', 'provider_error', 'Meta: service unavailable'),
    ('131021', 'invalid_recipient', 'Meta: sender and recipient are the same'),
    ('131026', 'invalid_recipient', 'Meta: undeliverable: not on WhatsApp, or unable to receive it'),
    ('131030', 'invalid_recipient', 'Meta: not in the list of allowed recipients'),
    ('131031', 'sender_restricted', 'Meta: the account is locked'),
    ('131037', 'auth', 'Meta: the display name of the number is not approved'),
    ('131042', 'auth', 'Meta: payment is not in order'),
    ('131045', 'auth', 'Meta: the number is not registered'),
    ('131047', 'window_closed', 'Meta: more than 24 hours since the recipient last wrote'),
    ('131048', 'sender_restricted', 'Meta: restricted for spam'),
    ('131049', 'unknown', 'Meta: not delivered, to keep the ecosystem healthy; not again within 24 hours'),
    ('131050', 'opted_out', 'Meta: the recipient has stopped marketing messages'),
    ('131051', 'content_rejected', 'Meta: unsupported type of message'),
    ('131052', 'content_rejected', 'Meta: media could not be downloaded'),
    ('131053', 'content_rejected', 'Meta: media could not be uploaded'),
    ('131056', 'rate_limited', 'Meta: too many messages to this recipient'),
    ('131057', 'provider_error', 'Meta: the account is in maintenance'),
    ('132000', 'content_rejected', 'Meta: the number of template parameters does not match'),
    ('132001', 'content_rejected', 'Meta: the template does not exist in this language'),
    ('132005', 'content_rejected', 'Meta: the filled template is too long'),
    ('132007', 'content_rejected', 'Meta: the template violates a policy'),
    ('132012', 'content_rejected', 'Meta: the format of a template parameter does not match'),
    ('132015', 'content_rejected', 'Meta: the template is paused for low quality'),
    ('132016', 'content_rejected', 'Meta: the template is disabled for low quality'),
    ('132068', 'content_rejected', 'Meta: the flow is blocked'),
    ('132069', 'rate_limited', 'Meta: the flow is throttled'),
    ('133004', 'provider_error', 'Meta: the server is unavailable for now'),
    ('133010', 'auth', 'Meta: the number is not registered'),
    ('135000', 'content_rejected', 'Meta: the message could not be sent with these parameters'),
    -- Twilio
    ('20003', 'auth', 'Twilio: authentication failed'),
    ('20005', 'auth', 'Twilio: the account is not active'),
    ('20404', 'auth', 'Twilio: no such account'),
    ('20429', 'rate_limited', 'Twilio: too many requests'),
    ('20500', 'provider_error', 'Twilio: internal error'),
    ('20503', 'provider_error', 'Twilio: service unavailable'),
    ('21211', 'invalid_recipient', 'Twilio: invalid number'),
    ('21212', 'auth', 'Twilio: invalid sender'),
    ('21214', 'invalid_recipient', 'Twilio: the number cannot be reached'),
    ('21217', 'invalid_recipient', 'Twilio: the number does not look valid'),
    ('21265', 'invalid_recipient', 'Twilio: a short code cannot be sent to'),
    ('21408', 'invalid_recipient', 'Twilio: sending to this region is not enabled'),
    ('21601', 'auth', 'Twilio: the sender cannot send messages'),
    ('21602', 'content_rejected', 'Twilio: the message has no body'),
    ('21603', 'auth', 'Twilio: the sender is missing'),
    ('21604', 'invalid_recipient', 'Twilio: the recipient is missing'),
    ('21606', 'auth', 'Twilio: the sender is not a number of this account'),
    ('21608', 'invalid_recipient', 'Twilio: a trial account may send to verified numbers alone'),
    ('21610', 'opted_out', 'Twilio: the recipient has replied STOP'),
    ('21611', 'rate_limited', 'Twilio: the queue of the sender is full'),
    ('21612', 'invalid_recipient', 'Twilio: this sender cannot reach this number'),
    ('21614', 'invalid_recipient', 'Twilio: not a mobile number'),
    ('21617', 'content_rejected', 'Twilio: the message is too long'),
    ('21660', 'auth', 'Twilio: the sender belongs to another account'),
    ('30001', 'rate_limited', 'Twilio: the queue overflowed'),
    ('30002', 'sender_restricted', 'Twilio: the account is suspended'),
    ('30003', 'invalid_recipient', 'Twilio: the handset cannot be reached'),
    ('30004', 'opted_out', 'Twilio: the recipient blocks the sender'),
    ('30005', 'invalid_recipient', 'Twilio: unknown handset'),
    ('30006', 'invalid_recipient', 'Twilio: a landline, or a carrier that cannot be reached'),
    ('30007', 'content_rejected', 'Twilio: filtered by the carrier'),
    ('30008', 'provider_error', 'Twilio: unknown error'),
    ('30022', 'rate_limited', 'Twilio: limit of the US carriers for this sender'),
    ('30034', 'sender_restricted', 'Twilio: the sender is not registered with the US carriers'),
    ('63016', 'window_closed', 'Twilio: outside the 24 hours of WhatsApp'),
    ('63018', 'rate_limited', 'Twilio: rate limit of the WhatsApp sender'),
    ('63024', 'invalid_recipient', 'Twilio: invalid WhatsApp recipient'),
    -- WhatsApp itself, through the VPS
    ('463', 'sender_restricted', 'WhatsApp: restricted; trying again makes it worse'),
    ('479', 'provider_error', 'WhatsApp: stale device'),
    -- the network, HTTP, and what we refuse ourselves
    ('connection_refused', 'provider_error', 'nobody listens at the gateway''s address'),
    ('connection_failed', 'provider_error', 'no connection to the gateway could be made'),
    ('connection_lost', 'provider_error', 'the connection was lost before an answer came'),
    ('unknown_host', 'provider_error', 'the gateway''s host name could not be resolved'),
    ('timeout', 'provider_error', 'the gateway did not answer in time'),
    ('unreadable_answer', 'provider_error', 'the gateway''s answer makes no sense'),
    ('http_401', 'auth', 'HTTP: unauthorized'),
    ('http_408', 'provider_error', 'HTTP: request timeout'),
    ('http_425', 'rate_limited', 'HTTP: too early'),
    ('http_429', 'rate_limited', 'HTTP: too many requests'),
    ('http_500', 'provider_error', 'HTTP: internal server error'),
    ('http_502', 'provider_error', 'HTTP: bad gateway'),
    ('http_503', 'provider_error', 'HTTP: service unavailable'),
    ('http_504', 'provider_error', 'HTTP: gateway timeout'),
    ('http_403', 'unknown', 'HTTP: forbidden'),
    ('http_404', 'unknown', 'HTTP: not found'),
    ('no_session', 'provider_error', 'no active session can send the message'),
    ('gateway_not_ready', 'provider_error', 'the gateway of the sender is not configured'),
    ('unsupported_gateway', 'provider_error', 'the gateway of the sender is none that this version knows'),
    ('no_sender', 'provider_error', 'no sender that this gateway could use is configured'),
    ('invalid_phone_number', 'invalid_recipient', 'no phone number that could be called'),
    ('invalid_content', 'content_rejected', 'the campaign''s content cannot be sent through this gateway'),
    ('missing_variable', 'content_rejected', 'the recipient lacks a variable of the message');

create function private.failure_class_of(p_code text)
returns public.failure_class
language sql
stable
set search_path = ''
as $$
    select coalesce((select f.class from private.failure_codes f where f.code = p_code), 'unknown')
$$;
revoke all on function private.failure_class_of(text) from public, anon, authenticated;
grant execute on function private.failure_class_of(text) to service_role;
comment on function private.failure_class_of(text) is 'The class of a provider''s code; unknown for one that nobody has sorted, and for none.';

create function private.failure_action_of(p_code text)
returns private.failure_action
language sql
stable
set search_path = ''
as $$
    select c.action from private.failure_classes c where c.class = private.failure_class_of(p_code)
$$;
revoke all on function private.failure_action_of(text) from public, anon, authenticated;
grant execute on function private.failure_action_of(text) to service_role;
comment on function private.failure_action_of(text) is 'What follows from a provider''s code.';

create table private.held_senders (
    session_id text primary key,
    reason text not null,
    expires_at timestamptz not null default now() + interval '10 minutes'
);
comment on table private.held_senders is
    'Senders of the whole installation, which belong to no organization and so have no row to pause: nothing goes through one until expires_at, then it is tried again.';

create function private.fails_too_often(p_session_id text)
returns boolean
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
    return exists (
        select 1
        from public.gateway_sessions g
        where g.id = p_session_id
            and g.status = 'active'
            and g.max_failure_percent <= (
                select count(*)
                from (
                    select a.outcome, a.failure_class
                    from public.send_attempts a
                    where a.session_id = g.id and a.claimed_at > g.activated_at
                    order by a.claimed_at desc
                    limit 100
                ) as l
                -- what the sender, its gateway or its list is to blame for
                where l.outcome in ('deferred', 'failed')
                    and l.failure_class in ('invalid_recipient', 'sender_restricted', 'auth', 'provider_error', 'unknown')
            )
    );
end
$$;
revoke all on function private.fails_too_often(text) from public, anon, authenticated;
grant execute on function private.fails_too_often(text) to service_role;
comment on function private.fails_too_often(text) is
    'Whether max_failure_percent of a sender''s last 100 attempts have failed since it was last made active; reads 100 index entries.';

create function private.act_on_failure()
returns trigger
language plpgsql
-- definer because whoever may write a recipient may not pause senders
security definer
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_action private.failure_action := (select c.action from private.failure_classes c where c.class = new.failure_class);
    v_organization_id uuid;
    v_channel public.campaign_channel;
    v_session_id text;
begin
    select c.organization_id, c.channel, coalesce(a.session_id, c.session_id)
    into v_organization_id, v_channel, v_session_id
    from public.notification_campaigns c
    left join public.send_attempts a on a.id = new.attempt_id
    where c.id = new.campaign_id;
    if v_action = 'opt_out' then
        insert into public.opt_outs (organization_id, channel, recipient, reason)
        values (
            v_organization_id, v_channel, coalesce(new.address, new.recipient),
            format('the provider refused with %s: %s', new.error_code, new.error_message)
        )
        on conflict (organization_id, channel, recipient) do nothing;
    elsif v_action = 'pause' then
        update public.gateway_sessions g
        set status = case new.failure_class when 'sender_restricted' then 'restricted'::public.session_status else 'paused' end,
            status_reason = format('%s, code %s: %s', new.failure_class, new.error_code, new.error_message),
            is_stopped_automatically = true
        where g.id = v_session_id and g.organization_id = v_organization_id and g.status = 'active';
        if not found and not exists (select 1 from public.gateway_sessions g where g.id = v_session_id) then
            insert into private.held_senders as h (session_id, reason)
            values (v_session_id, format('%s, code %s: %s', new.failure_class, new.error_code, new.error_message))
            on conflict (session_id) do update set reason = excluded.reason, expires_at = excluded.expires_at;
        end if;
    elsif private.fails_too_often(v_session_id) then
        update public.gateway_sessions g
        set status = 'paused',
            status_reason = format(
                '%s of its last 100 messages failed, the last one with %s, code %s: %s', g.max_failure_percent, new.failure_class,
                coalesce(new.error_code, 'none'), new.error_message
            ),
            is_stopped_automatically = true
        where g.id = v_session_id and g.organization_id = v_organization_id and g.status = 'active';
    end if;
    return null;
end
$$;
revoke all on function private.act_on_failure() from public, anon, authenticated;
comment on function private.act_on_failure() is
    'After a recipient''s failure got a class: an opt-out is noted; a sender that is restricted or not let in, or that fails too often, is paused with the reason. Whoever wrote it.';
-- at commit: senders are locked after everything else
create constraint trigger act_on_failure after update of failure_class on public.notification_campaign_recipients
    deferrable initially deferred
    for each row when (new.failure_class is distinct from old.failure_class and new.failure_class is not null)
    execute function private.act_on_failure();

alter table private.failure_classes enable row level security;
revoke all on private.failure_classes from public, anon, authenticated;
grant all on private.failure_classes to service_role;

alter table private.held_senders enable row level security;
revoke all on private.held_senders from public, anon, authenticated;
grant all on private.held_senders to service_role;

alter table private.failure_codes enable row level security;
revoke all on private.failure_codes from public, anon, authenticated;
grant all on private.failure_codes to service_role;
