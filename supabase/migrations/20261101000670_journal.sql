-- What becomes of the journal: events are tried again, those that waited too long join it, and in the end it forgets.

create function private.replay_webhook_event(p_source text, p_payload jsonb)
returns boolean
language plpgsql
set search_path = ''
set enable_seqscan = off
as $$
declare
    v_events jsonb := case
        when jsonb_typeof(p_payload) = 'array' then p_payload
        -- what was refused together
        when p_payload ->> 'event' = 'refused' and jsonb_typeof(p_payload -> 'events') = 'array' then p_payload -> 'events'
        else jsonb_build_array(p_payload)
    end;
    v_answer jsonb;
begin
    case p_source
        when 'send_callback' then
            v_answer := public.record_send_callback(v_events);
            return (v_answer ->> 'unmatched')::integer + (v_answer ->> 'journaled')::integer = 0;
        when 'signal' then
            v_answer := public.record_sender_signals(v_events);
            return (v_answer ->> 'unmatched')::integer + (v_answer ->> 'journaled')::integer = 0;
        when 'inbound' then
            v_answer := public.record_inbound_messages(v_events);
            return (v_answer ->> 'journaled')::integer = 0
                -- a preference of somebody whose sender still is nobody's has been journaled again
                and not exists (
                    select 1
                    from jsonb_array_elements(v_events) as e (event)
                    where private.is_preference(e.event) and private.organization_of_sender(e.event ->> 'sessionId', null) is null
                );
        else
            -- a receipt of a message that still is unknown would be parked once more
            if exists (
                select 1
                from jsonb_array_elements(v_events) as e (event)
                where (select i.recipient_id from private.message_ids i where i.message_id = e.event ->> 'messageId') is null
                    and not exists (
                        select 1
                        from public.send_attempts a
                        where a.id = case
                            when pg_input_is_valid(e.event ->> 'clientMessageId', 'uuid') then (e.event ->> 'clientMessageId')::uuid
                        end
                    )
            ) then
                return false;
            end if;
            v_answer := public.record_receipts(v_events, p_source);
            return (v_answer ->> 'journaled')::integer = 0;
    end case;
end
$$;
revoke all on function private.replay_webhook_event(text, jsonb) from public, anon, authenticated;
grant execute on function private.replay_webhook_event(text, jsonb) to service_role;
comment on function private.replay_webhook_event(text, jsonb) is 'Applies a journaled event, or an array of them, once more. True if there was a use for it now.';

create function public.replay_webhook_events(p_limit integer default 1000, p_after bigint default 0)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_event record;
    v_tried integer := 0;
    v_matched integer := 0;
    v_refused integer := 0;
    v_last_id bigint := p_after;
begin
    for v_event in
        select e.id, e.source, e.payload
        from private.webhook_events e
        where e.replayed_at is null and e.reason in ('unmatched', 'error') and e.id > p_after
        order by e.id
        limit p_limit
        -- two replays share the work: an event without a name would count twice
        for update skip locked
    loop
        v_tried := v_tried + 1;
        v_last_id := v_event.id;
        begin
            if not private.replay_webhook_event(v_event.source, v_event.payload) then
                -- undone: it would have been journaled as seen once more
                raise no_data_found;
            end if;
            update private.webhook_events e set replayed_at = now() where e.id = v_event.id;
            v_matched := v_matched + 1;
        exception
            when no_data_found then
                null;
            when others then
                -- a lost race, or a database that has no room or is going down, is not the event's fault
                if sqlstate ~ '^(08|40|53|57|58|XX)' then
                    raise;
                end if;
                -- it is refused as it was before, and stays; the others have their turn
                v_refused := v_refused + 1;
                raise warning 'event % of the journal is refused again: % (%)', v_event.id, sqlerrm, sqlstate;
        end;
    end loop;
    return jsonb_build_object('tried', v_tried, 'matched', v_matched, 'refused', v_refused, 'last_id', v_last_id);
end
$$;
revoke all on function public.replay_webhook_events(integer, bigint) from public, anon, authenticated;
grant execute on function public.replay_webhook_events(integer, bigint) to service_role;
comment on function public.replay_webhook_events(integer, bigint) is
    'Tries up to p_limit journaled events again that were unmatched or refused, those after p_after; answers {tried, matched, refused, last_id}. Safe to repeat. Caller: deno task events:replay.';

create function private.receipt_events(p_receipt public.message_receipts)
returns jsonb
language sql
immutable
set search_path = ''
as $$
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'event', k.event,
        'messageId', p_receipt.message_id,
        'reader', nullif(p_receipt.reader, ''),
        'timestamp', k.occurred_at,
        'sessionId', p_receipt.session_id,
        'errorCode', case when k.event = 'message_failed' then p_receipt.error_code end,
        'errorMessage', case when k.event = 'message_failed' then p_receipt.error_message end,
        'cost', p_receipt.cost,
        'currency', p_receipt.currency,
        'pricingCategory', p_receipt.pricing_category
    )))
    from (
        select v.event, v.occurred_at
        from (
            values
                ('message_sent', p_receipt.sent_at),
                ('message_delivered', p_receipt.delivered_at),
                ('message_read', p_receipt.read_at),
                ('message_played', p_receipt.played_at),
                ('message_failed', p_receipt.failed_at)
        ) as v (event, occurred_at)
        where v.occurred_at is not null
        union all
        -- a report without a name is one of many: as many as can be worth counting
        select v.event, null::timestamptz
        from (
            values
                ('message_delivered', p_receipt.anonymous_delivered_count),
                ('message_read', p_receipt.anonymous_read_count)
        ) as v (event, times)
        cross join lateral generate_series(1, least(v.times, 5000))
    ) as k
$$;
revoke all on function private.receipt_events(public.message_receipts) from public, anon, authenticated;
grant execute on function private.receipt_events(public.message_receipts) to service_role;
comment on function private.receipt_events(public.message_receipts) is 'The events that a receipt came from, as record_receipts takes them.';

create function public.sweep_webhook_events(
    p_parked_for interval default '7 days',
    p_kept_for interval default '90 days',
    p_limit integer default 1000
)
returns jsonb
language plpgsql
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_expired text[];
    v_deleted integer;
begin
    v_expired := array(
        select i.message_id
        from private.message_ids i
        where i.recipient_id is null and i.parked_at < now() - p_parked_for
        order by i.parked_at
        limit p_limit
        -- whoever gives one of them its recipient now, is first
        for update skip locked
    );
    if v_expired <> '{}' then
        with forgotten as (
            delete from public.message_receipts m
            where m.message_id = any (v_expired) and m.recipient_id is null
            returning private.receipt_events(m) as events
        )
        select count(private.journal_webhook_events('receipt', 'unmatched', array[f.events]))
        into v_deleted
        from forgotten f
        where f.events is not null;
        delete from private.message_ids i where i.message_id = any (v_expired);
    end if;

    delete from private.webhook_events e
    where e.id = any (array(
        select o.id
        from private.webhook_events o
        where o.last_seen_at < now() - p_kept_for
        order by o.last_seen_at
        limit p_limit
        for update skip locked
    ));
    get diagnostics v_deleted = row_count;
    return jsonb_build_object('expired', cardinality(v_expired), 'deleted', v_deleted);
end
$$;
revoke all on function public.sweep_webhook_events(interval, interval, integer) from public, anon, authenticated;
grant execute on function public.sweep_webhook_events(interval, interval, integer) to service_role;
comment on function public.sweep_webhook_events(interval, interval, integer) is
    'Moves receipts that waited p_parked_for for their message into the journal, and deletes journaled events not seen for p_kept_for; up to p_limit of each. '
    'Answers {expired, deleted}. Caller: process-notification-campaigns.';
