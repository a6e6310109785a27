import type { Sql } from "postgres";

const ORGANIZATION = "00000000-0000-4000-8000-0000000000be";
const SESSION = "wa_bench";

/** The number of the Cloud API that writes to contacts. */
export const PHONE_NUMBER_ID = "100000000000001";

/** What a delivery costs, by the first digits of the number. */
const RATED_PREFIXES = ["", "+1", "+44", "+49", "+91", "+911", "+55", "+62"] as const;

/** Makes the organization and the sender that all campaigns of the benchmark belong to. */
export async function seedSender(sql: Sql): Promise<void> {
  await sql`
    insert into public.organizations (id, name) values (${ORGANIZATION}, 'Benchmark') on conflict do nothing
  `;
  await sql`
    insert into public.gateway_sessions (id, organization_id) values (${SESSION}, ${ORGANIZATION}) on conflict do nothing
  `;
}

/** Makes the number that all messages to contacts come from, and what they cost; after {@linkcode seedSender}. */
export async function seedPhoneNumber(sql: Sql): Promise<void> {
  await sql`
    insert into public.gateway_sessions (id, organization_id, channel)
    values (${PHONE_NUMBER_ID}, ${ORGANIZATION}, 'whatsapp')
    on conflict do nothing
  `;
  await sql`
    insert into public.message_rates (organization_id, category, address_prefix, cost, currency)
    select ${ORGANIZATION}, c.category, p.prefix, 0.05, 'EUR'
    from unnest(array['authentication', 'marketing', 'service', 'utility']) as c (category)
    cross join unnest(${[...RATED_PREFIXES]}::text[]) as p (prefix)
    on conflict do nothing
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
  const ids = await addCampaigns(sql, campaigns, "whatsapp_group", "completed");
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

/** Adds a running campaign whose groups are all due. */
export async function addDueGroups(sql: Sql, groups: number): Promise<void> {
  await sql`
    insert into public.notification_campaign_recipients (campaign_id, recipient, member_count)
    select c.id, '1203630' || n || '@g.us', 100
    from unnest(${await addCampaigns(sql, 1, "whatsapp_group", "processing")}::uuid[]) as c (id)
    cross join generate_series(1, ${groups}::integer) as n
  `;
}

/** Adds a running campaign whose contacts are all due. */
export async function addDueContacts(sql: Sql, contacts: number): Promise<void> {
  await sql`
    insert into public.notification_campaign_recipients (campaign_id, recipient)
    select c.id, '9190' || (10000000 + n)
    from unnest(${await addCampaigns(sql, 1, "whatsapp", "processing")}::uuid[]) as c (id)
    cross join generate_series(1, ${contacts}::integer) as n
  `;
}

/** Adds people who want no messages, none of whom is in a campaign. */
export async function addOptOuts(sql: Sql, count: number): Promise<void> {
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    select ${ORGANIZATION}, 'whatsapp', '+9180' || (10000000 + n)
    from generate_series(1, ${count}::integer) as n
  `;
  await sql.unsafe("vacuum analyze public.opt_outs");
}

async function addCampaigns(
  sql: Sql,
  count: number,
  channel: "whatsapp_group" | "whatsapp",
  status: "completed" | "processing",
): Promise<string[]> {
  const sender = channel === "whatsapp" ? PHONE_NUMBER_ID : SESSION;
  const rows = await sql<{ id: string }[]>`
    insert into public.notification_campaigns (organization_id, name, channel, session_id, content, status)
    select ${ORGANIZATION}, 'benchmark', ${channel}, ${sender}, '{"type": "text", "text": "Hello"}', ${status}
    from generate_series(1, ${count}::integer)
    returning id
  `;
  return rows.map((row) => row.id);
}
