import type { Sql } from "postgres";
import { connect, empty, tidy } from "../database.ts";
import { loadHistory } from "../load_history.ts";
import { loadReceipts } from "../load_receipts.ts";
import type { Measurement, Row } from "../measurement.ts";
import { newReceipt, type Receipt, RECORD_RECEIPTS, someOf } from "../receipts.ts";
import { openSecondDatabase } from "../second_database.ts";
import { addSentGroups, seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const BATCH = 1_000;
const GROUPS_PER_BATCH = 20;
const RECEIPTS_PER_MESSAGE = 50;
const SHORT = 50_000;

/** A receipt in a database that holds millions of them / in one that holds few. */
export const receiptHistory: Measurement = {
  name: "receipt-history",
  async run({ sql, stack, quick, say }) {
    const long = quick ? 500_000 : 5_000_000;
    const rounds = quick ? 3 : 9;
    const batches = quick ? 2 : 4;
    const singles = quick ? 100 : 300;
    await empty(sql);
    await seedSender(sql);
    const shortUrl = await openSecondDatabase(sql, stack.databaseUrl, "bench_few_receipts");
    const short = connect(shortUrl, 1);
    await seedSender(short);

    say(`loading ${long.toLocaleString("en-US")} receipts`);
    const began = performance.now();
    await load(stack.databaseUrl, long);
    const loadSeconds = (performance.now() - began) / 1000;
    await load(shortUrl, SHORT);
    say(
      `loaded in ${loadSeconds.toFixed(0)} s; ${rounds} rounds of ${batches} batches of ${BATCH}, and of single ones`,
    );

    const many = connect(stack.databaseUrl, 1);
    const few = connect(shortUrl, 1);
    const compare = (ids: Record<"many" | "few", string[]>, count: number, batch: number, messages: number) => {
      const run = (client: Sql, messageIds: readonly string[]) => async () => {
        const inputs = Array.from({ length: count }, () => JSON.stringify(newBatch(messageIds, batch, messages)));
        const began = performance.now();
        for (const input of inputs) await client.unsafe(RECORD_RECEIPTS, [input], { prepare: true });
        return count * batch / ((performance.now() - began) / 1000);
      };
      const tidyBoth = () => Promise.all([tidy(many), tidy(few)]);
      return inTurns(rounds, { many: run(many, ids.many), few: run(few, ids.few) }, tidyBoth);
    };
    const late = { many: await messageIdsOf(many), few: await messageIdsOf(few) };
    const audience = { campaigns: 1, groups: BATCH };
    const recent = { many: await addSentGroups(many, audience), few: await addSentGroups(few, audience) };
    const overFew = await compare(recent, batches, BATCH, GROUPS_PER_BATCH);
    const overMany = await compare(recent, batches, BATCH, BATCH);
    const overLate = await compare(late, batches, BATCH, BATCH);
    const single = await compare(recent, singles, 1, 1);
    await Promise.all([many, few, short].map((each) => each.end({ timeout: 5 })));
    await sql.unsafe("drop database bench_few_receipts with (force)");

    const row = (what: string, rates: typeof single, figures: Row["figures"]) => ({
      name: `${what} with ${long.toLocaleString("en-US")} stored / with ${SHORT.toLocaleString("en-US")}`,
      ratio: rates.ratio("many", "few"),
      goal: 0.9,
      figures: {
        "receipts/s, many stored": rates.median("many"),
        "receipts/s, few stored": rates.median("few"),
        ...figures,
        rounds,
        "ratio between": rates.spread("many", "few"),
      },
    });
    return [
      row("batch of 1,000 receipts", overFew, {
        "ratio, 1,000 messages": overMany.ratio("many", "few"),
        "ratio, 1,000 messages of long ago": overLate.ratio("many", "few"),
        "seconds to load": loadSeconds,
      }),
      row("single receipts", single, {}),
    ];
  },
};

/** New receipts of some of the messages, as many of each. */
function newBatch(messageIds: readonly string[], receipts: number, messages: number): Receipt[] {
  const chosen = someOf(messageIds, messages);
  return Array.from({ length: receipts }, (_, n) => newReceipt(chosen[n % messages] ?? ""));
}

async function load(url: string, receipts: number): Promise<void> {
  await loadHistory(url, receipts / RECEIPTS_PER_MESSAGE);
  await loadReceipts(url, RECEIPTS_PER_MESSAGE);
}

async function messageIdsOf(sql: Sql): Promise<string[]> {
  const rows = await sql<{ message_id: string }[]>`select message_id from private.message_ids`;
  return rows.map((row) => row.message_id);
}
