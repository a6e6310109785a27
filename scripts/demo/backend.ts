import { z } from "zod";
import { expectData, type StartedCampaign } from "./crm.ts";

/** The counters of one campaign, as `notification_campaign_stats` shows them. */
export type Stats = z.infer<typeof statsSchema>;

/** One group, as `notification_campaign_groups` shows it. */
export type BackendGroup = z.infer<typeof groupSchema>;

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
const attemptSchema = z.object({ id: z.string(), recipient_id: z.string(), message_id: z.string().nullable() });

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

/** How many messages the backend knows of that went to a group which had already got one. */
export async function countDoubleSends({ service }: StartedCampaign): Promise<number> {
  const attempts = await readAll(attemptSchema, async (from, to) =>
    expectData(
      "read the attempts",
      await service.from("send_attempts").select("id, recipient_id, message_id").not("message_id", "is", null)
        .order("id").range(from, to),
    ));
  return attempts.length - new Set(attempts.map((attempt) => attempt.recipient_id)).size;
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
