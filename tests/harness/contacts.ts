import { z } from "zod";
import { type Campaign, createCampaign, createOrganization, createSession, type NewCampaign } from "./campaigns.ts";
import type { Sql } from "./connect.ts";
import { type Claim, claimOne, recordSendResults } from "./rpc.ts";

/** What may differ from a running campaign to one contact through a number of the Cloud API. */
export interface NewContactCampaign extends Omit<NewCampaign, "channel" | "recipients" | "memberCount"> {
  readonly channel?: "whatsapp" | "sms";
  /** Numbers; a number: so many contacts that no other campaign has. */
  readonly recipients?: number | readonly string[];
}

/** A status that a provider reports of a message. */
export type StatusKind = "sent" | "delivered" | "read" | "played" | "failed";

const count = z.number().int();
const eventsAnswer = z.strictObject({
  recorded: count,
  stored: count,
  duplicates: count,
  parked: count,
  journaled: count,
  opted_out: count,
  opted_in: count,
  applied: count,
  ignored: count,
  unmatched: count,
});
const sweepAnswer = z.strictObject({ expired: count, deleted: count });
const silentMessage = z.strictObject({
  client_message_id: z.string(),
  message_id: z.string(),
  campaign_id: z.string(),
  gateway: z.string(),
  session_id: z.string().nullable(),
});
const senderSchema = z.object({
  status: z.enum(["active", "paused", "restricted"]),
  status_reason: z.string().nullable(),
});

let contacts = 0;

/** A phone number in E.164 that no other recipient has. */
export function phone(): string {
  return `+${4_915_100_000_000 + ++contacts}`;
}

/** The id of a number of the Cloud API. */
export function phoneNumberId(): string {
  return `${100_000_000_000_000 + crypto.getRandomValues(new Uint32Array(1)).reduce((sum, word) => sum + word, 0)}`;
}

/** A new campaign to contacts, running unless said otherwise. */
export async function createContactCampaign(sql: Sql, campaign: NewContactCampaign = {}): Promise<Campaign> {
  const { channel = "whatsapp", recipients = 1, ...rest } = campaign;
  const organizationId = campaign.organizationId ?? await createOrganization(sql);
  const sessionId = campaign.sessionId === undefined
    ? await createSession(sql, organizationId, { channel, id: channel === "sms" ? phone() : phoneNumberId() })
    : campaign.sessionId;
  const numbers = typeof recipients === "number" ? Array.from({ length: recipients }, phone) : recipients;
  return await createCampaign(sql, {
    ...rest,
    channel,
    organizationId,
    sessionId,
    recipients: numbers.map((recipient) => ({ recipient })),
  });
}

/** Claims the one message that is due and stores the answer of its gateway: taken, under this id. */
export async function sendOne(sql: Sql, messageId: string): Promise<Claim> {
  const claimed = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "sent", messageId }]);
  return claimed;
}

/** A status of a message to a contact, as the webhooks hand it over. */
export function statusOf(
  kind: StatusKind,
  messageId: string,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return { event: `message_${kind}`, messageId, reader: "recipient", timestamp: 1_790_000_000, ...more };
}

/** A message that a contact wrote. */
export function written(
  by: { readonly sessionId: string; readonly contact?: string | null; readonly userId?: string | null },
  messageId: string,
  text: string | null,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    event: "message_received",
    messageId,
    direction: "inbound",
    channel: "whatsapp",
    contact: null,
    userId: null,
    contactName: null,
    type: "text",
    text,
    timestamp: 1_790_000_000,
    contextMessageId: null,
    payload: { id: messageId },
    ...by,
    ...more,
  };
}

/** What a contact set in the app: `stop` or `resume` the messages of a business. */
export function preference(
  by: { readonly sessionId: string; readonly contact?: string | null; readonly userId?: string | null },
  value: string,
  timestamp: number | string,
): Record<string, unknown> {
  return {
    event: "preference_changed",
    channel: "whatsapp",
    contact: null,
    userId: null,
    category: "marketing_messages",
    payload: {},
    ...by,
    value,
    timestamp,
  };
}

/** record_whatsapp_events; whatever is given goes in as it is. */
export async function recordWhatsAppEvents(
  sql: Sql,
  receipts: unknown,
  messages: unknown,
  signals: unknown = [],
): Promise<z.infer<typeof eventsAnswer>> {
  const [row] = await sql<{ answer: unknown }[]>`
    select public.record_whatsapp_events(
      ${JSON.stringify(receipts)}::text::jsonb, ${JSON.stringify(messages)}::text::jsonb, ${
    JSON.stringify(signals)
  }::text::jsonb
    ) as answer
  `;
  return eventsAnswer.parse(row?.answer);
}

/** claim_silent_messages */
export async function claimSilent(
  sql: Sql,
  options: { readonly limit?: number; readonly gateways?: readonly string[] | null } = {},
): Promise<z.infer<typeof silentMessage>[]> {
  const gateways = options.gateways ?? null;
  return z.array(silentMessage).parse([
    ...await sql`
      select * from public.claim_silent_messages(${options.limit ?? 100}::integer, ${
      gateways === null ? null : [...gateways]
    }::text[])
    `,
  ]);
}

/** sweep_webhook_events */
export async function sweepWebhookEvents(
  sql: Sql,
  options: { readonly parkedFor?: string; readonly keptFor?: string; readonly limit?: number } = {},
): Promise<z.infer<typeof sweepAnswer>> {
  const [row] = await sql<{ answer: unknown }[]>`
    select public.sweep_webhook_events(
      ${options.parkedFor ?? "7 days"}::text::interval, ${options.keptFor ?? "90 days"}::text::interval, ${
    options.limit ?? 1000
  }::integer
    ) as answer
  `;
  return sweepAnswer.parse(row?.answer);
}

/** Where a sender stands. */
export async function senderRow(sql: Sql, sessionId: string): Promise<z.infer<typeof senderSchema>> {
  const [row] = await sql`select status, status_reason from public.gateway_sessions where id = ${sessionId}`;
  return senderSchema.parse(row);
}

/** Who is opted out of an organization's messages of a channel, in one spelling, sorted. */
export async function optedOut(sql: Sql, organizationId: string, channel = "whatsapp"): Promise<string[]> {
  const rows = await sql<{ address: string }[]>`
    select distinct address from public.opt_outs
    where organization_id = ${organizationId} and channel = ${channel}
    order by address
  `;
  return rows.map(({ address }) => address);
}
