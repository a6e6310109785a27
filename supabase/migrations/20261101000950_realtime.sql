-- What screens may subscribe to: the state of campaigns, and their counters as of the last fold. Row-level security holds
-- for subscribers as for readers. Receipts and recipients are not published: they are what counters are there to sum up.

do $$
declare
    v_table text;
begin
    if not exists (select 1 from pg_catalog.pg_publication p where p.pubname = 'supabase_realtime') then
        raise notice 'nothing is published: there is no publication supabase_realtime here';
        return;
    end if;
    foreach v_table in array array['notification_campaigns', 'campaign_counters']
    loop
        if not exists (
            select 1
            from pg_catalog.pg_publication_tables t
            where t.pubname = 'supabase_realtime' and t.schemaname = 'public' and t.tablename = v_table
        ) then
            execute format('alter publication supabase_realtime add table public.%I', v_table);
        end if;
    end loop;
end;
$$;
