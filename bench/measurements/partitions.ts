import type { Sql } from "postgres";
import { inRepository } from "../../local/repository.ts";
import { connect, empty, tidy } from "../database.ts";
import { loadHistory } from "../load_history.ts";
import { loadReceipts } from "../load_receipts.ts";
import type { Measurement, Row } from "../measurement.ts";
import { newReceipt, RECORD_RECEIPTS, someOf } from "../receipts.ts";
import { openSecondDatabase } from "../second_database.ts";
import { addSentGroups, seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const BATCH = 1_000;
const GROUPS_PER_BATCH = 20;
const RECEIPTS_PER_MESSAGE = 50;

/** Receipts where message_receipts is 16 partitions / where it is one table. */
export const partitions: Measurement = {
  name: "partitions",
  async run({ sql, stack, quick, say }) {
    const stored = quick ? 100_000 : 2_000_000;
    const rounds = quick ? 3 : 9;
    const batches = quick ? 2 : 4;
    const singles = quick ? 50 : 200;
    await empty(sql);
    await seedSender(sql);
    const otherUrl = await openSecondDatabase(sql, stack.databaseUrl, "bench_partitioned");
    const other = connect(otherUrl, 1);
    await seedSender(other);
    for (const [url, name] of [[stack.databaseUrl, "one table"], [otherUrl, "partitions"]] as const) {
      say(`loading ${stored.toLocaleString("en-US")} receipts into ${name}`);
      await loadHistory(url, stored / RECEIPTS_PER_MESSAGE);
      await loadReceipts(url, RECEIPTS_PER_MESSAGE);
    }
    await other.unsafe(await Deno.readTextFile(inRepository("supabase", "partitioning", "receipts.sql"))).simple();
    const [conversion] = await other<{ answer: { seconds: number } }[]>`
      select partitioning.partition_receipts() as answer
    `;
    await other.unsafe("vacuum (analyze) public.message_receipts");
    await other.unsafe("checkpoint");

    const [one, parts] = [connect(stack.databaseUrl, 1), connect(otherUrl, 1)];
    const audience = { campaigns: 1, groups: BATCH };
    const ids = { one: await addSentGroups(one, audience), parts: await addSentGroups(parts, audience) };
    const compare = (count: number, batch: number, messages: number) => {
      const run = (client: Sql, messageIds: readonly string[]) => async () => {
        const inputs = Array.from({ length: count }, () => {
          const chosen = someOf(messageIds, messages);
          return JSON.stringify(Array.from({ length: batch }, (_, n) => newReceipt(chosen[n % messages] ?? "")));
        });
        const began = performance.now();
        for (const input of inputs) await client.unsafe(RECORD_RECEIPTS, [input], { prepare: true });
        return count * batch / ((performance.now() - began) / 1000);
      };
      const tidyBoth = () => Promise.all([tidy(one), tidy(parts)]);
      return inTurns(rounds, { parts: run(parts, ids.parts), one: run(one, ids.one) }, tidyBoth);
    };
    say(`${rounds} rounds of ${batches} batches of ${BATCH}, and of ${singles} single ones`);
    const overFew = await compare(batches, BATCH, GROUPS_PER_BATCH);
    const overMany = await compare(batches, BATCH, BATCH);
    const single = await compare(singles, 1, 1);
    await Promise.all([one, parts, other].map((each) => each.end({ timeout: 5 })));
    await sql.unsafe("drop database bench_partitioned with (force)");

    const row = (what: string, rates: typeof single, figures: Row["figures"]) => ({
      name: `${what} into 16 partitions / into one table, ${stored.toLocaleString("en-US")} stored`,
      ratio: rates.ratio("parts", "one"),
      goal: null,
      figures: {
        "receipts/s, partitions": rates.median("parts"),
        "receipts/s, one table": rates.median("one"),
        ...figures,
        rounds,
        "ratio between": rates.spread("parts", "one"),
      },
    });
    return [
      row("batch of 1,000 receipts", overFew, {
        "ratio, 1,000 messages": overMany.ratio("parts", "one"),
        "seconds to partition": conversion?.answer.seconds ?? NaN,
      }),
      row("single receipts", single, {}),
    ];
  },
};
