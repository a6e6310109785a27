-- The timer of a hosted project: pg_cron posts to process-notification-campaigns through pg_net, with address and key from
-- Vault. Locally a timer of the stack does the same. None of the three is needed to install Truetick: everything of theirs
-- is named in texts that are executed only once it is there.

create function private.cron_jobs()
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_jobs jsonb;
begin
    if to_regclass('cron.job') is null then
        return '{}';
    end if;
    execute $query$
        select coalesce(jsonb_object_agg(j.jobname, j.schedule), '{}') from cron.job j where starts_with(j.jobname, 'truetick-')
    $query$ into v_jobs;
    return v_jobs;
end
$$;
revoke all on function private.cron_jobs() from public, anon, authenticated;
comment on function private.cron_jobs() is 'The jobs of ours that pg_cron has, name: schedule. Empty where there is no pg_cron.';

create function private.cron_schedule(p_name text, p_schedule text, p_command text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    -- the same name is the same job: scheduling it again changes it
    execute 'select cron.schedule($1, $2, $3)' using p_name, p_schedule, p_command;
exception
    when others then
        -- asked, not compared: the extension's version may lag behind its library's
        if p_schedule !~ ' seconds$' or sqlerrm !~ '^invalid schedule' then
            raise;
        end if;
        raise notice '% runs every minute: this pg_cron knows no seconds (1.5 does)', p_name;
        execute 'select cron.schedule($1, $2, $3)' using p_name, '* * * * *', p_command;
end
$$;
revoke all on function private.cron_schedule(text, text, text) from public, anon, authenticated;
comment on function private.cron_schedule(text, text, text) is
    'cron.schedule; where pg_cron refuses a schedule of seconds, every minute instead, and a notice.';

create function private.cron_unschedule(p_names text[])
returns text[]
language plpgsql
set search_path = ''
as $$
declare
    v_removed text[];
begin
    if to_regclass('cron.job') is null then
        return '{}';
    end if;
    execute $query$
        select coalesce(array_agg(j.jobname::text order by j.jobname) filter (where cron.unschedule(j.jobid)), '{}')
        from cron.job j
        where j.jobname = any ($1)
    $query$ into v_removed using p_names;
    return v_removed;
end
$$;
revoke all on function private.cron_unschedule(text[]) from public, anon, authenticated;
comment on function private.cron_unschedule(text[]) is 'Removes jobs by name; answers those that were there.';

create function private.vault_secret(p_name text)
returns text
language plpgsql
set search_path = ''
as $$
declare
    v_secret text;
begin
    if to_regclass('vault.decrypted_secrets') is not null then
        execute 'select s.decrypted_secret from vault.decrypted_secrets s where s.name = $1' into v_secret using p_name;
    end if;
    return v_secret;
end
$$;
revoke all on function private.vault_secret(text) from public, anon, authenticated;
comment on function private.vault_secret(text) is 'A secret of Vault; null where it has none of that name, or is not there.';

create function private.keep_in_vault(p_name text, p_secret text)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_id uuid;
begin
    execute 'select s.id from vault.secrets s where s.name = $1' into v_id using p_name;
    -- through its functions: the platform lets nobody write the table
    if v_id is null then
        execute 'select vault.create_secret($1, $2)' using p_secret, p_name;
    else
        execute 'select vault.update_secret($1, $2)' using v_id, p_secret;
    end if;
end
$$;
revoke all on function private.keep_in_vault(text, text) from public, anon, authenticated;
comment on function private.keep_in_vault(text, text) is 'Puts a secret into Vault, or another in its place.';

create function public.schedule_processing(
    p_functions_url text,
    p_cron_secret_key text default null,
    p_every interval default '10 seconds'
)
returns jsonb
language plpgsql
-- definer because extensions, cron jobs and secrets are the owner's to make; only service_role may call it
security definer
set search_path = ''
as $$
declare
    v_extension record;
    v_missing text[] := '{}';
    v_reasons text[] := '{}';
    v_key text;
begin
    if p_functions_url is null or p_functions_url !~ '^https?://[^/\s]+(/[^\s]*)?$' then
        raise invalid_parameter_value using
            message = format('p_functions_url must be the address of the functions, not %s', coalesce(quote_literal(p_functions_url), 'null')),
            hint = 'For instance https://<project>.supabase.co/functions/v1';
    end if;
    if p_every is null or p_every not between interval '1 second' and interval '1 minute' then
        raise invalid_parameter_value using
            message = format('p_every must be between 1 second and 1 minute, not %s', coalesce(p_every::text, 'null'));
    end if;

    -- two at once would both make what is not there yet
    perform pg_advisory_xact_lock(hashtextextended('public.schedule_processing', 0));
    for v_extension in
        select e.name, e.schema, e.probe
        from (
            values
                ('pg_cron', 'pg_catalog', 'cron.schedule(text, text, text)'),
                ('pg_net', 'extensions', 'net.http_post(text, jsonb, jsonb, jsonb, integer)'),
                ('supabase_vault', 'vault', 'vault.update_secret(uuid, text, text, text, uuid)')
        ) as e (name, schema, probe)
    loop
        if to_regprocedure(v_extension.probe) is null
            and exists (select 1 from pg_catalog.pg_available_extensions a where a.name = v_extension.name)
        then
            begin
                execute format('create extension if not exists %I with schema %I cascade', v_extension.name, v_extension.schema);
            exception
                -- not preloaded, or to be made in another database, or by somebody else: Postgres says which
                when others then
                    v_reasons := v_reasons || format(' (%s: %s)', v_extension.name, sqlerrm);
            end;
        end if;
        if to_regprocedure(v_extension.probe) is null then
            v_missing := v_missing || v_extension.name;
        end if;
    end loop;

    if not 'supabase_vault' = any (v_missing) then
        v_key := coalesce(p_cron_secret_key, private.vault_secret('truetick_cron_secret_key'));
        if v_key is null then
            raise invalid_parameter_value using
                message = 'p_cron_secret_key is missing, and Vault has no secret named truetick_cron_secret_key',
                hint = 'Give the CRON_SECRET_KEY of the functions, or put it into Vault under that name first.';
        end if;
    else
        v_key := p_cron_secret_key;
    end if;
    -- of several that the functions accept while one replaces the other, a call carries one
    if v_key ~ '[,\s]' or v_key = '' then
        raise invalid_parameter_value using
            message = 'p_cron_secret_key must be one key, without commas and blanks',
            hint = 'Where CRON_SECRET_KEY lists several, give the newest.';
    end if;

    if not 'pg_cron' = any (v_missing) then
        perform private.cron_schedule('truetick-audit-changed', '*/5 * * * *', 'select public.audit_changed_campaigns(1000)');
        perform private.cron_schedule('truetick-audit', '17 3 * * *', 'select count(*) from public.audit_campaign_counters()');
        -- by their numbers, because runs that never began have no times
        perform private.cron_schedule('truetick-cron-history', '41 3 * * *', $command$
            delete from cron.job_run_details d
            where d.runid <= (select max(o.runid) from cron.job_run_details o where o.end_time < now() - interval '1 day')
        $command$);
        if v_missing = '{}' then
            -- in Vault, because cron.job and cron.job_run_details keep commands in plain text
            perform private.keep_in_vault('truetick_functions_url', rtrim(p_functions_url, '/'));
            perform private.keep_in_vault('truetick_cron_secret_key', v_key);
            -- It wakes the processor and does not wait for it: pg_net sends nothing else of anybody's, and keeps a transaction
            -- open, until its slowest request ends, and a run takes up to 50 s.
            perform private.cron_schedule(
                'truetick-processor',
                case when p_every = interval '1 minute' then '* * * * *' else floor(extract(epoch from p_every)) || ' seconds' end,
                $command$
                select net.http_post(
                    url := (select s.decrypted_secret from vault.decrypted_secrets s where s.name = 'truetick_functions_url')
                        || '/process-notification-campaigns',
                    headers := jsonb_build_object(
                        'Content-Type', 'application/json',
                        'X-API-Key', (select s.decrypted_secret from vault.decrypted_secrets s where s.name = 'truetick_cron_secret_key')
                    ),
                    body := '{}'::jsonb,
                    timeout_milliseconds := 5000
                )
                $command$
            );
        else
            -- one from before could only fail
            perform private.cron_unschedule('{truetick-processor}');
        end if;
    end if;

    if v_missing <> '{}' then
        raise notice '% not available here%: % Post to process-notification-campaigns every few seconds yourself.',
            array_to_string(v_missing, ', '),
            array_to_string(v_reasons, ''),
            case
                when 'pg_cron' = any (v_missing) then 'nothing is scheduled.'
                else 'audits are scheduled, the processor is not.'
            end;
    end if;
    return jsonb_build_object('scheduled', v_missing = '{}', 'missing', to_jsonb(v_missing), 'jobs', private.cron_jobs());
end
$$;
revoke all on function public.schedule_processing(text, text, interval) from public, anon, authenticated;
grant execute on function public.schedule_processing(text, text, interval) to service_role;
comment on function public.schedule_processing(text, text, interval) is
    'Schedules the processor (p_every: 1 second to 1 minute), audits and the clearing of cron''s history, with pg_cron, pg_net and Vault. '
    'p_functions_url: https://<project>.supabase.co/functions/v1; p_cron_secret_key: what the functions have as CRON_SECRET_KEY, null: it is in Vault as truetick_cron_secret_key. '
    'Answers {scheduled: whether the processor is, missing: extensions, jobs: {name: schedule}}; without pg_net or Vault audits alone are scheduled, without pg_cron nothing. '
    'Calling it again replaces address, key and times. Errors: 22023 with the argument. Caller: an operator.';

create function public.unschedule_processing()
returns jsonb
language plpgsql
-- definer because cron jobs and secrets are the owner's; only service_role may call it
security definer
set search_path = ''
as $$
declare
    v_jobs text[];
    v_secrets text[] := '{}';
begin
    v_jobs := private.cron_unschedule('{truetick-processor,truetick-audit-changed,truetick-audit,truetick-cron-history}');
    if to_regclass('vault.secrets') is not null then
        execute $query$
            with removed as (
                delete from vault.secrets s
                where s.name in ('truetick_functions_url', 'truetick_cron_secret_key')
                returning s.name
            )
            select coalesce(array_agg(r.name::text order by r.name), '{}') from removed r
        $query$ into v_secrets;
    end if;
    return jsonb_build_object('jobs', to_jsonb(v_jobs), 'secrets', to_jsonb(v_secrets));
end
$$;
revoke all on function public.unschedule_processing() from public, anon, authenticated;
grant execute on function public.unschedule_processing() to service_role;
comment on function public.unschedule_processing() is
    'Removes what schedule_processing made, extensions excepted: jobs and the secrets in Vault. Answers the names, {jobs, secrets}; nothing there: two empty arrays. Caller: an operator.';

create function public.schedule_retention(p_older_than interval)
returns jsonb
language plpgsql
-- definer because cron jobs are the owner's; only service_role may call it
security definer
set search_path = ''
as $$
begin
    if p_older_than < interval '1 day' then
        raise invalid_parameter_value using
            message = format('p_older_than must be at least 1 day, not %s', p_older_than),
            hint = 'Null ends retention.';
    end if;
    if to_regprocedure('cron.schedule(text, text, text)') is null then
        raise notice 'pg_cron is not available here, or not installed: %', case
            when p_older_than is null then 'there was nothing to remove.'
            else 'call archive_campaigns regularly yourself.'
        end;
    elsif p_older_than is null then
        perform private.cron_unschedule('{truetick-archive}');
    else
        -- it reads two index entries when there is nothing to do
        perform private.cron_schedule('truetick-archive', '* * * * *', format('select public.archive_campaigns(%L::interval)', p_older_than));
    end if;
    return jsonb_build_object('scheduled', private.cron_jobs() ? 'truetick-archive', 'jobs', private.cron_jobs());
end
$$;
revoke all on function public.schedule_retention(interval) from public, anon, authenticated;
grant execute on function public.schedule_retention(interval) to service_role;
comment on function public.schedule_retention(interval) is
    'Lets archive_campaigns run every minute for campaigns that have been over for p_older_than (1 day or more); null: no longer. Not scheduled unless asked for. '
    'Answers {scheduled, jobs: {name: schedule}}. Errors: 22023 with the argument. Caller: an operator.';
