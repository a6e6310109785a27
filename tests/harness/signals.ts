import { z } from "zod";
import type { Sql } from "./connect.ts";

/** A sender as signals and people leave it. */
export interface SenderState {
  readonly status: "active" | "paused" | "restricted";
  readonly status_reason: string | null;
  readonly is_stopped_automatically: boolean;
  readonly daily_limit: number | null;
}

const count = z.number().int();
const signalsAnswer = z.strictObject({ applied: count, ignored: count, unmatched: count, journaled: count });
const gatewayAnswer = signalsAnswer.extend({ recorded: count, duplicates: count });

/** record_sender_signals; whatever is given goes in as it is. */
export async function recordSenderSignals(sql: Sql, signals: unknown): Promise<z.infer<typeof signalsAnswer>> {
  const [row] = await sql<{ answer: unknown }[]>`
    select public.record_sender_signals(${JSON.stringify(signals)}::text::jsonb) as answer
  `;
  return signalsAnswer.parse(row?.answer);
}

/** record_gateway_events; whatever is given goes in as it is. */
export async function recordGatewayEvents(
  sql: Sql,
  callbacks: unknown,
  signals: unknown,
): Promise<z.infer<typeof gatewayAnswer>> {
  const [row] = await sql<{ answer: unknown }[]>`
    select public.record_gateway_events(${JSON.stringify(callbacks)}::text::jsonb, ${
    JSON.stringify(signals)
  }::text::jsonb) as answer
  `;
  return gatewayAnswer.parse(row?.answer);
}

/** A signal about a sender, as the webhooks hand it over. */
export function signal(
  kind: "restricted" | "restored" | "limited",
  about: { readonly sessionId?: string; readonly accountId?: string; readonly displayPhoneNumber?: string },
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    event: `sender_${kind}`,
    cause: kind === "limited" ? "limit" : "restriction",
    reason: `Meta: ${kind}`,
    timestamp: 1_790_000_000,
    payload: {},
    ...about,
    ...more,
  };
}

/** Where a sender stands, with what stopped it and how much it may send in a day. */
export async function senderState(sql: Sql, sessionId: string): Promise<SenderState> {
  const [row] = await sql<SenderState[]>`
    select status, status_reason, is_stopped_automatically, daily_limit from public.gateway_sessions where id = ${sessionId}
  `;
  if (row === undefined) throw new Error(`There is no sender ${sessionId}`);
  return { ...row };
}
