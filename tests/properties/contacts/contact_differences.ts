import { z } from "zod";
import type { Sql } from "../../harness/mod.ts";
import { contactOutcomeOf } from "./contact_model.ts";
import type { ContactSubject } from "./contact_subjects.ts";

const rowSchema = z.object({
  id: z.string(),
  status: z.string(),
  message_id: z.string().nullable(),
  has_error: z.boolean(),
  has_class: z.boolean(),
  has_time: z.boolean(),
  has_lease: z.boolean(),
  delivered_count: z.number(),
  read_count: z.number(),
  cost: z.number(),
  messages: z.array(z.string()),
  attempted: z.array(z.string()),
});
type Row = z.infer<typeof rowSchema>;

/** How the rows of contacts differ from what their events say, a line each, for those that differ at all. */
export async function contactDifferences(
  sql: Sql,
  subjects: readonly ContactSubject[],
): Promise<Map<ContactSubject, string[]>> {
  const rows = await sql`
    select
      r.id, r.status, r.message_id, r.error_message is not null as has_error, r.failure_class is not null as has_class,
      r.sent_at is not null as has_time, r.lease_expires_at is not null as has_lease, r.delivered_count, r.read_count,
      coalesce(r.cost, 0) as cost,
      array(select i.message_id from private.message_ids i where i.recipient_id = r.id order by i.message_id) as messages,
      array(
        select a.message_id from public.send_attempts a where a.recipient_id = r.id and a.message_id is not null
      ) as attempted
    from public.notification_campaign_recipients r
    where r.id = any (${subjects.map(({ recipientId }) => recipientId)}::uuid[])
  `;
  const byId = new Map(z.array(rowSchema).parse([...rows]).map((row) => [row.id, row]));
  const found = new Map<ContactSubject, string[]>();
  for (const subject of subjects) {
    const row = byId.get(subject.recipientId);
    const differences = row === undefined ? ["the row is gone"] : differencesOf(subject, row);
    if (differences.length > 0) found.set(subject, differences);
  }
  return found;
}

function differencesOf(subject: ContactSubject, row: Row): string[] {
  const expected = contactOutcomeOf(subject.history);
  const named = (id: string) => id.replace(`-${subject.recipientId}`, "");
  const attempted = new Set(row.attempted.map(named));
  const carried = row.message_id === null ? null : named(row.message_id);
  const isSent = row.status === "sent";
  const pairs = [
    ["status", row.status, expected.status],
    ["delivered_count", row.delivered_count, expected.delivered],
    ["read_count", row.read_count, expected.read],
    ["cost", row.cost, expected.cost],
    ["known message ids", row.messages.map(named).join(), expected.messages.join()],
    ["sent message without an attempt", expected.sentMessages.filter((name) => !attempted.has(name)).join(), ""],
    ["is sent under an id that is not its own", isSent && !expected.messages.some((name) => name === carried), false],
    ["is sent and has no time of sending", isSent && !row.has_time, false],
    ["has a lease", row.has_lease, row.status === "processing"],
    ["has an error", row.has_error, row.status === "failed"],
    ["has a class of failure", row.has_class, row.status === "failed"],
  ] as const;
  return pairs.filter(([, actual, wanted]) => actual !== wanted)
    .map(([what, actual, wanted]) => `${what} is ${actual}, the events say ${wanted}`);
}
