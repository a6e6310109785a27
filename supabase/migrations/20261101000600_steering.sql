-- What a CRM's users do with a campaign. Each function runs as its owner, because a user's token may not set a status, and
-- therefore first asks whether the caller may: a stranger is told that there is no such campaign, a viewer that it is not
-- for them.

create function private.is_service()
returns boolean
language sql
stable
-- `role` is what the API set for this request, whatever the function runs as; none is a direct connection
return current_setting('role') in ('service_role', 'none');
revoke all on function private.is_service() from public, anon, authenticated;
comment on function private.is_service() is 'Whether it is no user who calls, but the service or a direct connection.';

create function private.readable_campaign(p_campaign_id uuid, p_subject text default null)
returns public.notification_campaigns
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_campaign public.notification_campaigns;
begin
    select c.*
    into v_campaign
    from public.notification_campaigns c
    where c.id = p_campaign_id
        and (private.is_service() or c.organization_id in (select private.readable_organization_ids()));
    if not found then
        raise exception using
            errcode = 'PT404',
            message = format('there is no %s', coalesce(p_subject, 'campaign ' || coalesce(p_campaign_id::text, 'null'))),
            hint = 'Check the id, and that you are a member of its organization.';
    end if;
    return v_campaign;
end
$$;
revoke all on function private.readable_campaign(uuid, text) from public, anon, authenticated;
comment on function private.readable_campaign(uuid, text) is
    'The campaign, if the caller is a member of its organization, whatever the role, or the service; else PT404. p_subject: what the caller asked for, where that is not the campaign.';

create function private.campaign_for_steering(p_campaign_id uuid, p_subject text default null)
returns public.notification_campaigns
language plpgsql
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.readable_campaign(p_campaign_id, p_subject);
begin
    if not private.is_service() and v_campaign.organization_id not in (select private.organization_ids_with_role('operator')) then
        raise insufficient_privilege using
            message = 'steering a campaign needs the role operator or owner in its organization',
            hint = 'Ask an owner of the organization to change your role.';
    end if;
    return v_campaign;
end
$$;
revoke all on function private.campaign_for_steering(uuid, text) from public, anon, authenticated;
comment on function private.campaign_for_steering(uuid, text) is
    'The campaign, if the caller may steer it; PT404 for strangers, insufficient_privilege for viewers. p_subject as of readable_campaign.';

create function private.refuse_step(
    p_status public.campaign_status,
    p_verb text,
    p_from public.campaign_status[]
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_allowed text := regexp_replace(array_to_string(p_from, ', '), ', (\w+)$', ' or \1');
begin
    raise exception using
        errcode = 'PT409',
        message = format('a campaign that is %s cannot be %s: it must be %s', p_status, p_verb, v_allowed),
        hint = format(
            'It must be %s. %s', array_to_string(p_from, ' or '),
            case p_status
                when 'draft' then 'Now it may be started, scheduled or cancelled.'
                when 'scheduled' then 'Now it may be started, scheduled for another time or cancelled.'
                when 'processing' then 'Now it may be paused or cancelled, and what failed retried.'
                when 'paused' then 'Now it may be resumed or cancelled, and what failed retried.'
                when 'completed' then 'Now what failed may be retried, and recipients added.'
                else 'It stays as it is: make a new campaign.'
            end
        );
end
$$;
revoke all on function private.refuse_step(public.campaign_status, text, public.campaign_status[]) from public, anon, authenticated;
comment on function private.refuse_step(public.campaign_status, text, public.campaign_status[]) is
    'Raises PT409: what a campaign that is p_status cannot be, from which statuses it could, and what may be done with it instead.';

create function private.move_campaign(
    p_campaign_id uuid,
    p_from public.campaign_status[],
    p_to public.campaign_status,
    p_verb text
)
returns public.notification_campaigns
language plpgsql
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.campaign_for_steering(p_campaign_id);
begin
    update public.notification_campaigns c
    set status = p_to
    where c.id = p_campaign_id and c.status = any (p_from)
    returning c.* into v_campaign;
    if not found then
        select c.* into v_campaign from public.notification_campaigns c where c.id = p_campaign_id;
        -- said twice is said once
        if v_campaign.status is distinct from p_to then
            perform private.refuse_step(v_campaign.status, p_verb, p_from);
        end if;
    end if;
    return v_campaign;
end
$$;
revoke all on function private.move_campaign(uuid, public.campaign_status[], public.campaign_status, text) from public, anon, authenticated;
comment on function private.move_campaign(uuid, public.campaign_status[], public.campaign_status, text) is
    'Moves a campaign that the caller may steer from one of p_from to p_to; PT409 from elsewhere. Already there: nothing happens.';

create function private.refuse_empty_content(p_campaign public.notification_campaigns, p_verb text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_campaign.status in ('draft', 'scheduled') and p_campaign.content = '{}' then
        raise exception using
            errcode = 'PT409',
            message = format('a campaign without content cannot be %s', p_verb),
            hint = 'Set content, for instance to {"type": "text", "text": "Hello"}.';
    end if;
end
$$;
revoke all on function private.refuse_empty_content(public.notification_campaigns, text) from public, anon, authenticated;
comment on function private.refuse_empty_content(public.notification_campaigns, text) is 'Raises PT409 for a campaign that has not begun and has nothing to say.';

create function public.start_campaign(p_campaign_id uuid)
returns public.notification_campaigns
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
begin
    perform private.refuse_empty_content(private.campaign_for_steering(p_campaign_id), 'started');
    return private.move_campaign(p_campaign_id, '{draft,scheduled}', 'processing', 'started');
end
$$;
revoke all on function public.start_campaign(uuid) from public, anon, authenticated;
grant execute on function public.start_campaign(uuid) to authenticated, service_role;
comment on function public.start_campaign(uuid) is
    'Starts a draft or scheduled campaign now; answers it. Errors: PT404 (404) unknown, 42501 (403) not an operator, PT409 (409) wrong status or no content. A campaign without recipients waits for them.';

create function public.schedule_campaign(p_campaign_id uuid, p_scheduled_at timestamptz)
returns public.notification_campaigns
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.campaign_for_steering(p_campaign_id);
begin
    if v_campaign.status in ('draft', 'scheduled') and p_scheduled_at is not null and p_scheduled_at is distinct from v_campaign.scheduled_at then
        -- clocks differ: a time just past is now
        if not isfinite(p_scheduled_at) or p_scheduled_at < now() - interval '5 minutes' then
            raise invalid_parameter_value using
                message = format('p_scheduled_at must be a time to come, not %s', p_scheduled_at),
                hint = 'Call start_campaign to start it now; null takes it back to draft.';
        end if;
    end if;
    if p_scheduled_at is not null then
        perform private.refuse_empty_content(v_campaign, 'scheduled');
    end if;
    update public.notification_campaigns c
    set status = case when p_scheduled_at is null then 'draft'::public.campaign_status else 'scheduled' end,
        scheduled_at = p_scheduled_at
    where c.id = p_campaign_id and c.status in ('draft', 'scheduled')
    returning c.* into v_campaign;
    if not found then
        select c.* into v_campaign from public.notification_campaigns c where c.id = p_campaign_id;
        perform private.refuse_step(
            v_campaign.status, case when p_scheduled_at is null then 'taken back to draft' else 'scheduled' end, '{draft,scheduled}'
        );
    end if;
    return v_campaign;
end
$$;
revoke all on function public.schedule_campaign(uuid, timestamptz) from public, anon, authenticated;
grant execute on function public.schedule_campaign(uuid, timestamptz) to authenticated, service_role;
comment on function public.schedule_campaign(uuid, timestamptz) is
    'Has a draft or scheduled campaign started by itself at a time; null: takes it back to draft. Answers the campaign. '
    'Errors as start_campaign, and 22023 (400) a time that is past.';

create function public.pause_campaign(p_campaign_id uuid)
returns public.notification_campaigns
language sql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
    select private.move_campaign(p_campaign_id, '{processing}', 'paused', 'paused')
$$;
revoke all on function public.pause_campaign(uuid) from public, anon, authenticated;
grant execute on function public.pause_campaign(uuid) to authenticated, service_role;
comment on function public.pause_campaign(uuid) is
    'Stops claiming for a processing campaign; what was claimed is still settled. Answers the campaign. Errors as start_campaign.';

create function public.resume_campaign(p_campaign_id uuid)
returns public.notification_campaigns
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.move_campaign(p_campaign_id, '{paused}', 'processing', 'resumed');
begin
    -- everything may have settled meanwhile
    if private.finalize_campaign(p_campaign_id) then
        select c.* into v_campaign from public.notification_campaigns c where c.id = p_campaign_id;
    end if;
    return v_campaign;
end
$$;
revoke all on function public.resume_campaign(uuid) from public, anon, authenticated;
grant execute on function public.resume_campaign(uuid) to authenticated, service_role;
comment on function public.resume_campaign(uuid) is 'Goes on with a paused campaign; answers it. Errors as start_campaign.';

create table private.unfinished_steps (
    -- no foreign key: checking one would lock the campaign before its recipients
    campaign_id uuid not null,
    step text not null,
    requested_at timestamptz not null,
    primary key (campaign_id, step),
    constraint step_is_known check (step in ('cancel', 'retry'))
);
comment on table private.unfinished_steps is
    'What a person asked of a campaign and continue_steering may have to finish. Locked before recipients. A cancellation stays for five minutes, for what was still being added or requeued.';
create index unfinished_steps_requested on private.unfinished_steps (requested_at);

create function private.request_step(p_campaign_id uuid, p_step text)
returns void
language sql
set search_path = ''
as $$
    insert into private.unfinished_steps (campaign_id, step, requested_at)
    values (p_campaign_id, p_step, clock_timestamp())
    on conflict (campaign_id, step) do update set requested_at = excluded.requested_at
$$;
revoke all on function private.request_step(uuid, text) from public, anon, authenticated;
comment on function private.request_step(uuid, text) is 'Notes a step before it is taken; of two callers who take the same step the second waits here.';

create function private.lock_recipients(p_campaign_id uuid, p_status public.recipient_status)
returns void
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
begin
    perform 1
    from public.notification_campaign_recipients r
    where r.id = any (array(
        select q.id
        from public.notification_campaign_recipients q
        where q.campaign_id = p_campaign_id and q.status = p_status
        limit 10000
    ))
    order by r.id
    for no key update;
end
$$;
revoke all on function private.lock_recipients(uuid, public.recipient_status) from public, anon, authenticated;
comment on function private.lock_recipients(uuid, public.recipient_status) is
    'Waits for whoever holds recipients that are p_status, and holds them: all of a campaign of common size, the first 10,000 of a larger one.';

create function private.take_step(p_campaign_id uuid, p_step text, p_failed_before timestamptz, p_limit integer, p_until timestamptz)
returns void
language plpgsql
set search_path = ''
-- the limit is a parameter, which a generic plan takes for a tenth of the table
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_ids uuid[];
    v_batch uuid[];
begin
    if p_step = 'cancel' then
        v_ids := array(
            select r.id
            from public.notification_campaign_recipients r
            where r.campaign_id = p_campaign_id and r.status = 'pending'
            limit p_limit
        );
    else
        v_ids := array(
            select r.id
            from public.notification_campaign_recipients r
            where r.campaign_id = p_campaign_id and r.status = 'failed' and r.updated_at <= p_failed_before
            limit p_limit
        );
    end if;
    for v_from in 1..cardinality(v_ids) by 5000 loop
        exit when clock_timestamp() >= p_until;
        -- The campaign may be held by now, so nobody is waited for: what others hold is being claimed or settled.
        v_batch := array(
            select r.id
            from public.notification_campaign_recipients r
            where r.id = any (v_ids[v_from:v_from + 4999])
                and r.status = case p_step when 'cancel' then 'pending'::public.recipient_status else 'failed' end
            for no key update skip locked
        );
        if p_step = 'cancel' then
            update public.notification_campaign_recipients r
            set status = 'skipped', skip_reason = 'campaign_cancelled'
            where r.id = any (v_batch);
        else
            update public.notification_campaign_recipients r
            set status = 'pending',
                next_attempt_at = now(),
                error_code = null,
                error_message = null,
                failure_class = null,
                -- nothing that is still to come of the attempts so far may fail the row
                attempt_id = null,
                -- the message that failed keeps its id as an attempt; the row stands for the one to come
                message_id = null,
                sent_at = null
            where r.id = any (v_batch);
        end if;
    end loop;
end
$$;
revoke all on function private.take_step(uuid, text, timestamptz, integer, timestamptz) from public, anon, authenticated;
grant execute on function private.take_step(uuid, text, timestamptz, integer, timestamptz) to service_role;
comment on function private.take_step(uuid, text, timestamptz, integer, timestamptz) is
    'Skips what is pending (cancel), or sends what failed by then once more (retry): up to p_limit recipients, 5,000 at a time, and no new batch after p_until.';

create function private.is_step_taken(p_campaign_id uuid, p_step text, p_failed_before timestamptz)
returns boolean
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
begin
    if p_step = 'cancel' then
        return not exists (
            select 1
            from public.notification_campaign_recipients r
            where r.campaign_id = p_campaign_id and r.status = 'pending'
        );
    end if;
    return not exists (
        select 1
        from public.notification_campaign_recipients r
        where r.campaign_id = p_campaign_id and r.status = 'failed' and r.updated_at <= p_failed_before
    );
end
$$;
revoke all on function private.is_step_taken(uuid, text, timestamptz) from public, anon, authenticated;
grant execute on function private.is_step_taken(uuid, text, timestamptz) to service_role;
comment on function private.is_step_taken(uuid, text, timestamptz) is 'Whether nothing is left for take_step.';

create function public.cancel_campaign(p_campaign_id uuid)
returns public.notification_campaigns
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.campaign_for_steering(p_campaign_id);
begin
    perform private.request_step(p_campaign_id, 'cancel');
    -- recipients before campaigns, as everywhere; whoever requeues one holds the campaign, so none is missed below
    perform private.lock_recipients(p_campaign_id, 'pending');
    v_campaign := private.move_campaign(p_campaign_id, '{draft,scheduled,processing,paused}', 'cancelled', 'cancelled');
    -- nothing of it is claimed any more; however many there are, the caller gets an answer: the API waits for eight seconds
    perform private.take_step(p_campaign_id, 'cancel', null, 200000, clock_timestamp() + interval '5 seconds');
    return v_campaign;
end
$$;
revoke all on function public.cancel_campaign(uuid) from public, anon, authenticated;
grant execute on function public.cancel_campaign(uuid) to authenticated, service_role;
comment on function public.cancel_campaign(uuid) is
    'Ends a campaign for good: pending recipients are skipped (campaign_cancelled), those being sent are still settled. Of a very large one some are skipped '
    'a little later (continue_steering); none of them is sent. Answers the campaign. Errors as start_campaign.';

create function public.retry_failed_recipients(p_campaign_id uuid)
returns public.notification_campaigns
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.campaign_for_steering(p_campaign_id);
    v_now timestamptz;
begin
    perform private.request_step(p_campaign_id, 'retry');
    -- recipients before campaigns, as everywhere
    perform private.lock_recipients(p_campaign_id, 'failed');
    select c.*
    into v_campaign
    from public.notification_campaigns c
    where c.id = p_campaign_id
    for no key update;
    if v_campaign.status not in ('processing', 'paused', 'completed') then
        perform private.refuse_step(v_campaign.status, 'retried', '{processing,paused,completed}');
    end if;
    v_now := clock_timestamp();
    perform private.take_step(p_campaign_id, 'retry', v_now, 200000, v_now + interval '5 seconds');
    if private.is_step_taken(p_campaign_id, 'retry', v_now) then
        delete from private.unfinished_steps s where s.campaign_id = p_campaign_id and s.step = 'retry';
    end if;
    -- a completed one is processing again
    select c.* into v_campaign from public.notification_campaigns c where c.id = p_campaign_id;
    return v_campaign;
end
$$;
revoke all on function public.retry_failed_recipients(uuid) from public, anon, authenticated;
grant execute on function public.retry_failed_recipients(uuid) to authenticated, service_role;
comment on function public.retry_failed_recipients(uuid) is
    'Sends the failed messages of a campaign once more, of very many some a little later (continue_steering); a completed campaign is processing again, a paused one stays paused. '
    'Answers the campaign. Errors as start_campaign.';

create function public.continue_steering()
returns integer
language plpgsql
set search_path = ''
as $$
declare
    v_until timestamptz := clock_timestamp() + interval '2 seconds';
    v_step private.unfinished_steps;
    v_status public.campaign_status;
    v_unfinished integer := 0;
begin
    for v_step in
        select s.*
        from private.unfinished_steps s
        order by s.requested_at
        limit 1000
        for update skip locked
    loop
        exit when clock_timestamp() >= v_until;
        select c.status into v_status from public.notification_campaigns c where c.id = v_step.campaign_id;
        if v_status is null or (v_step.step = 'retry' and v_status not in ('processing', 'paused', 'completed')) then
            delete from private.unfinished_steps s where s.campaign_id = v_step.campaign_id and s.step = v_step.step;
            continue;
        end if;
        perform private.take_step(v_step.campaign_id, v_step.step, v_step.requested_at, 10000, v_until);
        if not private.is_step_taken(v_step.campaign_id, v_step.step, v_step.requested_at) then
            v_unfinished := v_unfinished + 1;
        elsif v_step.step = 'retry' or v_step.requested_at < now() - interval '5 minutes' then
            delete from private.unfinished_steps s where s.campaign_id = v_step.campaign_id and s.step = v_step.step;
        end if;
    end loop;
    return v_unfinished;
end
$$;
revoke all on function public.continue_steering() from public, anon, authenticated;
grant execute on function public.continue_steering() to service_role;
comment on function public.continue_steering() is
    'Finishes what cancel_campaign and retry_failed_recipients left of very large campaigns, 10,000 recipients a call, and skips what was added to a campaign while it was being cancelled. '
    'Answers how many of these steps are not finished yet. Caller: process-notification-campaigns.';

create function public.confirm_recipient(p_recipient_id uuid, p_sent boolean, p_message_id text default null)
returns public.notification_campaign_recipients
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
declare
    v_recipient public.notification_campaign_recipients;
    v_outcome private.send_outcome;
begin
    select r.* into v_recipient from public.notification_campaign_recipients r where r.id = p_recipient_id;
    -- a stranger is not told whose recipient it is
    perform private.campaign_for_steering(v_recipient.campaign_id, 'recipient ' || coalesce(p_recipient_id::text, 'null'));
    if p_sent is null then
        raise invalid_parameter_value using message = 'p_sent must be true (it was sent) or false (it was not)';
    end if;
    if v_recipient.status in ('pending', 'skipped') and v_recipient.attempt_count = 0 then
        raise exception using
            errcode = 'PT409',
            message = format(
                'a recipient that is %s and was never tried cannot be confirmed: nothing was sent that could have arrived',
                concat_ws(': ', v_recipient.status, v_recipient.skip_reason)
            ),
            hint = 'Only a message that was handed to a gateway can be confirmed: one that is processing, unconfirmed, failed or sent, or that is to be tried again.';
    end if;
    v_outcome.ordinal := 1;
    v_outcome.recipient_id := p_recipient_id;
    v_outcome.attempt_id := v_recipient.attempt_id;
    v_outcome.outcome := case when p_sent then 'sent' else 'failed' end;
    v_outcome.message_id := case when p_sent then nullif(p_message_id, '') end;
    v_outcome.error_code := case when not p_sent then 'not_sent' end;
    v_outcome.error_message := case when not p_sent then 'A person looked and found that it was not sent.' end;
    v_outcome.failure_class := case when not p_sent then 'unknown' end;
    if v_outcome.message_id is not null then
        perform private.lock_message_ids(array[v_outcome.message_id]);
        if exists (
            select 1
            from private.message_ids i
            where i.message_id = v_outcome.message_id and i.recipient_id <> p_recipient_id
        ) then
            raise exception using
                errcode = 'PT409',
                message = format('message id %s is another recipient''s', v_outcome.message_id),
                hint = 'Copy the id from the chat with this recipient, or leave p_message_id out.';
        end if;
    end if;
    perform private.apply_send_outcomes(array[v_outcome]);
    select r.* into v_recipient from public.notification_campaign_recipients r where r.id = p_recipient_id;
    return v_recipient;
end
$$;
revoke all on function public.confirm_recipient(uuid, boolean, text) from public, anon, authenticated;
grant execute on function public.confirm_recipient(uuid, boolean, text) to authenticated, service_role;
comment on function public.confirm_recipient(uuid, boolean, text) is
    'A person''s word on a message, most of all an unconfirmed one: sent (with its message id, where known) or not. It is evidence like any other and moves forward only: '
    'a later callback or receipt outranks a no, and a no to what is proved sent changes nothing. Answers the recipient as it stands then; its campaign, which may be completed by it, is to be read afterwards: '
    'embedded in the answer it would be what it was before. '
    'Errors: PT404 (404) unknown, 42501 (403) not an operator, 22023 (400) neither true nor false, PT409 (409) never tried, or the message id is another recipient''s.';

-- ---------------------------------------------------------------------------------------------------------------------
-- recipients in bulk
-- ---------------------------------------------------------------------------------------------------------------------

create type private.new_recipient as (
    -- the element's place in the list, from 0
    index integer,
    recipient text,
    variables jsonb,
    member_count integer,
    -- null: it may be added
    refusal text
);

create function private.recipient_refusal(p_element jsonb)
returns text
language sql
-- no more than its parts are, so that the planner inlines it
stable
return case
    when jsonb_typeof(p_element) not in ('string', 'object')
        then format('must be a recipient or {recipient, variables, member_count}, not %s', jsonb_typeof(p_element))
    when jsonb_typeof(p_element) = 'object' and p_element - '{recipient,variables,member_count}'::text[] <> '{}'
        then format(
            'has the unknown field %s: what the message is filled with goes into variables',
            jsonb_path_query_first(p_element - '{recipient,variables,member_count}'::text[], '$.keyvalue().key')
        )
    when jsonb_typeof(p_element) = 'object' and coalesce(jsonb_typeof(p_element -> 'recipient'), 'null') not in ('string', 'number', 'null')
        then format('recipient must be a text, not %s', jsonb_typeof(p_element -> 'recipient'))
    when coalesce(case jsonb_typeof(p_element) when 'string' then p_element #>> '{}' else p_element ->> 'recipient' end, '') !~ '\S'
        then 'recipient is blank'
    when length(case jsonb_typeof(p_element) when 'string' then p_element #>> '{}' else p_element ->> 'recipient' end) > 500
        then 'recipient is longer than 500 characters'
    when jsonb_typeof(p_element) = 'string' then null
    when coalesce(jsonb_typeof(p_element -> 'variables'), 'null') not in ('object', 'null')
        then format('variables must be an object, not %s', jsonb_typeof(p_element -> 'variables'))
    when coalesce(p_element ->> 'member_count', '0') !~ '^\d{1,9}$'
        then format('member_count must be a whole number, 0 or more, not %s', left(p_element ->> 'member_count', 100))
end;
revoke all on function private.recipient_refusal(jsonb) from public, anon, authenticated;
grant execute on function private.recipient_refusal(jsonb) to service_role;
comment on function private.recipient_refusal(jsonb) is 'Why an element of add_recipients cannot be added; null where it can.';

create function public.add_recipients(p_campaign_id uuid, p_recipients jsonb)
returns jsonb
language plpgsql
-- definer because campaign_for_steering checks membership and role once, and not a policy at every row
security definer
set search_path = ''
set statement_timeout = '60s'
set enable_seqscan = off
as $$
declare
    c_from constant public.campaign_status[] := '{draft,scheduled,processing,paused,completed,failed}';
    v_campaign public.notification_campaigns := private.campaign_for_steering(p_campaign_id);
    v_elements private.new_recipient[];
    v_wanted private.new_recipient[];
    v_pending integer;
    v_skipped integer;
    v_added_count integer := 0;
    v_skipped_count integer := 0;
    v_refused_count integer;
begin
    if jsonb_typeof(p_recipients) is distinct from 'array' then
        raise invalid_parameter_value using
            message = format('p_recipients must be an array of recipients, not %s', coalesce(jsonb_typeof(p_recipients), 'null'));
    end if;
    if jsonb_array_length(p_recipients) > 10000 then
        raise invalid_parameter_value using
            message = format('p_recipients has %s elements: add at most 10000 at a time', jsonb_array_length(p_recipients));
    end if;
    if v_campaign.status <> all (c_from) then
        perform private.refuse_step(v_campaign.status, 'given recipients', c_from);
    end if;

    v_elements := array(
        select (
            e.place - 1,
            -- the columns of a list come with blanks around them
            btrim(case jsonb_typeof(e.element) when 'string' then e.element #>> '{}' when 'object' then e.element ->> 'recipient' end, E' \t\r\n'),
            coalesce(nullif(e.element -> 'variables', 'null'), '{}'),
            case when e.refusal is null then (e.element ->> 'member_count')::integer end,
            e.refusal
        )::private.new_recipient
        from (
            select r.element, r.place, private.recipient_refusal(r.element) as refusal
            from jsonb_array_elements(p_recipients) with ordinality as r (element, place)
            -- asked once for each, though read twice above
            offset 0
        ) as e
        order by e.place
    );
    v_refused_count := (select count(*) from unnest(v_elements) e where e.refusal is not null);
    v_wanted := array(
        select d
        from (
            select distinct on (e.recipient collate "C") e.*
            from unnest(v_elements) e
            where e.refusal is null
            order by e.recipient collate "C", e.index
        ) as d
    );

    loop
        v_wanted := array(
            select w
            from unnest(v_wanted) w
            where not exists (
                select 1
                from public.notification_campaign_recipients r
                where r.campaign_id = p_campaign_id and r.recipient = w.recipient
            )
        );
        exit when v_wanted = '{}';
        with inserted as (
            insert into public.notification_campaign_recipients (campaign_id, recipient, variables, member_count)
            select p_campaign_id, w.recipient, w.variables, w.member_count
            from unnest(v_wanted) w
            -- by person, then by spelling: two imports that hold the same people in each spelling wait for one another in one direction
            order by private.address_of(w.recipient) collate "C", w.recipient collate "C"
            on conflict do nothing
            returning status
        )
        select count(*) filter (where i.status <> 'skipped'), count(*) filter (where i.status = 'skipped')
        into v_pending, v_skipped
        from inserted i;
        v_added_count := v_added_count + v_pending;
        v_skipped_count := v_skipped_count + v_skipped;
        -- Whoever adds another spelling of a person at the same moment keeps this one out. In the next round that one is seen,
        -- and this one stored as skipped.
        exit when v_pending + v_skipped = cardinality(v_wanted);
    end loop;

    -- recipients before campaigns: whoever cancels it waits here, and then sees what was added, or was first
    perform 1
    from public.notification_campaigns c
    where c.id = p_campaign_id and c.status = any (c_from)
    for share;
    if not found then
        perform private.refuse_step('cancelled', 'given recipients', c_from);
    end if;

    return jsonb_build_object(
        'added', v_added_count,
        'duplicates', cardinality(v_elements) - v_refused_count - v_added_count - v_skipped_count,
        'skipped', v_skipped_count,
        'refused', v_refused_count,
        'problems', (
            select coalesce(
                jsonb_agg(
                    jsonb_build_object('index', p.index, 'recipient', left(p.recipient, 100), 'reason', p.refusal) order by p.index
                ),
                '[]'
            )
            from (
                select e.index, e.recipient, e.refusal
                from unnest(v_elements) e
                where e.refusal is not null
                order by e.index
                limit 100
            ) as p
        )
    );
end
$$;
revoke all on function public.add_recipients(uuid, jsonb) from public, anon, authenticated;
grant execute on function public.add_recipients(uuid, jsonb) to authenticated, service_role;
comment on function public.add_recipients(uuid, jsonb) is
    'Adds up to 10,000 recipients to a campaign that is not cancelled: an array of "+49 151 …" or {recipient, variables, member_count}. What is there already stays as it is, '
    'so a list may be sent again. Answers {added, duplicates, skipped, refused, problems}: duplicates were there, or are in the list twice; skipped are other spellings of a contact '
    'that is there, stored as such (duplicate_recipient); refused could not be read, the first 100 of them are in problems: [{index, recipient, reason}]. '
    'Errors: PT404 (404) unknown, 42501 (403) not an operator, PT409 (409) cancelled, 22023 (400) not an array, or too long.';

-- ---------------------------------------------------------------------------------------------------------------------
-- grants
-- ---------------------------------------------------------------------------------------------------------------------

alter table private.unfinished_steps enable row level security;
revoke all on private.unfinished_steps from public, anon, authenticated;
grant all on private.unfinished_steps to service_role;
