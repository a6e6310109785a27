import type { Sql } from "postgres";

/** So many of a hundred campaigns are to groups of a hundred, whose messages half of them received. */
const GROUP_CAMPAIGNS = 1;
const READERS = 50;

/**
 * Adds campaigns to contacts and groups that were sent, received, paid for and counted, as the triggers would have left
 * them; the triggers themselves are off while it loads. Nine of ten messages went out. Answers the ids of the campaigns
 * and the message ids of the last one.
 *
 * @param sql One connection, of the superuser; after `seedSender`.
 */
export async function loadCounted(
  sql: Sql,
  { campaigns, recipients }: { readonly campaigns: number; readonly recipients: number },
): Promise<{ readonly ids: readonly string[]; readonly messageIds: readonly string[] }> {
  await sql.unsafe("set session_replication_role = replica");
  await sql.unsafe(`
    create temporary table loaded_campaigns as
      select n, gen_random_uuid() as id, n % 100 < ${GROUP_CAMPAIGNS} and n > 0 as is_group from generate_series(0, ${
    campaigns - 1
  }) n;
    insert into public.notification_campaigns (id, organization_id, name, channel, session_id, status)
      select
        c.id, s.organization_id, 'Campaign ' || c.n, (case when c.is_group then 'whatsapp_group' else 'whatsapp' end)::public.campaign_channel,
        s.id, 'completed'
      from loaded_campaigns c cross join public.gateway_sessions s;
    create temporary table loaded as
      select
        private.time_ordered_uuid() as id, o.id as campaign_id, o.n as campaign, o.is_group, o.g,
        case when o.g % 10 > 0 then 'wamid.' || encode(uuid_send(gen_random_uuid()), 'hex') end as message_id
      from (
        select c.id, c.n, c.is_group, g from loaded_campaigns c cross join generate_series(1, ${recipients}) g order by c.n, g
      ) as o;
    insert into public.notification_campaign_recipients (
      id, campaign_id, recipient, status, attempt_count, message_id, sent_at, member_count, delivered_count, read_count,
      identified_delivered_count, identified_read_count, cost, currency
    )
      select
        r.id, r.campaign_id, case when r.is_group then r.g || '@g.us' else '+49151' || r.g end,
        (case when r.message_id is null then 'failed' else 'sent' end)::public.recipient_status, 1, r.message_id, now(),
        case when r.is_group then 100 else 1 end, p.delivered, p.read, p.delivered, p.read,
        case when not r.is_group and r.message_id is not null then 0.01 end,
        case when not r.is_group and r.message_id is not null then 'EUR' end
      from loaded r
      cross join lateral (
        select
          case when r.message_id is null then 0 when r.is_group then ${READERS} else 1 end as delivered,
          case when r.message_id is null then 0 when r.is_group then ${READERS} / 2 else r.g % 2 end as read
      ) as p
      order by r.id;
    insert into private.message_ids (message_id, recipient_id)
      select r.message_id, r.id from loaded r where r.message_id is not null order by r.message_id collate "C";
    insert into public.message_receipts (message_id, reader, recipient_id, delivered_at, read_at, cost, currency)
      select
        r.message_id, case when r.is_group then p || '@s.whatsapp.net' else 'recipient' end, r.id, now(),
        case when case when r.is_group then p <= ${READERS} / 2 else r.g % 2 = 1 end then now() end,
        case when not r.is_group then 0.01 end, case when not r.is_group then 'EUR' end
      from loaded r
      cross join lateral generate_series(1, case when r.is_group then ${READERS} else 1 end) p
      where r.message_id is not null
      order by r.message_id collate "C", p;
    insert into public.campaign_counters (
      campaign_id, organization_id, total_count, pending_count, processing_count, unconfirmed_count, sent_count,
      failed_count, skipped_count, audience_count, reached_count, delivered_count, read_count, cost
    )
      select
        c.id, c.organization_id, count(*), 0, 0, 0, count(*) filter (where r.status = 'sent'), count(*) filter (where r.status = 'failed'),
        0, sum(r.member_count), count(*) filter (where r.delivered_count > 0), sum(r.delivered_count), sum(r.read_count),
        coalesce(sum(r.cost), 0)
      from public.notification_campaign_recipients r
      join loaded_campaigns l on l.id = r.campaign_id
      join public.notification_campaigns c on c.id = r.campaign_id
      group by c.id;
  `).simple();
  const ids = await sql<{ id: string }[]>`select id from loaded_campaigns order by n`;
  const messages = await sql<{ id: string }[]>`
    select message_id as id from loaded where campaign = ${campaigns - 1} and message_id is not null
  `;
  await sql.unsafe("drop table loaded, loaded_campaigns; set session_replication_role = origin").simple();
  await sql.unsafe("vacuum (analyze)");
  await sql.unsafe("checkpoint");
  return { ids: ids.map(({ id }) => id), messageIds: messages.map(({ id }) => id) };
}
