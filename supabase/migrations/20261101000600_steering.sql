-- What a CRM's users do with a campaign. Each function runs as its owner, because a user's token may not set a status, and
-- therefore first asks whether the caller may: a stranger is told that there is no such campaign, a viewer that it is not
-- for them.

create function private.campaign_for_steering(p_campaign_id uuid)
returns public.notification_campaigns
language plpgsql
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns;
    -- `role` is what the API set for this request, whatever the function runs as; none is a direct connection
    v_is_service boolean := current_setting('role') in ('service_role', 'none');
begin
    select c.*
    into v_campaign
    from public.notification_campaigns c
    where c.id = p_campaign_id
        and (v_is_service or c.organization_id in (select private.readable_organization_ids()));
    if not found then
        raise exception using
            errcode = 'PT404',
            message = format('there is no campaign %s', coalesce(p_campaign_id::text, 'null')),
            hint = 'Check the id, and that you are a member of its organization.';
    end if;
    if not v_is_service and v_campaign.organization_id not in (select private.organization_ids_with_role('operator')) then
        raise insufficient_privilege using
            message = 'steering a campaign needs the role operator or owner in its organization',
            hint = 'Ask an owner of the organization to change your role.';
    end if;
    return v_campaign;
end
$$;
revoke all on function private.campaign_for_steering(uuid) from public, anon, authenticated;
comment on function private.campaign_for_steering(uuid) is
    'The campaign, if the caller may steer it; PT404 for strangers, insufficient_privilege for viewers.';

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
            raise exception using
                errcode = 'PT409',
                message = format('a campaign that is %s cannot be %s', v_campaign.status, p_verb),
                hint = format('It must be %s.', array_to_string(p_from, ' or '));
        end if;
    end if;
    return v_campaign;
end
$$;
revoke all on function private.move_campaign(uuid, public.campaign_status[], public.campaign_status, text) from public, anon, authenticated;
comment on function private.move_campaign(uuid, public.campaign_status[], public.campaign_status, text) is
    'Moves a campaign that the caller may steer from one of p_from to p_to; PT409 from elsewhere. Already there: nothing happens.';

create function public.start_campaign(p_campaign_id uuid)
returns public.notification_campaigns
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.campaign_for_steering(p_campaign_id);
begin
    if v_campaign.status in ('draft', 'scheduled') and v_campaign.content = '{}' then
        raise exception using
            errcode = 'PT409',
            message = 'a campaign without content cannot be started',
            hint = 'Set content, for instance to {"type": "text", "text": "Hello"}.';
    end if;
    return private.move_campaign(p_campaign_id, '{draft,scheduled}', 'processing', 'started');
end
$$;
revoke all on function public.start_campaign(uuid) from public, anon, authenticated;
grant execute on function public.start_campaign(uuid) to authenticated, service_role;
comment on function public.start_campaign(uuid) is
    'Starts a draft or scheduled campaign now; answers it. Errors: PT404 (404) unknown, 42501 (403) not an operator, PT409 (409) wrong status or no content. A campaign without recipients waits for them.';

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
    -- recipients before campaigns, as everywhere; whoever requeues one holds the campaign, so none is missed below
    perform 1
    from public.notification_campaign_recipients r
    where r.campaign_id = p_campaign_id and r.status = 'pending'
    order by r.id
    for no key update;
    v_campaign := private.move_campaign(p_campaign_id, '{draft,scheduled,processing,paused}', 'cancelled', 'cancelled');
    update public.notification_campaign_recipients r
    set status = 'skipped', skip_reason = 'campaign_cancelled'
    where r.id = any (array(
        select p.id
        from public.notification_campaign_recipients p
        where p.campaign_id = p_campaign_id and p.status = 'pending'
        order by p.id
        -- what is locked by others now is being claimed or settled
        for no key update skip locked
    ));
    return v_campaign;
end
$$;
revoke all on function public.cancel_campaign(uuid) from public, anon, authenticated;
grant execute on function public.cancel_campaign(uuid) to authenticated, service_role;
comment on function public.cancel_campaign(uuid) is
    'Ends a campaign for good: pending recipients are skipped (campaign_cancelled), those being sent are still settled. Answers the campaign. Errors as start_campaign.';

create function public.retry_failed_recipients(p_campaign_id uuid)
returns integer
language plpgsql
-- definer because a user's token may not set a status; campaign_for_steering checks membership and role
security definer
set search_path = ''
as $$
declare
    v_campaign public.notification_campaigns := private.campaign_for_steering(p_campaign_id);
    v_retried integer;
begin
    -- recipients before campaigns, as everywhere
    perform 1
    from public.notification_campaign_recipients r
    where r.campaign_id = p_campaign_id and r.status = 'failed'
    order by r.id
    for no key update;
    select c.*
    into v_campaign
    from public.notification_campaigns c
    where c.id = p_campaign_id
    for no key update;
    if v_campaign.status not in ('processing', 'paused', 'completed') then
        raise exception using
            errcode = 'PT409',
            message = format('the failed recipients of a campaign that is %s cannot be retried', v_campaign.status),
            hint = 'It must be processing, paused or completed.';
    end if;
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
    where r.id = any (array(
        select f.id
        from public.notification_campaign_recipients f
        where f.campaign_id = p_campaign_id and f.status = 'failed'
        order by f.id
        for no key update skip locked
    ));
    get diagnostics v_retried = row_count;
    return v_retried;
end
$$;
revoke all on function public.retry_failed_recipients(uuid) from public, anon, authenticated;
grant execute on function public.retry_failed_recipients(uuid) to authenticated, service_role;
comment on function public.retry_failed_recipients(uuid) is
    'Sends the failed messages of a campaign once more; a completed campaign is processing again. Answers how many. Errors as start_campaign.';

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
    perform private.campaign_for_steering(v_recipient.campaign_id);
    if p_sent is null then
        raise invalid_parameter_value using message = 'p_sent must be true (it was sent) or false (it was not)';
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
    'A person''s word on an unconfirmed message: sent (with its message id, where known) or not. It is evidence like any other and moves forward only. '
    'Answers the recipient. Errors: PT404 unknown, 42501 not an operator, PT409 the message id is another recipient''s.';
