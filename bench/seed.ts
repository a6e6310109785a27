import type { Sql } from "postgres";

const ORGANIZATION = "00000000-0000-4000-8000-0000000000be";
const SESSION = "wa_bench";

/** Makes the organization and the sender that all campaigns of the benchmark belong to. */
export async function seedSender(sql: Sql): Promise<void> {
  await sql`
    insert into public.organizations (id, name) values (${ORGANIZATION}, 'Benchmark') on conflict do nothing
  `;
  await sql`
    insert into public.gateway_sessions (id, organization_id) values (${SESSION}, ${ORGANIZATION}) on conflict do nothing
  `;
}

/** Campaigns to make. */
export interface Audience {
  readonly campaigns: number;
  /** Per campaign. */
  readonly groups: number;
}

/** Adds completed campaigns whose groups were all sent a message; answers the message ids. */
export async function addSentGroups(sql: Sql, { campaigns, groups }: Audience): Promise<string[]> {
  const ids = await addCampaigns(sql, campaigns, "completed");
  const rows = await sql<{ message_id: string }[]>`
    insert into public.notification_campaign_recipients
      (campaign_id, recipient, status, attempt_count, member_count, message_id)
    select c.id, '1203630' || n || '@g.us', 'sent', 1, 999999, '3EB0' || upper(replace(gen_random_uuid()::text, '-', ''))
    from unnest(${ids}::uuid[]) as c (id)
    cross join generate_series(1, ${groups}::integer) as n
    returning message_id
  `;
  // as autovacuum would have left them, so that nothing is planned for empty tables
  await sql.unsafe("vacuum analyze");
  return rows.map((row) => row.message_id);
}

/** Adds a running campaign whose groups are all due; answers its id. */
export async function addDueGroups(sql: Sql, groups: number): Promise<string> {
  const [id] = await addCampaigns(sql, 1, "processing");
  if (id === undefined) throw new Error("The insert of a campaign answered no id");
  await sql`
    insert into public.notification_campaign_recipients (campaign_id, recipient, member_count)
    select ${id}, '1203630' || n || '@g.us', 100
    from generate_series(1, ${groups}::integer) as n
  `;
  return id;
}

async function addCampaigns(sql: Sql, count: number, status: "completed" | "processing"): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    insert into public.notification_campaigns (organization_id, name, channel, session_id, content, status)
    select ${ORGANIZATION}, 'benchmark', 'whatsapp_group', ${SESSION}, '{"type": "text", "text": "Hello"}', ${status}
    from generate_series(1, ${count}::integer)
    returning id
  `;
  return rows.map((row) => row.id);
}
