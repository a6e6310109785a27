-- The names that existing CRMs use for the same rows.

create view public.notification_campaign_groups
with (security_invoker = true)
as
    select
        r.id,
        r.campaign_id,
        r.recipient as group_jid,
        r.status,
        r.message_id,
        r.sent_at,
        r.error_message,
        r.member_count,
        r.delivered_count,
        r.read_count
    from public.notification_campaign_recipients r
    where exists (
        select 1
        from public.notification_campaigns c
        where c.id = r.campaign_id and c.channel = 'whatsapp_group'
    )
with local check option;
comment on view public.notification_campaign_groups is 'The recipients of group campaigns, under the names of existing CRMs. Insertable.';
revoke all on public.notification_campaign_groups from public, anon, authenticated;
grant select, insert, delete on public.notification_campaign_groups to authenticated;
grant all on public.notification_campaign_groups to service_role;

create view public.send_queue
with (security_invoker = true)
as
    select
        r.id,
        r.campaign_id,
        r.recipient as phone,
        r.status::text as status,
        r.message_id as whatsapp_message_id,
        r.sent_at as actual_sent_at,
        r.error_message,
        r.updated_at
    from public.notification_campaign_recipients r
    where exists (
        select 1
        from public.notification_campaigns c
        where c.id = r.campaign_id and c.channel <> 'whatsapp_group'
    );
comment on view public.send_queue is 'The recipients of contact campaigns, under the names of existing CRMs. Insertable; status ready is accepted for pending.';
revoke all on public.send_queue from public, anon, authenticated;
grant select, insert on public.send_queue to authenticated;
grant all on public.send_queue to service_role;

create function private.insert_into_send_queue()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if not exists (
        select 1
        from public.notification_campaigns c
        where c.id = new.campaign_id and c.channel <> 'whatsapp_group'
    ) then
        raise check_violation using
            message = format('campaign_id %s is not a campaign to contacts that you may see', coalesce(new.campaign_id::text, 'null')),
            hint = 'Groups go into notification_campaign_groups.';
    end if;
    new.id := coalesce(new.id, private.time_ordered_uuid());
    new.status := case coalesce(new.status, 'ready') when 'ready' then 'pending' else new.status end;
    if new.whatsapp_message_id is null and new.actual_sent_at is null and new.error_message is null then
        -- all that a user's token may write
        insert into public.notification_campaign_recipients (id, campaign_id, recipient, status)
        values (new.id, new.campaign_id, new.phone, new.status::public.recipient_status);
    else
        insert into public.notification_campaign_recipients (id, campaign_id, recipient, status, message_id, sent_at, error_message)
        values (
            new.id, new.campaign_id, new.phone, new.status::public.recipient_status, new.whatsapp_message_id,
            new.actual_sent_at, new.error_message
        );
    end if;
    return new;
end
$$;
revoke all on function private.insert_into_send_queue() from public, anon, authenticated;
comment on function private.insert_into_send_queue() is 'Instead of an insert into send_queue: a recipient, with the rights of whoever inserts.';
create trigger insert_into_send_queue instead of insert on public.send_queue
    for each row execute function private.insert_into_send_queue();

create view public.duplicate_sends
with (security_invoker = true)
as
    select
        r.campaign_id,
        r.id as recipient_id,
        r.recipient,
        d.message_ids,
        cardinality(d.message_ids) as send_count
    from public.notification_campaign_recipients r
    cross join lateral (
        select array_agg(a.message_id order by a.attempt_number) as message_ids
        from public.send_attempts a
        where a.recipient_id = r.id and a.message_id is not null and a.outcome = 'sent' and a.failure_class is null
    ) as d
    where r.attempt_count > 1 and cardinality(d.message_ids) > 1;
comment on view public.duplicate_sends is 'Recipients to whom more than one message went out, with the id of each: counted once as sent, but seen.';
revoke all on public.duplicate_sends from public, anon, authenticated;
grant select on public.duplicate_sends to authenticated, service_role;
