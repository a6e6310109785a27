import { empty, tidy } from "../database.ts";
import { openClients } from "../load/clients.ts";
import type { Measurement } from "../measurement.ts";
import { newReceipts, type Receipt, RECORD_RECEIPTS } from "../receipts.ts";
import { addSentGroups, seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const CLIENTS = 32;
const GROUPS = 50;
/** Sessions of the gateway that are in the same group: each reports every delivery. */
const REPORTERS = 3;

/** record_receipts / reading a counter and writing it back one higher, the same receipts for both. */
export const readThenWrite: Measurement = {
  name: "read-then-write",
  async run({ sql, stack, quick, say }) {
    const people = quick ? 300 : 1_000;
    const rounds = quick ? 2 : 5;
    say(`record_receipts / read, then write: ${rounds} rounds of ${people * REPORTERS} receipts, a third of them new`);
    await empty(sql);
    await seedSender(sql);
    const messageIds = await addSentGroups(sql, { campaigns: 1, groups: GROUPS });
    await sql.unsafe(`
      create schema if not exists bench;
      drop table if exists bench.groups;
      create table bench.groups (message_id text primary key, delivered_count integer not null default 0);
      insert into bench.groups (message_id) select r.message_id from public.notification_campaign_recipients r
    `).simple();

    const url = stack.databaseUrl;
    const statement = RECORD_RECEIPTS;
    const record = await openClients({ kind: "statement", url, clients: CLIENTS, settings: {}, statement });
    const pattern = await openClients({ kind: "read_then_write", url, clients: CLIENTS });
    let [recorded, patterned] = [0, 0];
    const rates = await inTurns(rounds, {
      record: () => {
        recorded += people;
        return record.run(reports(newReceipts(people, messageIds)).map((receipt) => JSON.stringify([receipt])));
      },
      pattern: () => {
        patterned += people;
        return pattern.run(reports(newReceipts(people, messageIds)).map((receipt) => receipt.messageId));
      },
    }, () => tidy(sql));
    await Promise.all([record.close(), pattern.close()]);

    const [counts] = await sql<{ ours: number; stats: number; theirs: number }[]>`
      select
        (select sum(r.delivered_count)::integer from public.notification_campaign_recipients r) as ours,
        (select sum(s.delivered_count)::integer from public.notification_campaign_stats s) as stats,
        (select sum(g.delivered_count)::integer from bench.groups g) as theirs
    `;
    await sql`drop schema bench cascade`;
    if (counts === undefined) throw new Error("The counts could not be read");
    return [{
      name: "record_receipts / read a counter, write it back + 1",
      ratio: rates.ratio("record", "pattern"),
      goal: null,
      figures: {
        "record_receipts/s": rates.median("record"),
        "read-then-write/s": rates.median("pattern"),
        "deliveries": recorded,
        "record_receipts: lost": Math.max(0, recorded - counts.ours) + Math.abs(counts.ours - counts.stats),
        "record_receipts: doubled": Math.max(0, counts.ours - recorded),
        "read-then-write: lost": patterned * REPORTERS - counts.theirs,
        "read-then-write: doubled": patterned * (REPORTERS - 1),
        rounds,
      },
    }];
  },
};

/** Every receipt from each of the reporters, in any order. */
function reports(receipts: readonly Receipt[]): Receipt[] {
  return Array.from({ length: REPORTERS }, () => receipts).flat()
    .map((receipt) => ({ receipt, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ receipt }) => receipt);
}
