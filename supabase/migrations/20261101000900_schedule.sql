-- The timer of a hosted project: pg_cron posts to process-notification-campaigns through pg_net, with the key from Vault.
-- Locally a timer of the stack does the same.

create function public.schedule_processor(p_functions_url text, p_cron_secret_key text, p_every interval default '10 seconds')
returns jsonb
language plpgsql
-- definer because extensions and cron jobs are the owner's to make; only service_role may call it
security definer
set search_path = ''
as $$
declare
    v_extension record;
    v_secret record;
    v_missing text[] := '{}';
begin
    if p_functions_url is null or p_functions_url !~ '^https?://[^/\s]+(/[^\s]*)?$' then
        raise invalid_parameter_value using
            message = format('p_functions_url must be the address of the functions, not %s', coalesce(quote_literal(p_functions_url), 'null')),
            hint = 'For instance https://<project>.supabase.co/functions/v1';
    end if;
    if coalesce(p_cron_secret_key, '') = '' then
        raise invalid_parameter_value using
            message = 'p_cron_secret_key must be the CRON_SECRET_KEY of the functions',
            hint = 'The processor refuses every call without it.';
    end if;
    if p_every is null or p_every not between interval '1 second' and interval '59 seconds' then
        raise invalid_parameter_value using
            message = format('p_every must be between 1 and 59 seconds, not %s', coalesce(p_every::text, 'null'));
    end if;

    for v_extension in
        select e.name, e.schema, e.probe
        from (
            values
                ('pg_cron', 'pg_catalog', 'cron.schedule(text, text, text)'),
                ('pg_net', 'extensions', 'net.http_post(text, jsonb, jsonb, jsonb, integer)'),
                ('supabase_vault', 'vault', 'vault.create_secret(text, text, text, uuid)')
        ) as e (name, schema, probe)
    loop
        if to_regprocedure(v_extension.probe) is null
            and exists (select 1 from pg_catalog.pg_available_extensions a where a.name = v_extension.name)
        then
            execute format('create extension if not exists %I with schema %I cascade', v_extension.name, v_extension.schema);
        end if;
        if to_regprocedure(v_extension.probe) is null then
            v_missing := v_missing || v_extension.name;
        end if;
    end loop;
    if v_missing <> '{}' then
        raise notice 'nothing is scheduled: % not available here; post to process-notification-campaigns every few seconds yourself',
            array_to_string(v_missing, ', ');
        return jsonb_build_object('scheduled', false, 'missing', to_jsonb(v_missing));
    end if;

    -- in Vault, because cron.job keeps its commands in plain text
    for v_secret in
        select s.name, s.value
        from (
            values ('truetick_functions_url', rtrim(p_functions_url, '/')), ('truetick_cron_secret_key', p_cron_secret_key)
        ) as s (name, value)
    loop
        execute 'delete from vault.secrets where name = $1' using v_secret.name;
        execute 'select vault.create_secret($1, $2)' using v_secret.value, v_secret.name;
    end loop;

    -- the same name is the same job: calling this again changes it
    execute 'select cron.schedule($1, $2, $3)' using 'truetick-processor', extract(epoch from p_every)::integer || ' seconds', $command$
        select net.http_post(
            url := (select s.decrypted_secret from vault.decrypted_secrets s where s.name = 'truetick_functions_url')
                || '/process-notification-campaigns',
            headers := jsonb_build_object(
                'Content-Type', 'application/json',
                'X-API-Key', (select s.decrypted_secret from vault.decrypted_secrets s where s.name = 'truetick_cron_secret_key')
            ),
            body := '{}'::jsonb
        )
    $command$;
    execute 'select cron.schedule($1, $2, $3)' using 'truetick-audit', '17 3 * * *', 'select count(*) from public.audit_campaign_counters()';
    execute 'select cron.schedule($1, $2, $3)' using 'truetick-cron-history', '41 3 * * *',
        'delete from cron.job_run_details where end_time < now() - interval ''1 day''';
    return jsonb_build_object('scheduled', true, 'missing', '[]'::jsonb);
end
$$;
revoke all on function public.schedule_processor(text, text, interval) from public, anon, authenticated;
grant execute on function public.schedule_processor(text, text, interval) to service_role;
comment on function public.schedule_processor(text, text, interval) is
    'Schedules the processor (every 1 to 59 seconds), a nightly audit and the clearing of cron''s history, with pg_cron, pg_net and Vault. '
    'Answers {scheduled, missing}; where an extension is missing nothing is scheduled. Calling it again replaces address, key and times. Caller: an operator.';
