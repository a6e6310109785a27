import { connect } from "./database.ts";

/**
 * Fills a database that {@linkcode loadHistory} has filled with the receipts behind its counts: so many deliveries for
 * each message, as record_receipts would have left them. The triggers are off while it loads. Ids of messages are random,
 * as in life, but their receipts are written in the order of their key, which is what makes it fast.
 *
 * @param readers deliveries for each message
 */
export async function loadReceipts(url: string, readers: number): Promise<void> {
  const connections = [connect(url, 1), connect(url, 1)];
  const [first] = connections;
  try {
    // Each writes its half of the keys, one behind the other, so that both fill pages to the end.
    await Promise.all(connections.map(async (sql, half) => {
      await sql.unsafe("set session_replication_role = replica");
      await sql.unsafe(`
        insert into public.message_receipts (message_id, reader, recipient_id, delivered_at, session_id, last_change)
        select i.message_id, r.reader, i.recipient_id, now() - interval '30 days', 'wa_bench', 1
        from (
          select m.*
          from private.message_ids m
          where (m.message_id < '3EB08') = ${half === 0}
          order by m.message_id
        ) as i
        cross join (
          select '9197' || (10000000 + n) || '@s.whatsapp.net' as reader
          from generate_series(1, ${readers}) as n
        ) as r;
      `);
    }));
    await first?.unsafe("vacuum (analyze) public.message_receipts");
    await first?.unsafe("checkpoint");
  } finally {
    await Promise.all(connections.map((sql) => sql.end({ timeout: 5 })));
  }
}
