import type { Sql } from "./connect.ts";

/** A kind of recipient. */
export type Channel = "whatsapp_group" | "whatsapp" | "sms";

/** Where a campaign stands. */
export type CampaignStatus = "draft" | "scheduled" | "processing" | "paused" | "completed" | "failed" | "cancelled";

/** A message that is owed. */
export interface NewRecipient {
  readonly recipient?: string;
  /** null: unknown. */
  readonly memberCount?: number | null;
}

/** What may differ from a running group campaign with one recipient of 10 members. */
export interface NewCampaign {
  /** Default: a new one. */
  readonly organizationId?: string;
  /** Default: a new one of the organization. null: any sender of the organization. */
  readonly sessionId?: string | null;
  readonly channel?: Channel;
  readonly status?: CampaignStatus;
  /** A number: so many recipients. */
  readonly recipients?: number | readonly NewRecipient[];
  /** For recipients that do not say; default 10. */
  readonly memberCount?: number | null;
  readonly maxAttempts?: number;
  readonly unconfirmedPolicy?: "retry" | "hold";
  readonly onTransientError?: "fail" | "retry" | null;
  readonly scheduledAt?: Date | null;
}

/** A stored campaign. */
export interface Campaign {
  readonly id: string;
  readonly organizationId: string;
  /** The sender that was made or named; empty for none. */
  readonly sessionId: string;
  /** In the order given. */
  readonly recipients: readonly { readonly id: string; readonly recipient: string }[];
  /** The first recipient. */
  readonly only: { readonly id: string; readonly recipient: string };
}

/** A new tenant; its id. */
export async function createOrganization(sql: Sql): Promise<string> {
  return idOf(await sql<{ id: string }[]>`insert into public.organizations (name) values ('Test') returning id`);
}

/** A new sender; its id. */
export async function createSession(
  sql: Sql,
  organizationId: string,
  session: {
    id?: string;
    channel?: Channel;
    messagesPerMinute?: number | null;
    dailyLimit?: number | null;
    status?: "active" | "paused" | "restricted";
  } = {},
): Promise<string> {
  return idOf(
    await sql<{ id: string }[]>`
      insert into public.gateway_sessions (id, organization_id, channel, messages_per_minute, daily_limit, status)
      values (
        ${session.id ?? unique("wa")}, ${organizationId}, ${session.channel ?? "whatsapp"},
        ${session.messagesPerMinute ?? null}, ${session.dailyLimit ?? null}, ${session.status ?? "active"}
      )
      returning id
    `,
  );
}

/** A member of an organization; the user's id. */
export async function createMember(
  sql: Sql,
  organizationId: string,
  role: "viewer" | "operator" | "owner",
): Promise<string> {
  const userId = crypto.randomUUID();
  await sql`
    insert into public.organization_members (organization_id, user_id, role) values (${organizationId}, ${userId}, ${role})
  `;
  return userId;
}

/** A new campaign with its recipients, running unless said otherwise. */
export async function createCampaign(sql: Sql, campaign: NewCampaign = {}): Promise<Campaign> {
  const channel = campaign.channel ?? "whatsapp_group";
  const organizationId = campaign.organizationId ?? await createOrganization(sql);
  const sessionId = campaign.sessionId === undefined
    ? await createSession(sql, organizationId, { channel: channel === "sms" ? "sms" : "whatsapp" })
    : campaign.sessionId;
  const id = idOf(
    await sql<{ id: string }[]>`
      insert into public.notification_campaigns (
        organization_id, name, channel, session_id, content, status, scheduled_at, max_attempts, unconfirmed_policy,
        on_transient_error
      )
      values (
        ${organizationId}, 'Test', ${channel}, ${sessionId}, ${sql.json({ type: "text", text: "Hello" })},
        ${campaign.status ?? "processing"}, ${campaign.scheduledAt ?? null}, ${campaign.maxAttempts ?? 3},
        ${campaign.unconfirmedPolicy ?? "retry"}, ${campaign.onTransientError ?? null}
      )
      returning id
    `,
  );
  const wanted = campaign.recipients ?? 1;
  const recipients = await addRecipients(
    sql,
    id,
    typeof wanted === "number" ? Array.from({ length: wanted }, () => ({})) : wanted,
    campaign.memberCount === undefined ? (channel === "whatsapp_group" ? 10 : null) : campaign.memberCount,
  );
  return {
    id,
    organizationId,
    sessionId: sessionId ?? "",
    recipients,
    get only() {
      const [first] = recipients;
      if (first === undefined) throw new Error("This campaign was made without recipients");
      return first;
    },
  };
}

/** More recipients for a campaign, in one statement. */
export async function addRecipients(
  sql: Sql,
  campaignId: string,
  wanted: readonly NewRecipient[],
  memberCount: number | null = 10,
): Promise<{ readonly id: string; readonly recipient: string }[]> {
  if (wanted.length === 0) return [];
  const rows = wanted.map((one) => ({
    id: crypto.randomUUID(),
    campaign_id: campaignId,
    recipient: one.recipient ?? groupJid(),
    member_count: one.memberCount === undefined ? memberCount : one.memberCount,
  }));
  await sql`insert into public.notification_campaign_recipients ${sql(rows)}`;
  return rows.map(({ id, recipient }) => ({ id, recipient }));
}

/** A group that no other test knows. */
export function groupJid(): string {
  return `${unique("120363").replaceAll(/\D/g, "").padEnd(18, "0").slice(0, 18)}${
    crypto.getRandomValues(new Uint32Array(1))
  }@g.us`;
}

/** A WhatsApp person. */
export function person(number: number): string {
  return `${919_870_000_000 + number}@s.whatsapp.net`;
}

/** A text that stands nowhere else. */
export function unique(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;
}

function idOf(rows: readonly { readonly id: string }[]): string {
  const [row] = rows;
  if (row === undefined) throw new Error("Nothing was stored");
  return row.id;
}
