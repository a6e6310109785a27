import type { Sql } from "postgres";
import { empty, tidy } from "../database.ts";
import { newInboundMessages } from "../inbound.ts";
import { openClients } from "../load/clients.ts";
import type { Bench, Measurement, Row } from "../measurement.ts";
import { metaPost } from "../meta_post.ts";
import { seedPhoneNumber, seedSender } from "../seed.ts";
import { inTurns, type Rates } from "../turns.ts";

const CLIENTS = 16;
/** WhatsApp posts the same message twice at the same moment. */
const COPIES = 2;

/** A table like chat_messages in everything but its conversations. */
const RAW_TABLE = `
  create schema if not exists bench;
  drop table if exists bench.raw_messages;
  create table bench.raw_messages (like public.chat_messages including all)
`;
const RAW_INSERT = `
  insert into bench.raw_messages (conversation_id, wa_message_id, message_type, content, payload, occurred_at)
  select '00000000-0000-4000-8000-000000000000', e."messageId", e.type, e.text, e.payload, to_timestamp(e."timestamp"::bigint)
  from jsonb_to_recordset($1::text::jsonb) as e ("messageId" text, type text, text text, payload jsonb, "timestamp" text)
  on conflict do nothing
`;
const RECORD = "select public.record_inbound_messages($1::text::jsonb)";

type Side = "webhook" | "rpc" | "record" | "raw";

/** What people write, each message posted twice at once: through the webhook, the rpc and a bare insert. */
export const inbound: Measurement = {
  name: "inbound",
  async run(bench) {
    const { sql, quick } = bench;
    await empty(sql);
    await seedSender(sql);
    await seedPhoneNumber(sql);
    await sql.unsafe(RAW_TABLE).simple();
    const rows = [
      ...await measure(bench, 1, quick ? 200 : 400),
      ...await measure(bench, 100, quick ? 20 : 40),
      ...await measure(bench, 500, quick ? 6 : 12),
    ];
    await sql`drop schema bench cascade`;
    return rows;
  },
};

/** @param posts so many different ones */
async function measure({ sql, stack, quick, say }: Bench, batch: number, posts: number): Promise<Row[]> {
  const rounds = quick ? 3 : 5;
  say(`inbound: ${rounds} rounds of ${posts} posts of ${batch}, each ${COPIES} times at once, from ${CLIENTS} clients`);
  const json = { "content-type": "application/json" };
  const http = { kind: "post", clients: CLIENTS } as const;
  const direct = { kind: "statement", url: stack.databaseUrl, clients: CLIENTS, settings: {} } as const;
  const clients = {
    webhook: await openClients({
      ...http,
      url: `${stack.apiUrl}/functions/v1/whatsapp-read-receipt-webhook`,
      headers: json,
      appSecret: stack.env.WHATSAPP_APP_SECRET ?? "",
    }),
    rpc: await openClients({
      ...http,
      url: `${stack.apiUrl}/rest/v1/rpc/record_inbound_messages`,
      headers: { ...json, apikey: stack.secretKey },
      appSecret: null,
    }),
    record: await openClients({ ...direct, statement: RECORD }),
    raw: await openClients({ ...direct, statement: RAW_INSERT }),
  };
  const before = await countStored(sql);
  let recorded = 0;
  const run = (side: Side) => async () => {
    const inputs = Array.from({ length: posts }, () => {
      const { body, messages } = metaPost(newInboundMessages(batch));
      if (side === "webhook") return body;
      return JSON.stringify(side === "rpc" ? { p_messages: messages } : messages);
    });
    if (side !== "raw") recorded += posts * batch;
    // one after the other, which two clients take at the same moment
    const doubled = inputs.flatMap((input) => Array.from({ length: COPIES }, () => input));
    return await clients[side].run(doubled) * batch / COPIES;
  };
  const rates: Rates<Side> = await inTurns(rounds, {
    webhook: run("webhook"),
    rpc: run("rpc"),
    record: run("record"),
    raw: run("raw"),
  }, () => tidy(sql));
  await Promise.all(Object.values(clients).map((each) => each.close()));

  const lost = Math.abs(await countStored(sql) - before - recorded);
  const what = batch === 1 ? "single messages" : `posts of ${batch}`;
  return [{
    name: `inbound webhook / the bare rpc over HTTP: ${what}, each posted twice at once`,
    ratio: rates.ratio("webhook", "rpc"),
    goal: null,
    figures: {
      "stored/s, webhook": rates.median("webhook"),
      "stored/s, rpc": rates.median("rpc"),
      "lost or doubled": lost,
      rounds,
      "ratio between": rates.spread("webhook", "rpc"),
    },
  }, {
    name: `record_inbound_messages / raw insert … on conflict do nothing: ${what}, each twice at once`,
    ratio: rates.ratio("record", "raw"),
    goal: null,
    figures: {
      "stored/s": rates.median("record"),
      "raw rows/s": rates.median("raw"),
      "ratio, webhook / raw insert": rates.ratio("webhook", "raw"),
      rounds,
      "ratio between": rates.spread("record", "raw"),
    },
  }];
}

async function countStored(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`select count(*)::integer as count from public.chat_messages`;
  return row?.count ?? NaN;
}
