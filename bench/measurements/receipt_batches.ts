import { connect, empty, tidy } from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { newReceipt, type Receipt, RECORD_RECEIPTS } from "../receipts.ts";
import { addSentGroups, seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const BATCH = 1_000;
const GROUPS_PER_BATCH = 20;

/** A table like message_receipts in everything but its triggers. */
const RAW_TABLE = `
  create schema if not exists bench;
  drop table if exists bench.raw_receipts;
  create table bench.raw_receipts (like public.message_receipts including all) with (fillfactor = 85)
`;
const RAW_INSERT = `
  insert into bench.raw_receipts (message_id, reader, session_id, delivered_at, last_change)
  select e."messageId", e.reader, e."sessionId", to_timestamp(e."timestamp"), 1
  from jsonb_to_recordset($1::text::jsonb) as e ("messageId" text, reader text, "sessionId" text, "timestamp" bigint)
  on conflict do nothing
`;

/** A batch that is matched, counted and answered for / the bare insert of its rows. */
export const receiptBatches: Measurement = {
  name: "receipt-batches",
  async run({ sql, stack, quick, say }) {
    const rounds = quick ? 15 : 60;
    say(`batches of ${BATCH}: record_receipts / raw insert, ${rounds} rounds`);
    await empty(sql);
    await seedSender(sql);
    await sql.unsafe(RAW_TABLE).simple();
    const messageIds = await addSentGroups(sql, { campaigns: 1, groups: BATCH });
    const client = connect(stack.databaseUrl, 1);
    const run = (statement: string, makeBatch: () => Receipt[]) => async () => {
      const batch = JSON.stringify(makeBatch());
      const began = performance.now();
      await client.unsafe(statement, [batch], { prepare: true });
      return BATCH / ((performance.now() - began) / 1000);
    };
    const overFew = () => Array.from({ length: BATCH }, (_, n) => newReceipt(messageIds[n % GROUPS_PER_BATCH] ?? ""));
    const overMany = () => messageIds.map((messageId) => newReceipt(messageId));
    const few = await inTurns(rounds, { record: run(RECORD_RECEIPTS, overFew), raw: run(RAW_INSERT, overFew) });
    await tidy(sql);
    const many = await inTurns(rounds, { record: run(RECORD_RECEIPTS, overMany), raw: run(RAW_INSERT, overMany) });
    await client.end({ timeout: 5 });
    await sql`drop schema bench cascade`;
    return [{
      name: "batch of 1,000 receipts through record_receipts / raw insert … on conflict do nothing",
      ratio: few.ratio("record", "raw"),
      goal: 0.5,
      figures: {
        "record_receipts/s": few.median("record"),
        "raw rows/s": few.median("raw"),
        "ratio, 1,000 messages": many.ratio("record", "raw"),
        rounds,
        "ratio between": few.spread("record", "raw"),
      },
    }];
  },
};
