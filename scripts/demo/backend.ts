import { z } from "zod";
import { expectData, type Organization, type StartedCampaign } from "./crm.ts";

/** The counters of one campaign, as `notification_campaign_stats` shows them. */
export type Stats = z.infer<typeof statsSchema>;

/** One group, as `notification_campaign_groups` shows it. */
export type BackendGroup = z.infer<typeof groupSchema>;

/** One contact of a campaign, as `notification_campaign_recipients` has it. */
export type BackendContact = z.infer<typeof contactSchema>;

/** A message that somebody wrote, as `chat_messages` has it. */
export type BackendMessage = z.infer<typeof messageSchema>;

/** Somebody who wants no more messages of a channel, as `opt_outs` has it. */
export type BackendOptOut = z.infer<typeof optOutSchema>;

const figure = z.coerce.number();
const statsSchema = z.object({
  total_count: figure,
  pending_count: figure,
  processing_count: figure,
  unconfirmed_count: figure,
  sent_count: figure,
  failed_count: figure,
  skipped_count: figure,
  audience_count: figure,
  reached_count: figure,
  delivered_count: figure,
  read_count: figure,
  cost: figure,
  progress: figure,
});
const groupSchema = z.object({
  id: z.string(),
  group_jid: z.string(),
  status: z.string(),
  message_id: z.string().nullable(),
  delivered_count: figure,
  read_count: figure,
});
const contactSchema = z.object({
  id: z.string(),
  recipient: z.string(),
  status: z.string(),
  skip_reason: z.string().nullable(),
  message_id: z.string().nullable(),
  error_code: z.string().nullable(),
  delivered_count: figure,
  read_count: figure,
  cost: figure.nullable(),
});
const attemptSchema = z.object({ id: z.string(), recipient_id: z.string(), message_id: z.string().nullable() });
const conversationSchema = z.object({
  id: z.string(),
  channel: z.enum(["whatsapp", "sms"]),
  session_id: z.string(),
  contact: z.string(),
  user_id: z.string().nullable(),
});
const chatMessageSchema = z.object({
  conversation_id: z.string(),
  wa_message_id: z.string().nullable(),
  direction: z.string(),
  content: z.string().nullable(),
});
const messageSchema = conversationSchema.omit({ id: true }).extend(
  chatMessageSchema.omit({ conversation_id: true }).shape,
);
const optOutSchema = z.object({ channel: z.string(), address: z.string() });

const PAGE = 500;

/** The counters of the campaign, in one statement of the database. */
export async function readStats({ service, id }: StartedCampaign): Promise<Stats> {
  const answer = await service.from("notification_campaign_stats").select("*").eq("campaign_id", id).single();
  return statsSchema.parse(expectData("read the counters", answer));
}

/** The campaign's status. */
export async function readStatus({ service, id }: StartedCampaign): Promise<string> {
  const answer = await service.from("notification_campaigns").select("status").eq("id", id).single();
  return z.object({ status: z.string() }).parse(expectData("read the campaign", answer)).status;
}

/** Every group of the campaign. */
export function readGroups({ service, id }: StartedCampaign): Promise<BackendGroup[]> {
  return readAll(groupSchema, async (from, to) =>
    expectData(
      "read the groups",
      await service.from("notification_campaign_groups")
        .select("id, group_jid, status, message_id, delivered_count, read_count")
        .eq("campaign_id", id).order("id").range(from, to),
    ));
}

/** Every contact of the campaign. */
export function readContacts({ service, id }: StartedCampaign): Promise<BackendContact[]> {
  return readAll(contactSchema, async (from, to) =>
    expectData(
      "read the contacts",
      await service.from("notification_campaign_recipients")
        .select("id, recipient, status, skip_reason, message_id, error_code, delivered_count, read_count, cost")
        .eq("campaign_id", id).order("id").range(from, to),
    ));
}

/** How many messages the backend knows of that went to somebody who had already got one of the same campaign. */
export async function countDoubleSends(
  { service }: Pick<StartedCampaign, "service">,
  among?: readonly { readonly id: string }[],
): Promise<number> {
  const attempts = await readAll(attemptSchema, async (from, to) =>
    expectData(
      "read the attempts",
      await service.from("send_attempts").select("id, recipient_id, message_id").not("message_id", "is", null)
        .order("id").range(from, to),
    ));
  const ids = among === undefined ? null : new Set(among.map(({ id }) => id));
  const recipients = attempts.map((attempt) => attempt.recipient_id).filter((id) => ids === null || ids.has(id));
  return recipients.length - new Set(recipients).size;
}

/** Every message of the organization's conversations. */
export async function readInbox({ service, id }: Organization): Promise<BackendMessage[]> {
  const conversations = await readAll(conversationSchema, async (from, to) =>
    expectData(
      "read the conversations",
      await service.from("conversations").select("id, channel, session_id, contact, user_id")
        .eq("organization_id", id).order("id").range(from, to),
    ));
  const messages = await readAll(chatMessageSchema, async (from, to) =>
    expectData(
      "read the messages",
      await service.from("chat_messages").select("conversation_id, wa_message_id, direction, content")
        .order("id").range(from, to),
    ));
  const byId = new Map(conversations.map(({ id, ...conversation }) => [id, conversation]));
  return messages.flatMap(({ conversation_id, ...message }) => {
    const conversation = byId.get(conversation_id);
    return conversation === undefined ? [] : [{ ...conversation, ...message }];
  });
}

/** Everybody who wants no more messages of the organization. */
export function readOptOuts({ service, id }: Organization): Promise<BackendOptOut[]> {
  return readAll(optOutSchema, async (from, to) =>
    expectData(
      "read the opt-outs",
      await service.from("opt_outs").select("channel, address").eq("organization_id", id)
        .order("channel").order("recipient").range(from, to),
    ));
}

/** What an independent recount of the campaign's rows and receipts finds wrong; nothing, one hopes. */
export async function auditCounters({ service, id }: StartedCampaign): Promise<unknown[]> {
  const answer = await service.rpc("audit_campaign_counters", { p_campaign_id: id });
  return z.array(z.unknown()).parse(expectData("audit the counters", answer));
}

/** Reads page by page: the API hands out a bounded number of rows at once. */
async function readAll<Row>(
  schema: z.ZodType<Row>,
  readPage: (from: number, to: number) => Promise<unknown>,
): Promise<Row[]> {
  const rows: Row[] = [];
  while (true) {
    const page = z.array(schema).parse(await readPage(rows.length, rows.length + PAGE - 1));
    rows.push(...page);
    if (page.length < PAGE) return rows;
  }
}
