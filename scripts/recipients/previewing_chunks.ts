import type { Sql } from "../command/connect.ts";
import { inTransaction } from "../command/in_transaction.ts";
import type { TakeChunk } from "./take_chunk.ts";

/** Says what adding the chunks would come to, and changes nothing. */
export function previewingChunks(sql: Sql, campaignId: string, channel: string): TakeChunk {
  const spellings = new Set<string>();
  const people = new Set<string>();
  return async (recipients) => {
    const rows = await inTransaction(sql, async (transaction) => ({
      keep: false,
      value: await transaction<{ recipient: string; address: string; is_there: boolean; is_known: boolean }[]>`
        select
          u.recipient,
          private.address_of(u.recipient) as address,
          exists (
            select 1
            from public.notification_campaign_recipients r
            where r.campaign_id = ${campaignId} and r.recipient = u.recipient
          ) as is_there,
          exists (
            select 1
            from public.notification_campaign_recipients r
            where r.campaign_id = ${campaignId} and r.address = private.address_of(u.recipient)
              and r.skip_reason is distinct from 'duplicate_recipient'
          ) as is_known
        from unnest(${recipients.map(({ recipient }) => recipient)}::text[]) with ordinality as u (recipient, place)
        order by u.place
      `,
    }));
    const counts = { added: 0, duplicates: 0, otherSpellings: 0, refused: 0, problems: [] };
    for (const row of rows) {
      const { recipient, address } = row;
      if (row.is_there || spellings.has(recipient)) counts.duplicates++;
      else if (channel !== "whatsapp_group" && (row.is_known || people.has(address))) counts.otherSpellings++;
      else counts.added++;
      spellings.add(recipient);
      people.add(address);
    }
    return counts;
  };
}
