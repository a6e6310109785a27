import type { Sql } from "postgres";
import { empty } from "../database.ts";
import { newInboundMessages } from "../inbound.ts";
import type { Measurement, Row } from "../measurement.ts";
import { metaPost } from "../meta_post.ts";
import { RECORD_RECEIPTS } from "../receipts.ts";
import { addDueContacts, addDueGroups, seedPhoneNumber, seedSender } from "../seed.ts";
import { wamid } from "../wamid.ts";

const BATCH = 500;
const READERS = 50;

/** What the tables, their indexes and the write-ahead log hold, in bytes. */
interface Bytes {
  readonly heap: number;
  readonly indexes: number;
  readonly log: number;
}

/** A message that was sent. */
interface Sent {
  readonly recipient: string;
  readonly messageId: string;
}

/** What a recipient, a receipt and an inbound message take, step by step. */
export const sizes: Measurement = {
  name: "sizes",
  async run({ sql, quick, say }) {
    const contacts = quick ? 5_000 : 100_000;
    const groups = quick ? 1_000 : 10_000;
    const rows: Row[] = [];
    const step = async (name: string, count: number, work: () => Promise<unknown>) => {
      say(`${count.toLocaleString("en-US")} times: ${name}`);
      rows.push(await grown(sql, name, count, work));
    };
    const begin = async () => {
      await empty(sql);
      await seedSender(sql);
      await seedPhoneNumber(sql);
    };

    await begin();
    let sent: Sent[] = [];
    const claims: { client_message_id: string; recipient: string }[] = [];
    await step("contact added", contacts, () => addDueContacts(sql, contacts));
    await step("contact claimed", contacts, async () => claims.push(...await claimAll(sql)));
    await step("contact sent", contacts, async () => sent = await settleAll(sql, claims));
    for (const event of ["message_sent", "message_delivered", "message_read"] as const) {
      await step(`contact's ${event.slice(8)} receipt`, contacts, () => report(sql, event, sent, () => ["recipient"]));
    }

    // pages with room on them would be filled first
    await begin();
    await step("group added", groups, () => addDueGroups(sql, groups));
    claims.length = 0;
    await step("group claimed", groups, async () => claims.push(...await claimAll(sql)));
    await step("group sent", groups, async () => sent = await settleAll(sql, claims));
    const readers = Array.from({ length: READERS }, (_, n) => `91987${1_000_000 + n}@s.whatsapp.net`);
    await step(
      `group's delivered receipt, ${READERS} each`,
      groups * READERS,
      () => report(sql, "message_delivered", sent, () => readers),
    );
    await step(
      `group's read receipt, ${READERS} each`,
      groups * READERS,
      () => report(sql, "message_read", sent, () => readers),
    );

    await begin();
    const inbound = contacts / 5;
    await step("inbound message", inbound, async () => {
      for (let done = 0; done < inbound; done += BATCH) {
        const { messages } = metaPost(newInboundMessages(Math.min(BATCH, inbound - done)));
        await sql`select public.record_inbound_messages(${JSON.stringify(messages)}::text::jsonb)`;
      }
    });
    return rows;
  },
};

/** What one of so many took. The log is read before the tables are vacuumed, as autovacuum would do. */
async function grown(sql: Sql, name: string, count: number, work: () => Promise<unknown>): Promise<Row> {
  await sql.unsafe("checkpoint");
  const before = await bytes(sql);
  await work();
  const { log } = await bytes(sql);
  while ((await sql<{ folded: number }[]>`select public.fold_campaign_counters() as folded`)[0]?.folded !== 0);
  await sql.unsafe("vacuum analyze");
  const after = await bytes(sql);
  return {
    name,
    ratio: null,
    goal: null,
    figures: {
      "heap bytes": Math.round((after.heap - before.heap) / count),
      "index bytes": Math.round((after.indexes - before.indexes) / count),
      "log bytes": Math.round((log - before.log) / count),
      of: count,
    },
  };
}

async function bytes(sql: Sql): Promise<Bytes> {
  const [row] = await sql<Record<keyof Bytes, string>[]>`
    select
      sum(pg_table_size(c.oid)) as heap,
      sum(pg_indexes_size(c.oid)) as indexes,
      pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as log
    from pg_catalog.pg_class c
    where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
  `;
  if (row === undefined) throw new Error("There are no tables");
  return { heap: Number(row.heap), indexes: Number(row.indexes), log: Number(row.log) };
}

async function claimAll(sql: Sql): Promise<{ client_message_id: string; recipient: string }[]> {
  const all: { client_message_id: string; recipient: string }[] = [];
  while (true) {
    const claimed = await sql<{ client_message_id: string; recipient: string }[]>`
      select client_message_id, recipient from public.claim_recipients(${BATCH}::integer)
    `;
    if (claimed.length === 0) return all;
    all.push(...claimed);
  }
}

async function settleAll(
  sql: Sql,
  claims: readonly { client_message_id: string; recipient: string }[],
): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (let done = 0; done < claims.length; done += BATCH) {
    const batch = claims.slice(done, done + BATCH).map(({ client_message_id, recipient }) => ({
      clientMessageId: client_message_id,
      outcome: "sent",
      recipient,
      messageId: recipient.endsWith("@g.us")
        ? `3EB0${crypto.randomUUID().replaceAll("-", "").toUpperCase()}`
        : wamid(recipient),
    }));
    await sql`select public.record_send_results(${JSON.stringify(batch)}::text::jsonb)`;
    sent.push(...batch);
  }
  return sent;
}

async function report(
  sql: Sql,
  event: "message_sent" | "message_delivered" | "message_read",
  sent: readonly Sent[],
  readersOf: (message: Sent) => readonly string[],
): Promise<void> {
  let receipts: Record<string, unknown>[] = [];
  const flush = async () => {
    if (receipts.length > 0) await sql.unsafe(RECORD_RECEIPTS, [JSON.stringify(receipts)]);
    receipts = [];
  };
  for (const message of sent) {
    for (const reader of readersOf(message)) {
      receipts.push({ event, messageId: message.messageId, reader, sessionId: "wa_bench", timestamp: 1_793_000_000 });
      if (receipts.length === BATCH) await flush();
    }
  }
  await flush();
}
