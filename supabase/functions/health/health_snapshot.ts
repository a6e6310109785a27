import { z } from "zod";

const count = z.number().int();
const seconds = count.nullable();
/** As Postgres writes it in JSON. */
const time = z.string().nullable();

/** What the database says of itself: `health_snapshot`. Counts stop at 10,001, which means more than 10,000. */
export const healthSnapshot = z.object({
  checked_at: z.string(),
  silence_seconds: count,
  alarms: z.array(z.object({
    cause: z.string(),
    subject: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
    opened_at: z.string(),
  })),
  queue: z.object({
    processing_campaigns: count,
    pending: count,
    processing: count,
    due: count,
    oldest_due_at: time,
    oldest_due_seconds: seconds,
    past_lease: count,
    unconfirmed: count,
  }),
  campaigns_with_due: z.record(z.string(), count),
  receipts: z.object({ parked_messages: count, oldest_parked_at: time, oldest_parked_seconds: seconds }),
  journal: z.array(z.object({
    reason: z.string(),
    count,
    last_hour_count: count,
    oldest_at: time,
    oldest_seconds: seconds,
  })),
  senders: z.array(z.object({
    session_id: z.string(),
    organization_id: z.string().nullable(),
    status: z.string(),
    reason: z.string().nullable(),
    is_stopped_automatically: z.boolean(),
    hold_expires_at: time,
    messages_per_minute: count.nullable(),
    daily_limit: count.nullable(),
    daily_allowance: count.nullable(),
    next_send_at: time,
    last_claimed_at: time,
    last_heard_at: time,
    deaf_since: time,
    deaf_seconds: seconds,
    is_deaf: z.boolean(),
    attempts_last_minute: count.nullable(),
    attempts_last_day: count.nullable(),
  })),
  processor: z.object({ last_run_at: time, last_run_seconds: seconds, gateways: z.array(z.string()).nullable() }),
  audit: z.object({
    last_audit_at: time,
    last_audit_seconds: seconds,
    has_changes: z.boolean(),
    /** Null: not known. */
    campaigns_waiting: count.nullable(),
  }),
  discrepancies: count,
});

/** See {@linkcode healthSnapshot}. */
export type HealthSnapshot = z.output<typeof healthSnapshot>;
