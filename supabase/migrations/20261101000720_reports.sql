-- What became of a campaign, recipient by recipient and summed up, for the people of its organization. Each function runs as
-- its owner, because receipts are found through private.message_ids and row-level security would ask for the caller's
-- organizations again at every receipt; so each first asks, once, whether the caller may read the campaign.

-- for failure_summary: why messages were never sent, without looking at the rows
create index notification_campaign_recipients_skipped on public.notification_campaign_recipients (campaign_id, skip_reason)
    where status = 'skipped';

create function private.assert_campaign_is_readable(p_campaign_id uuid)
returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    v_archived_at timestamptz := (private.readable_campaign(p_campaign_id)).archived_at;
begin
    if v_archived_at is not null then
        raise exception using
            errcode = 'PT410',
            message = format('campaign %s was archived on %s, and its recipients were deleted', p_campaign_id, to_char(v_archived_at, 'YYYY-MM-DD')),
            hint = 'Its counters remain in notification_campaign_stats.';
    end if;
end
$$;
revoke all on function private.assert_campaign_is_readable(uuid) from public, anon, authenticated;
comment on function private.assert_campaign_is_readable(uuid) is
    'PT404 unless the campaign is a readable_campaign; PT410 for an archived one.';

-- ---------------------------------------------------------------------------------------------------------------------
-- row by row
-- ---------------------------------------------------------------------------------------------------------------------

create function public.campaign_report(p_campaign_id uuid, p_after text default null, p_limit integer default 1000)
returns table (
    recipient_id uuid,
    recipient text,
    status public.recipient_status,
    skip_reason text,
    attempt_count integer,
    message_id text,
    created_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    failed_at timestamptz,
    member_count integer,
    delivered_count integer,
    read_count integer,
    failure_class public.failure_class,
    error_code text,
    error_message text,
    cost numeric,
    currency text,
    updated_at timestamptz
)
language plpgsql
stable
-- definer because message ids are internal; assert_campaign_is_readable checks membership
security definer
set search_path = ''
-- One way alone to read a page, whatever the statistics say and whenever the plan was made: along the unique index
-- (campaign_id, recipient), then for each row its message ids, then their receipts, all by index.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
-- the limit is a parameter, taken for a tenth of the campaign: it would be worth compiling the query for that many
set jit = off
as $$
begin
    perform private.assert_campaign_is_readable(p_campaign_id);
    if p_limit is null or p_limit not between 1 and 1000 then
        raise invalid_parameter_value using
            message = format('p_limit must be between 1 and 1000, not %s', coalesce(p_limit::text, 'null')),
            hint = 'For the next page pass the last recipient of this one as p_after.';
    end if;
    return query
    select
        r.id, r.recipient, r.status, r.skip_reason, r.attempt_count, r.message_id, r.created_at, r.sent_at,
        e.delivered_at, e.read_at,
        case
            when r.status = 'failed' then greatest(
                e.failed_at,
                (select coalesce(a.finished_at, a.asked_at) from public.send_attempts a where a.id = r.attempt_id)
            )
        end,
        r.member_count, r.delivered_count, r.read_count, r.failure_class, r.error_code, r.error_message, r.cost, r.currency, r.updated_at
    from (
        select p.*
        from public.notification_campaign_recipients p
        -- a recipient is never empty
        where p.campaign_id = p_campaign_id and p.recipient > coalesce(p_after, '')
        order by p.recipient
        limit p_limit
    ) as r
    cross join lateral (
        select min(o.delivered_at) as delivered_at, min(o.read_at) as read_at, max(o.failed_at) as failed_at
        from private.message_ids i
        -- message by message: joined, without statistics, all receipts there are would be read for each row
        cross join lateral (
            select
                min(m.delivered_at) filter (where private.is_delivered(m.reader, m.delivered_at, m.failed_at)) as delivered_at,
                min(m.read_at) filter (where private.is_read(m.reader, m.read_at, m.failed_at)) as read_at,
                max(m.failed_at) filter (
                    where m.reader = '' or private.is_failed(m.reader, m.delivered_at, m.failed_at)
                ) as failed_at
            from public.message_receipts m
            where m.message_id = i.message_id
        ) as o
        where i.recipient_id = r.id
    ) as e
    order by r.recipient;
end
$$;
revoke all on function public.campaign_report(uuid, text, integer) from public, anon, authenticated;
grant execute on function public.campaign_report(uuid, text, integer) to authenticated, service_role;
comment on function public.campaign_report(uuid, text, integer) is
    'What became of a campaign, a row a recipient, in the order of recipient. p_limit: 1 to 1000 rows; p_after: the last recipient of the page before, null for the first. '
    'delivered_at and read_at are the first person''s, null where nobody was named; failed_at: when a failure that stands became known; cost: in currency, null while unknown. '
    'Errors: PT404 (404) unknown or a stranger''s, 22023 (400) p_limit. Caller: CRM users of any role.';

-- ---------------------------------------------------------------------------------------------------------------------
-- as CSV
-- ---------------------------------------------------------------------------------------------------------------------

create function private.guarded_csv_field(p_value text)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    -- what a spreadsheet takes for the beginning of a formula, in all widths and heights
    c_formula constant text := '[=+@＝＋－＠﹢﹣﹦﹫−⁺⁻⁼₊₋₌-]';
    -- what it may drop before it looks: blanks, controls, marks that nobody sees, quotes
    c_dropped constant text := '[\u0001-\u0009\u000b\u000c\u000e-\u0020"''\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5'
        '\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]';
    v_value text := p_value;
begin
    v_value := regexp_replace(v_value, format('^(?!%s*%s)(?=''*[\t\r\n])', c_dropped, c_formula), '''');
    -- Where lists are separated by semicolons, spreadsheets split there, and honour quotes only at the beginning of what
    -- they split: a cell may begin after any semicolon or line break inside a field.
    v_value := regexp_replace(v_value, format('(^|[;\r\n])(?=%s*%s)', c_dropped, c_formula), '\1''', 'g');
    if v_value ~ '[",;\t\r\n]|^\s|\s$' then
        v_value := '"' || replace(v_value, '"', '""') || '"';
    end if;
    return v_value;
end
$$;
revoke all on function private.guarded_csv_field(text) from public, anon, authenticated;
comment on function private.guarded_csv_field(text) is 'csv_field, for a text that needs a look at each of its characters.';

create function private.csv_field(p_value text)
returns text
language sql
immutable
-- parsed, not run under a search path: that pins every name as well, and lets the planner inline it
return case
    when p_value is null then ''
    when p_value ~ '^[0-9A-Za-z][^",;\s]*$' then p_value
    else private.guarded_csv_field(p_value)
end;
revoke all on function private.csv_field(text) from public, anon, authenticated;
comment on function private.csv_field(text) is
    'A text as a field of CSV (RFC 4180) that no spreadsheet takes for a formula: an apostrophe stands before = + - @ (of any width) where the field, a line of it or what '
    'follows a semicolon begins with one, blanks and invisible marks aside, and before a tab or line break at its beginning. One apostrophe less is the text again.';

create function private.csv_time(p_time timestamptz)
returns text
language sql
stable
return to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
revoke all on function private.csv_time(timestamptz) from public, anon, authenticated;
comment on function private.csv_time(timestamptz) is 'A time as a field of CSV: ISO 8601, UTC, to the millisecond.';

create function public.campaign_report_csv(p_campaign_id uuid, p_after text default null, p_limit integer default 1000)
returns jsonb
language plpgsql
stable
-- definer because what it writes fields with is internal; campaign_report checks membership
security definer
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
    v_csv text;
    v_row_count integer;
    v_last text;
begin
    select
        string_agg(
            array_to_string(
                array[
                    r.recipient_id::text,
                    private.csv_field(r.recipient),
                    r.status::text,
                    private.csv_field(r.skip_reason),
                    r.attempt_count::text,
                    private.csv_field(r.message_id),
                    private.csv_time(r.created_at),
                    private.csv_time(r.sent_at),
                    private.csv_time(r.delivered_at),
                    private.csv_time(r.read_at),
                    private.csv_time(r.failed_at),
                    r.member_count::text,
                    r.delivered_count::text,
                    r.read_count::text,
                    r.failure_class::text,
                    private.csv_field(r.error_code),
                    private.csv_field(r.error_message),
                    trim_scale(r.cost)::text,
                    private.csv_field(r.currency),
                    private.csv_time(r.updated_at)
                ],
                ',', ''
            ) || E'\r\n',
            ''
        ),
        count(*),
        max(r.recipient)
    into v_csv, v_row_count, v_last
    -- comes sorted
    from public.campaign_report(p_campaign_id, p_after, p_limit) r;
    if p_after is null then
        v_csv := concat(
            'recipient_id,recipient,status,skip_reason,attempt_count,message_id,created_at,sent_at,delivered_at,read_at,failed_at,'
            'member_count,delivered_count,read_count,failure_class,error_code,error_message,cost,currency,updated_at',
            E'\r\n',
            v_csv
        );
    end if;
    if v_row_count < p_limit or not exists (
        select 1
        from public.notification_campaign_recipients r
        where r.campaign_id = p_campaign_id and r.recipient > v_last
    ) then
        v_last := null;
    end if;
    return jsonb_build_object('csv', coalesce(v_csv, ''), 'next', v_last);
end
$$;
revoke all on function public.campaign_report_csv(uuid, text, integer) from public, anon, authenticated;
grant execute on function public.campaign_report_csv(uuid, text, integer) to authenticated, service_role;
comment on function public.campaign_report_csv(uuid, text, integer) is
    'campaign_report as CSV (RFC 4180, lines end with CRLF), safe to open in a spreadsheet. Answers {csv, next}: the first page begins with the names of the columns; '
    'next is the p_after of the following page, null on the last. The pages one after the other are the file. Arguments, errors and callers as campaign_report.';

-- ---------------------------------------------------------------------------------------------------------------------
-- summed up
-- ---------------------------------------------------------------------------------------------------------------------

create function public.failure_summary(p_campaign_id uuid)
returns table (
    failure_class public.failure_class,
    error_code text,
    skip_reason text,
    meaning text,
    action text,
    recipient_count bigint,
    example_message text
)
language plpgsql
stable
-- definer because what codes mean is internal; assert_campaign_is_readable checks membership
security definer
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
begin
    perform private.assert_campaign_is_readable(p_campaign_id);
    return query
    with failed as (
        select
            coalesce(r.failure_class, 'unknown') as class,
            r.error_code as code,
            count(*) as recipient_count,
            -- any one; by bytes, which is cheap
            min(r.error_message collate "C") as example_message
        from public.notification_campaign_recipients r
        where r.campaign_id = p_campaign_id and r.status = 'failed'
        group by 1, 2
    ),
    skipped as (
        select r.skip_reason as reason, count(*) as recipient_count
        from public.notification_campaign_recipients r
        where r.campaign_id = p_campaign_id and r.status = 'skipped'
        group by 1
    )
    select f.class, f.code, null, coalesce(k.meaning, c.meaning), c.action::text, f.recipient_count, f.example_message
    from failed f
    join private.failure_classes c on c.class = f.class
    left join private.failure_codes k on k.code = f.code
    union all
    select null, null, s.reason, coalesce(w.meaning, k.meaning), null, s.recipient_count, null
    from skipped s
    left join (
        values
            ('opted_out', 'The recipient had asked for no more of these messages.'),
            ('duplicate_recipient', 'Another spelling of a recipient that the campaign has already.'),
            ('campaign_cancelled', 'The campaign was cancelled before it was sent.')
    ) as w (reason, meaning) on w.reason = s.reason
    left join private.failure_codes k on k.code = s.reason
    order by 6 desc, 1, 2, 3;
end
$$;
revoke all on function public.failure_summary(uuid) from public, anon, authenticated;
grant execute on function public.failure_summary(uuid) to authenticated, service_role;
comment on function public.failure_summary(uuid) is
    'Why messages of a campaign did not arrive: the failed ones by failure_class and error_code, with what follows from the class (retry: attempts ran out; give_up; opt_out; '
    'pause: the sender) and one of the provider''s messages; the skipped ones by skip_reason. The most frequent first. Costs as much as there are failed and skipped. '
    'Errors: PT404 (404). Caller: CRM users of any role.';

create function public.campaign_costs(p_campaign_id uuid)
returns table (currency text, message_count bigint, cost numeric)
language plpgsql
stable
-- definer because row-level security would ask for the caller's organizations at every row; assert_campaign_is_readable checks membership
security definer
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
begin
    perform private.assert_campaign_is_readable(p_campaign_id);
    return query
    select r.currency, count(*), sum(r.cost)
    from public.notification_campaign_recipients r
    where r.campaign_id = p_campaign_id and r.cost is not null
    group by r.currency
    order by r.currency;
end
$$;
revoke all on function public.campaign_costs(uuid) from public, anon, authenticated;
grant execute on function public.campaign_costs(uuid) to authenticated, service_role;
comment on function public.campaign_costs(uuid) is
    'What a campaign cost, for each currency: message_count messages whose cost is known, and their sum; currency null where a provider named none. '
    'The cost of notification_campaign_stats adds the amounts of all currencies up as if they were one. Costs as much as the campaign is large. '
    'Errors: PT404 (404). Caller: CRM users of any role.';
