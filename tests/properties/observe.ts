import { z } from "zod";
import type { Sql } from "../harness/mod.ts";
import { outcomeOf } from "./model.ts";
import type { Subject } from "./subjects.ts";

const rowSchema = z.object({
  id: z.string(),
  status: z.string(),
  message_id: z.string().nullable(),
  has_error: z.boolean(),
  has_time: z.boolean(),
  has_lease: z.boolean(),
  delivered_count: z.number(),
  read_count: z.number(),
  identified_delivered_count: z.number(),
  identified_read_count: z.number(),
  messages: z.array(z.string()),
  attempted: z.array(z.string()),
});

/** The rows of a recipient, as far as the events decide them. */
export type Row = z.infer<typeof rowSchema>;

/** The rows of many recipients, by id. */
export async function readRows(sql: Sql, subjects: readonly Subject[]): Promise<Map<string, Row>> {
  const rows = await sql`
    select
      r.id, r.status, r.message_id, r.error_message is not null as has_error, r.sent_at is not null as has_time,
      r.lease_expires_at is not null as has_lease, r.delivered_count, r.read_count,
      r.identified_delivered_count, r.identified_read_count,
      array(select i.message_id from private.message_ids i where i.recipient_id = r.id order by i.message_id) as messages,
      array(
        select a.message_id from public.send_attempts a where a.recipient_id = r.id and a.message_id is not null
      ) as attempted
    from public.notification_campaign_recipients r
    where r.id = any (${subjects.map(({ recipientId }) => recipientId)}::uuid[])
  `;
  return new Map(z.array(rowSchema).parse([...rows]).map((row) => [row.id, row]));
}

/** How the rows of a recipient differ from what its events say, a line each; empty: not at all. */
export function differencesOf(subject: Subject, row: Row | undefined): string[] {
  if (row === undefined) return ["the row is gone"];
  const expected = outcomeOf(subject.history);
  const suffix = `-${subject.recipientId}`;
  const messages = row.messages.map((id) => id.replace(suffix, ""));
  const attempted = row.attempted.map((id) => id.replace(suffix, ""));
  const isSent = row.status === "sent";
  const pairs = [
    ["status", row.status, expected.status],
    ["delivered_count", row.delivered_count, expected.delivered],
    ["read_count", row.read_count, expected.read],
    ["identified_delivered_count", row.identified_delivered_count, expected.identifiedDelivered],
    ["identified_read_count", row.identified_read_count, expected.identifiedRead],
    ["known message ids", messages.join(), expected.messages.join()],
    ["sent message without an attempt", expected.sentMessages.filter((id) => !attempted.includes(id)).join(), ""],
    ["has a time of sending", row.has_time, isSent],
    ["has a lease", row.has_lease, row.status === "processing"],
    ["has an error", isSent && row.has_error, false],
    ["has a reason", row.status === "failed" && !row.has_error, false],
    ["message_id is another's", row.message_id !== null && !row.messages.includes(row.message_id), false],
    ["message_id is missing", expected.carriesMessage && row.message_id === null, false],
  ] as const;
  return pairs.filter(([, actual, wanted]) => actual !== wanted)
    .map(([what, actual, wanted]) => `${what} is ${actual}, the events say ${wanted}`);
}
