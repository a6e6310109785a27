import { z } from "zod";
import type { Sql } from "./connect.ts";

const count = z.number().int();
const time = z.date().nullable();

const statsSchema = z.object({
  total_count: count,
  pending_count: count,
  processing_count: count,
  unconfirmed_count: count,
  sent_count: count,
  failed_count: count,
  skipped_count: count,
  audience_count: count,
  reached_count: count,
  delivered_count: count,
  read_count: count,
  cost: z.number(),
  progress: count,
});

const recipientSchema = z.object({
  id: z.string(),
  status: z.enum(["pending", "processing", "unconfirmed", "skipped", "failed", "sent"]),
  skip_reason: z.string().nullable(),
  attempt_count: count,
  next_attempt_at: z.date(),
  lease_expires_at: time,
  message_id: z.string().nullable(),
  sent_at: time,
  error_code: z.string().nullable(),
  error_message: z.string().nullable(),
  failure_class: z.string().nullable(),
  member_count: count.nullable(),
  delivered_count: count,
  read_count: count,
  cost: z.number().nullable(),
  currency: z.string().nullable(),
});

const attemptSchema = z.object({
  id: z.string(),
  attempt_number: count,
  session_id: z.string().nullable(),
  message_id: z.string().nullable(),
  outcome: z.enum(["claimed", "accepted", "unknown", "not_found", "deferred", "skipped", "failed", "sent"]),
  error_code: z.string().nullable(),
  error_message: z.string().nullable(),
  failure_class: z.string().nullable(),
});

const campaignSchema = z.object({
  status: z.enum(["draft", "scheduled", "processing", "paused", "completed", "failed", "cancelled"]),
  started_at: time,
  completed_at: time,
});

const journalSchema = z.object({
  source: z.string(),
  reason: z.string(),
  payload: z.unknown(),
  seen_count: count,
  replayed_at: time,
});

/** The counters of a campaign, as every screen reads them. */
export async function stats(sql: Sql, campaignId: string): Promise<z.infer<typeof statsSchema>> {
  const [row] = await sql`select * from public.notification_campaign_stats where campaign_id = ${campaignId}`;
  return statsSchema.parse(row);
}

/** One recipient row. */
export async function recipientRow(sql: Sql, id: string): Promise<z.infer<typeof recipientSchema>> {
  const [row] = await sql`select * from public.notification_campaign_recipients where id = ${id}`;
  return recipientSchema.parse(row);
}

/** The attempts of a recipient, oldest first. */
export async function attemptsOf(sql: Sql, recipientId: string): Promise<z.infer<typeof attemptSchema>[]> {
  return z.array(attemptSchema).parse([
    ...await sql`select * from public.send_attempts where recipient_id = ${recipientId} order by attempt_number`,
  ]);
}

/** One campaign row. */
export async function campaignRow(sql: Sql, id: string): Promise<z.infer<typeof campaignSchema>> {
  const [row] = await sql`select * from public.notification_campaigns where id = ${id}`;
  return campaignSchema.parse(row);
}

/** The journal of events that could not be applied, oldest first. */
export async function journal(sql: Sql): Promise<z.infer<typeof journalSchema>[]> {
  return z.array(journalSchema).parse([...await sql`select * from private.webhook_events order by id`]);
}

/** Ends the leases of rows that are being sent, as if their time had passed. */
export async function endLeases(sql: Sql): Promise<void> {
  await sql`
    update public.notification_campaign_recipients
    set lease_expires_at = now() - interval '1 second'
    where status = 'processing'
  `;
}

/** Makes rows due that wait for their next attempt, as if their time had come. */
export async function makeDue(sql: Sql): Promise<void> {
  await sql`
    update public.notification_campaign_recipients
    set next_attempt_at = now() - interval '1 second'
    where status = 'pending'
  `;
}
