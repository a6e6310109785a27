import { z } from "zod";
import { type HealthSnapshot, healthSnapshot } from "../../supabase/functions/health/health_snapshot.ts";
import type { Sql } from "./connect.ts";

const handedOut = z.strictObject({
  id: z.number().int(),
  kind: z.enum(["opened", "resolved"]),
  cause: z.string(),
  subject: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
  opened_at: z.date(),
  resolved_at: z.date().nullable(),
});

const alarmRow = z.object({
  id: z.number().int(),
  cause: z.string(),
  subject: z.string(),
  message: z.string(),
  last_seen_at: z.date(),
  opened_at: z.date().nullable(),
  gone_at: z.date().nullable(),
  resolved_at: z.date().nullable(),
  posted_at: z.date().nullable(),
  recovery_posted_at: z.date().nullable(),
});

/** An alarm that is to be posted. */
export type HandedOut = z.infer<typeof handedOut>;

/** What may differ from a check of everything that every gateway can send. */
export interface CheckOptions {
  readonly silence?: string | null;
  readonly gateways?: readonly string[] | null;
  readonly defaultSenders?: Readonly<Record<string, string>>;
  readonly limit?: number;
  readonly settle?: string;
}

/** check_alarms */
export async function checkAlarms(sql: Pick<Sql, "unsafe">, options: CheckOptions = {}): Promise<HandedOut[]> {
  const { silence = "15 minutes", gateways = null, defaultSenders = {}, limit = 20, settle = "1 minute" } = options;
  return z.array(handedOut).parse([
    ...await sql.unsafe(
      "select * from public.check_alarms($1::text::interval, $2::text[], $3::text::jsonb, $4::integer, $5::text::interval)",
      [silence, gateways === null ? null : [...gateways], JSON.stringify(defaultSenders), limit, settle],
    ),
  ]);
}

/** record_alarms_posted; how many this was news for. */
export async function recordAlarmsPosted(
  sql: Pick<Sql, "unsafe">,
  alarms: readonly Pick<HandedOut, "id" | "kind">[],
): Promise<number> {
  const ids = (kind: HandedOut["kind"]) => alarms.filter((each) => each.kind === kind).map(({ id }) => id);
  const [row] = await sql.unsafe<{ answer: number }[]>(
    "select public.record_alarms_posted($1::bigint[], $2::bigint[]) as answer",
    [ids("opened"), ids("resolved")],
  );
  return row?.answer ?? 0;
}

/** Every alarm there is, those that trouble nobody yet included, by id. */
export async function alarmRows(sql: Sql): Promise<z.infer<typeof alarmRow>[]> {
  return z.array(alarmRow).parse([...await sql`select * from private.alarms order by id`]);
}

/** Everything about alarms that lies in time, so much earlier. */
export async function ageAlarms(sql: Sql, by: string): Promise<void> {
  await sql`
    update private.alarms set
      first_seen_at = first_seen_at - ${by}::text::interval,
      last_seen_at = last_seen_at - ${by}::text::interval,
      opens_at = opens_at - ${by}::text::interval,
      opened_at = opened_at - ${by}::text::interval,
      gone_at = gone_at - ${by}::text::interval,
      resolved_at = resolved_at - ${by}::text::interval,
      next_post_at = next_post_at - ${by}::text::interval
  `;
}

/** health_snapshot, of the shape that the function health knows. */
export async function snapshotOf(sql: Pick<Sql, "unsafe">, silence = "15 minutes"): Promise<HealthSnapshot> {
  const [row] = await sql.unsafe<{ answer: unknown }[]>("select public.health_snapshot($1::text::interval) as answer", [
    silence,
  ]);
  return healthSnapshot.parse(row?.answer);
}

/** Rows of a sender's life, so much earlier: its attempts, and when it was last given one and last heard. */
export async function ageSends(sql: Sql, sessionId: string, by: string): Promise<void> {
  await sql`
    update public.send_attempts set
      claimed_at = claimed_at - ${by}::text::interval,
      accepted_at = accepted_at - ${by}::text::interval,
      finished_at = finished_at - ${by}::text::interval
    where session_id = ${sessionId}
  `;
  await sql`
    update private.session_states set
      last_claimed_at = last_claimed_at - ${by}::text::interval,
      last_heard_at = last_heard_at - ${by}::text::interval,
      next_send_at = next_send_at - ${by}::text::interval
    where session_id = ${sessionId}
  `;
}

/** Campaigns and their senders as if nothing had happened to them for so long. */
export async function ageCampaigns(sql: Sql, by: string): Promise<void> {
  await sql.begin(async (transaction) => {
    // or the triggers would write down that they have just been changed
    await transaction`set local session_replication_role = replica`;
    await transaction`update public.notification_campaigns set updated_at = updated_at - ${by}::text::interval`;
    await transaction`
      update public.notification_campaign_recipients set next_attempt_at = next_attempt_at - ${by}::text::interval
    `;
    await transaction`update public.gateway_sessions set activated_at = activated_at - ${by}::text::interval`;
  });
}
