import { createMember, createOrganization, type Sql } from "../harness/mod.ts";
import type { Actor } from "./actor.ts";

/** One organization that has a row in every table. */
export interface Tenant {
  readonly organizationId: string;
  readonly viewerId: string;
  readonly operatorId: string;
  readonly ownerId: string;
  readonly sessionId: string;
  /** To groups; a draft, so that all of it may still be edited. */
  readonly campaignId: string;
  readonly recipientId: string;
  /** To contacts. */
  readonly contactCampaignId: string;
  readonly contactId: string;
  readonly messageId: string;
  readonly conversationId: string;
}

/** Two organizations alike, and everybody who may look at the first. */
export interface World {
  readonly a: Tenant;
  readonly b: Tenant;
  readonly actors: readonly Actor[];
}

/** Stores two organizations with rows in every table. */
export async function createWorld(sql: Sql): Promise<World> {
  const a = await createTenant(sql, "a");
  const b = await createTenant(sql, "b");
  return {
    a,
    b,
    actors: [
      { name: "anon", role: "anon", userId: null },
      { name: "stranger", role: "authenticated", userId: crypto.randomUUID() },
      { name: "viewer", role: "authenticated", userId: a.viewerId },
      { name: "operator", role: "authenticated", userId: a.operatorId },
      { name: "owner", role: "authenticated", userId: a.ownerId },
      { name: "other owner", role: "authenticated", userId: b.ownerId },
      { name: "service_role", role: "service_role", userId: null },
    ],
  };
}

async function createTenant(sql: Sql, name: string): Promise<Tenant> {
  const organizationId = await createOrganization(sql);
  const [viewerId, operatorId, ownerId] = await Promise.all([
    createMember(sql, organizationId, "viewer"),
    createMember(sql, organizationId, "operator"),
    createMember(sql, organizationId, "owner"),
  ]);
  const sessionId = `wa_${name}`;
  await sql`insert into public.gateway_sessions (id, organization_id) values (${sessionId}, ${organizationId})`;
  // one that no campaign holds on to, so that it may be removed
  await sql`insert into public.gateway_sessions (id, organization_id) values (${`${sessionId}_spare`}, ${organizationId})`;
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    values (${organizationId}, 'whatsapp', ${`opted out of ${name}`})
  `;
  const campaignId = crypto.randomUUID();
  const contactCampaignId = crypto.randomUUID();
  const recipientId = crypto.randomUUID();
  const contactId = crypto.randomUUID();
  const messageId = `message of ${name}`;
  await sql`
    insert into public.notification_campaigns (id, organization_id, channel, session_id, content)
    values
      (${campaignId}, ${organizationId}, 'whatsapp_group', ${sessionId}, '{"type": "text", "text": "Hello"}'),
      (${contactCampaignId}, ${organizationId}, 'whatsapp', ${sessionId}, '{"type": "text", "text": "Hello"}')
  `;
  await sql`
    insert into public.notification_campaign_recipients (id, campaign_id, recipient, member_count, attempt_count)
    values (${recipientId}, ${campaignId}, ${`${name}@g.us`}, 5, 2), (${contactId}, ${contactCampaignId}, '+4915112345678', 1, 0)
  `;
  await sql`select public.fold_campaign_counters()`;
  await sql`
    insert into public.send_attempts (recipient_id, attempt_number, session_id, message_id, outcome)
    values (${recipientId}, 1, ${sessionId}, ${messageId}, 'sent'), (${recipientId}, 2, ${sessionId}, ${`second ${messageId}`}, 'sent')
  `;
  await sql`
    insert into public.message_receipts (message_id, reader, recipient_id, delivered_at)
    values (${messageId}, 'somebody', ${recipientId}, now())
  `;
  await sql`
    insert into public.counter_discrepancies (campaign_id, counter, stored, actual) values (${campaignId}, 'read_count', 1, 0)
  `;
  await sql`
    insert into public.message_rates (organization_id, category, cost, currency)
    values (${organizationId}, 'marketing', 0.05, 'EUR')
  `;
  await sql`
    insert into public.consent_keywords (organization_id, keyword, action) values (${organizationId}, 'no more', 'stop')
  `;
  const conversationId = crypto.randomUUID();
  await sql`
    insert into public.conversations (id, organization_id, channel, session_id, contact)
    values (${conversationId}, ${organizationId}, 'whatsapp', ${sessionId}, '+4915112345678')
  `;
  await sql`
    insert into public.chat_messages (conversation_id, wa_message_id, content)
    values (${conversationId}, ${`inbound of ${name}`}, 'Good morning')
  `;
  return {
    organizationId,
    viewerId,
    operatorId,
    ownerId,
    sessionId,
    campaignId,
    recipientId,
    contactCampaignId,
    contactId,
    messageId,
    conversationId,
  };
}
