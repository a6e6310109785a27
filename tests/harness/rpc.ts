import { z } from "zod";
import type { Sql } from "./connect.ts";
import type { Channel } from "./campaigns.ts";

/** What claim_recipients hands out. */
export interface Claim {
  readonly client_message_id: string;
  readonly recipient_id: string;
  readonly campaign_id: string;
  readonly channel: Channel;
  readonly gateway: string;
  readonly session_id: string;
  readonly recipient: string;
  readonly content: unknown;
  readonly variables: unknown;
  readonly attempt_number: number;
  /** Null where the sender has no pace. */
  readonly send_after_ms: number | null;
}

/** What may differ from a claim of up to 50. */
export interface ClaimOptions {
  readonly limit?: number | null;
  readonly lease?: string | null;
  readonly excludeSessions?: readonly string[];
  readonly gateways?: readonly string[] | null;
  /** The sender of each gateway for organizations that have none. */
  readonly defaultSenders?: Readonly<Record<string, string>>;
  /** Spread what a sender sends over the minute, and claim what has its turn within so long. */
  readonly paceAhead?: string;
}

/** A result of a send, in the words of the wire. */
export interface SendResult {
  readonly clientMessageId: string;
  readonly outcome: "accepted" | "sent" | "skipped" | "failed" | "deferred" | "unknown" | "not_found";
  readonly messageId?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly retryAfterSeconds?: number;
  readonly leaseSeconds?: number;
  readonly asked?: boolean;
  readonly pollAfterSeconds?: number;
  readonly waId?: string;
}

const count = z.number().int();
const sendResultsAnswer = z.strictObject({ recorded: count, superseded: count });
const sendCallbackAnswer = z.strictObject({ recorded: count, duplicates: count, unmatched: count, journaled: count });
const inboundAnswer = z.strictObject({
  stored: count,
  duplicates: count,
  journaled: count,
  opted_out: count,
  opted_in: count,
});
const receiptsAnswer = z.strictObject({ recorded: count, duplicates: count, parked: count, journaled: count });

/** claim_recipients */
export async function claim(sql: Sql, options: ClaimOptions = {}): Promise<Claim[]> {
  return [
    ...await sql<Claim[]>`
      select * from public.claim_recipients(
        p_limit => ${options.limit === undefined ? 50 : options.limit}::integer,
        p_lease => ${options.lease ?? null}::interval,
        p_exclude_sessions => ${[...options.excludeSessions ?? []]}::text[],
        p_gateways => ${
      options.gateways === undefined || options.gateways === null ? null : [...options.gateways]
    }::text[],
        p_default_senders => ${sql.json(options.defaultSenders ?? {})},
        p_pace_ahead => ${options.paceAhead ?? null}::interval
      )
    `,
  ];
}

/** claim_recipients, of which exactly one row is expected. */
export async function claimOne(sql: Sql, options: ClaimOptions = {}): Promise<Claim> {
  const claims = await claim(sql, options);
  const [first] = claims;
  if (first === undefined || claims.length > 1) throw new Error(`Expected one claim, not ${claims.length}`);
  return first;
}

/** record_send_results */
export async function recordSendResults(
  sql: Sql,
  results: readonly SendResult[],
): Promise<z.infer<typeof sendResultsAnswer>> {
  return sendResultsAnswer.parse(await call(sql, "record_send_results", results));
}

/** record_send_callback with one event, or an array; whatever is given goes in as it is. */
export async function recordSendCallback(sql: Sql, event: unknown): Promise<z.infer<typeof sendCallbackAnswer>> {
  return sendCallbackAnswer.parse(await call(sql, "record_send_callback", event));
}

/** record_receipts; whatever is given goes in as it is. */
export async function recordReceipts(sql: Sql, receipts: unknown): Promise<z.infer<typeof receiptsAnswer>> {
  return receiptsAnswer.parse(await call(sql, "record_receipts", receipts));
}

/** record_inbound_messages; whatever is given goes in as it is. */
export async function recordInboundMessages(sql: Sql, messages: unknown): Promise<z.infer<typeof inboundAnswer>> {
  return inboundAnswer.parse(await call(sql, "record_inbound_messages", messages));
}

/** increment_delivered_count */
export async function incrementDeliveredCount(sql: Sql, groupId: string): Promise<number | null> {
  const [row] = await sql<{ answer: number | null }[]>`select public.increment_delivered_count(${groupId}) as answer`;
  return row?.answer ?? null;
}

/** recover_stale_recipients */
export async function recoverStale(sql: Sql, askedAtLeast = 0): Promise<number> {
  return await integer(sql`select public.recover_stale_recipients(${askedAtLeast}::integer) as answer`);
}

/** claim_stale_attempts */
export async function claimStale(
  sql: Sql,
  limit = 100,
): Promise<
  {
    client_message_id: string;
    campaign_id: string;
    channel: Channel;
    gateway: string;
    session_id: string;
    recipient: string;
  }[]
> {
  return [
    ...await sql<
      {
        client_message_id: string;
        campaign_id: string;
        channel: Channel;
        gateway: string;
        session_id: string;
        recipient: string;
      }[]
    >`select * from public.claim_stale_attempts(${limit}::integer)`,
  ];
}

/** start_due_campaigns */
export async function startDueCampaigns(sql: Sql): Promise<number> {
  return await integer(sql`select public.start_due_campaigns() as answer`);
}

/** finalize_campaigns */
export async function finalizeCampaigns(sql: Sql): Promise<number> {
  return await integer(sql`select public.finalize_campaigns() as answer`);
}

/** fold_campaign_counters */
export async function foldCounters(sql: Sql): Promise<number> {
  return await integer(sql`select public.fold_campaign_counters() as answer`);
}

/** replay_webhook_events, from the beginning; how many events it tried and found a use for. */
export async function replayWebhookEvents(sql: Sql): Promise<{ tried: number; matched: number }> {
  const [row] = await sql<{ answer: unknown }[]>`select public.replay_webhook_events() as answer`;
  const { tried, matched } = z.strictObject({ tried: count, matched: count, refused: count, last_id: count }).parse(
    row?.answer,
  );
  return { tried, matched };
}

/** A `message_sent` callback for a claim. */
export function sentCallback(
  claimed: Pick<Claim, "client_message_id" | "session_id" | "recipient">,
  messageId: string,
): Record<string, unknown> {
  return {
    event: "message_sent",
    sessionId: claimed.session_id,
    groupJid: claimed.recipient,
    messageId,
    status: "sent",
    error: null,
    timestamp: 1_790_000_000,
    clientMessageId: claimed.client_message_id,
  };
}

/** A `message_failed` callback for a claim. */
export function failedCallback(
  claimed: Pick<Claim, "client_message_id" | "session_id" | "recipient">,
  error = "not a participant",
): Record<string, unknown> {
  return {
    event: "message_failed",
    sessionId: claimed.session_id,
    groupJid: claimed.recipient,
    messageId: null,
    status: "failed",
    error,
    timestamp: 1_790_000_000,
    clientMessageId: claimed.client_message_id,
  };
}

/** The same callback without clientMessageId, as from a gateway that does not give it back. */
export function withoutId(callback: Record<string, unknown>): Record<string, unknown> {
  const { clientMessageId: _dropped, ...rest } = callback;
  return rest;
}

/** A receipt. */
export function receipt(
  event: "message_delivered" | "message_read" | "message_played",
  messageId: string,
  reader: string | null,
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return { event, messageId, reader, sessionId: "wa_reporter", timestamp: 1_790_000_100, ...more };
}

async function call(
  sql: Sql,
  name: "record_send_results" | "record_send_callback" | "record_receipts" | "record_inbound_messages",
  argument: unknown,
): Promise<unknown> {
  const text = JSON.stringify(argument);
  const [row] = await sql<{ answer: unknown }[]>`select public.${sql(name)}(${text}::text::jsonb) as answer`;
  return row?.answer;
}

async function integer(rows: PromiseLike<readonly Record<string, unknown>[]>): Promise<number> {
  const [row] = await rows;
  return count.parse(row?.answer);
}
