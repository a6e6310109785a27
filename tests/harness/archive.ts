import { z } from "zod";
import type { Sql } from "./connect.ts";

const count = z.number().int();
const answer = z.strictObject({ archived: count, recipients_deleted: count, remaining: count });

/** archive_campaigns, once. */
export async function archive(sql: Sql, olderThan = "1 year", limit = 10_000): Promise<z.infer<typeof answer>> {
  const [row] = await sql`select public.archive_campaigns(${olderThan}::text::interval, ${limit}::integer) as answer`;
  return answer.parse(row?.answer);
}

/** Makes a campaign over since two years ago, as far as its times say. */
export async function backDate(sql: Sql, campaignId: string, ago = "2 years"): Promise<void> {
  // updated_at says when a cancelled one ended, and follows every update
  await sql.unsafe(`
    alter table public.notification_campaigns disable trigger complete_campaign;
    update public.notification_campaigns
    set updated_at = now() - interval '${ago}', completed_at = completed_at - interval '${ago}'
    where id = '${campaignId}';
    alter table public.notification_campaigns enable trigger complete_campaign;
  `).simple();
}
