import type { Sql } from "postgres";

/** A campaign to report on. */
export interface ReportedCampaign {
  readonly recipients: number;
  /** 1: contacts; more: groups, of which so many people each read it. */
  readonly readers: number;
}

/**
 * Adds a completed campaign of the benchmark's organization with its message ids and receipts, some of it failed and all of
 * it paid for; triggers are off while it loads, and rows are in the order of their keys. Its id.
 */
export async function loadReport(sql: Sql, { recipients, readers }: ReportedCampaign): Promise<string> {
  const id = crypto.randomUUID();
  const channel = readers === 1 ? "whatsapp" : "whatsapp_group";
  await sql.begin(async (transaction) => {
    await transaction`set local session_replication_role = replica`;
    await transaction`
      insert into public.notification_campaigns (id, organization_id, name, channel, content, status)
      select ${id}, o.id, 'report', ${channel}, '{"type": "text", "text": "Hello"}', 'completed' from public.organizations o
    `;
    await transaction`
      insert into public.notification_campaign_recipients (
        campaign_id, recipient, status, attempt_count, message_id, sent_at, member_count, delivered_count, read_count,
        error_code, error_message, failure_class, cost, currency
      )
      select
        ${id}, '+49' || (1510000000 + n), case when n % 50 = 0 then 'failed' else 'sent' end::public.recipient_status, 1,
        'wamid.' || md5(n::text || ${id}), now(), ${readers}, ${readers}, ${readers},
        case when n % 50 = 0 then '131026' end, case when n % 50 = 0 then 'Message "undeliverable", sorry' end,
        case when n % 50 = 0 then 'invalid_recipient'::public.failure_class end, 0.05, case when n % 5 = 0 then 'USD' else 'EUR' end
      from generate_series(1, ${recipients}::integer) n
    `;
    await transaction`
      insert into private.message_ids (message_id, recipient_id)
      select r.message_id, r.id
      from public.notification_campaign_recipients r
      where r.campaign_id = ${id}
      order by r.message_id
    `;
    await transaction`
      insert into public.message_receipts (message_id, reader, recipient_id, delivered_at, read_at)
      select r.message_id, case when ${readers} = 1 then 'recipient' else (919870000000 + n) || '@s.whatsapp.net' end, r.id, now(), now()
      from generate_series(1, ${readers}::integer) n, public.notification_campaign_recipients r
      where r.campaign_id = ${id} and r.status = 'sent'
    `;
  });
  await sql.unsafe(
    "vacuum (analyze) public.notification_campaign_recipients, public.message_receipts, private.message_ids",
  );
  return id;
}
