-- A small demonstration to try things on: one organization with a sender, and a draft campaign to three groups.
-- Loaded by `deno task start` on new data, by `deno task db:reset` and by the supabase CLI; run twice, it changes nothing.

insert into public.organizations (id, name)
values ('00000000-0000-4000-8000-000000000001', 'Sunrise Bakery')
on conflict do nothing;

insert into public.gateway_sessions (id, organization_id, channel, messages_per_minute, name)
values ('wa_demo', '00000000-0000-4000-8000-000000000001', 'whatsapp', 600, 'Shop phone')
on conflict do nothing;

insert into public.notification_campaigns (id, organization_id, name, channel, session_id, content)
values (
    '00000000-0000-4000-8000-0000000000c1',
    '00000000-0000-4000-8000-000000000001',
    'Weekend offer',
    'whatsapp_group',
    'wa_demo',
    '{"type": "text", "text": "Good morning, {{name}}! Two croissants for the price of one until Sunday."}'
)
on conflict do nothing;

insert into public.notification_campaign_recipients (id, campaign_id, recipient, variables, member_count)
values
    (
        '00000000-0000-4000-8000-0000000000a1',
        '00000000-0000-4000-8000-0000000000c1',
        '120363000000000001@g.us',
        '{"name": "neighbours"}',
        12
    ),
    (
        '00000000-0000-4000-8000-0000000000a2',
        '00000000-0000-4000-8000-0000000000c1',
        '120363000000000002@g.us',
        '{"name": "regulars"}',
        48
    ),
    (
        '00000000-0000-4000-8000-0000000000a3',
        '00000000-0000-4000-8000-0000000000c1',
        '120363000000000003@g.us',
        '{"name": "early birds"}',
        null
    )
on conflict do nothing;
