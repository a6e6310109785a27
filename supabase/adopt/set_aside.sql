-- Moves what bears the names of Truetick's tables, views, types and functions out of the schema public, so that
-- `supabase db push` finds them free. Run it when the CRM no longer writes to these tables:
--
--   select * from adopt.colliding_names();     -- reads only
--   select adopt.set_aside();                  -- into the schema legacy, all of it or nothing
--
-- Into another schema, not under another name: indexes, sequences and constraints keep their names when a table is
-- renamed, and would be in the way. Foreign keys, policies, triggers and rows go along. To bring one back:
-- alter table legacy.send_queue set schema public.

create schema if not exists adopt;
revoke all on schema adopt from public, anon, authenticated;

create or replace function adopt.colliding_names()
returns table (kind text, name text)
language sql
stable
set search_path = ''
as $$
    select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end, c.oid::regclass::text
    from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace
        and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and c.relname in (
            'campaign_counters', 'chat_messages', 'consent_keywords', 'conversations', 'counter_discrepancies',
            'duplicate_sends', 'gateway_sessions', 'message_rates', 'message_receipts', 'notification_campaign_groups',
            'notification_campaign_recipients', 'notification_campaign_stats', 'notification_campaigns', 'opt_outs',
            'organization_members', 'organizations', 'send_attempts', 'send_queue'
        )
    union all
    select 'type', t.oid::regtype::text
    from pg_catalog.pg_type t
    where t.typnamespace = 'public'::regnamespace
        and t.typtype in ('e', 'd')
        and t.typname in (
            'attempt_outcome', 'campaign_channel', 'campaign_status', 'consent_action', 'failure_class',
            'message_direction', 'organization_role', 'recipient_status', 'session_status', 'transient_error_policy',
            'unconfirmed_policy'
        )
    union all
    select 'function', p.oid::regprocedure::text
    from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace
        and p.proname in (
            'add_recipients', 'archive_campaigns', 'audit_campaign_counters', 'audit_changed_campaigns',
            'campaign_costs', 'campaign_report', 'campaign_report_csv', 'cancel_campaign', 'check_alarms',
            'claim_recipients', 'claim_silent_messages', 'claim_stale_attempts', 'confirm_recipient',
            'continue_steering', 'failure_summary', 'finalize_campaigns', 'fold_campaign_counters', 'health_snapshot',
            'increment_delivered_count', 'journal_webhook_event', 'milliseconds_until_next_send', 'pause_campaign',
            'record_alarms_posted', 'record_gateway_events', 'record_inbound_messages', 'record_receipts',
            'record_receipts_with_verdicts', 'record_send_callback', 'record_send_results', 'record_sender_signals',
            'record_whatsapp_events', 'recover_stale_recipients', 'repair_campaign_counters', 'replay_webhook_events',
            'resume_campaign', 'retry_failed_recipients', 'schedule_campaign', 'schedule_processing',
            'schedule_retention', 'start_campaign', 'start_due_campaigns', 'sweep_webhook_events',
            'unschedule_processing'
        )
    order by 1, 2
$$;
revoke all on function adopt.colliding_names() from public, anon, authenticated;
comment on function adopt.colliding_names() is 'What stands in the schema public under a name that Truetick needs.';

create or replace function adopt.set_aside()
returns setof text
language plpgsql
set search_path = ''
-- whoever still reads or writes is waited for, and waits, no longer than this
set lock_timeout = '5s'
as $$
declare
    v_colliding record;
begin
    -- what the first of its migrations makes
    if to_regprocedure('private.readable_organization_ids()') is not null then
        raise object_not_in_prerequisite_state using
            message = 'Truetick is here already, or part of it: some of these names are its own',
            hint = 'Where a push stopped at a name: alter table public.<name> set schema legacy, and push again.';
    end if;
    create schema if not exists legacy;
    revoke all on schema legacy from public, anon, authenticated;
    for v_colliding in select c.kind, c.name from adopt.colliding_names() c
    loop
        execute format('alter %s %s set schema legacy', v_colliding.kind, v_colliding.name);
        return next format('%s %s', v_colliding.kind, v_colliding.name);
    end loop;
end
$$;
revoke all on function adopt.set_aside() from public, anon, authenticated;
comment on function adopt.set_aside() is
    'Moves every colliding name into the schema legacy, which the API does not expose; answers what it moved. Once any of Truetick is there it refuses.';
