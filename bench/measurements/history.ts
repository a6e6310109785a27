import { connect, empty } from "../database.ts";
import { loadHistory } from "../load_history.ts";
import type { Measurement } from "../measurement.ts";
import { startEngine } from "../queues/start_engine.ts";
import { openSecondDatabase } from "../second_database.ts";
import { seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const BATCH = 100;
const SHORT = 10_000;

/** Claim and settle in a database with a long history / with a short one. */
export const history: Measurement = {
  name: "history",
  async run({ sql, stack, quick, say }) {
    const long = quick ? 200_000 : 2_000_000;
    const rounds = quick ? 3 : 9;
    const messages = quick ? 1_000 : 2_000;
    await empty(sql);
    await seedSender(sql);
    const shortUrl = await openSecondDatabase(sql, stack.databaseUrl, "bench_short");
    const short = connect(shortUrl, 1);
    await seedSender(short);

    say(`loading ${long.toLocaleString("en-US")} finished messages`);
    const began = performance.now();
    await loadHistory(stack.databaseUrl, long);
    const loadSeconds = (performance.now() - began) / 1000;
    await loadHistory(shortUrl, SHORT);
    say(`loaded in ${loadSeconds.toFixed(0)} s; claim and settle: ${rounds} rounds of ${messages}, ${BATCH} at a time`);

    const [inLong, inShort] = await Promise.all(
      [stack.databaseUrl, shortUrl].map((url) => startEngine("truetick", { url, clients: 1, batch: BATCH })),
    );
    if (inLong === undefined || inShort === undefined) throw new Error("The engines did not start");
    const run = (engine: typeof inLong) => async () => {
      await engine.enqueue(messages);
      return messages / (await engine.drain(messages) / 1000);
    };
    const rates = await inTurns(rounds, { long: run(inLong), short: run(inShort) });
    await Promise.all([inLong.close(), inShort.close(), short.end({ timeout: 5 })]);
    await sql.unsafe("drop database bench_short with (force)");
    return [{
      name: `claim and settle with ${long.toLocaleString("en-US")} finished rows / with ${
        SHORT.toLocaleString("en-US")
      }`,
      ratio: rates.ratio("long", "short"),
      goal: 0.9,
      figures: {
        "messages/s, long history": rates.median("long"),
        "messages/s, short history": rates.median("short"),
        rounds,
        "ratio between": rates.spread("long", "short"),
        "seconds to load": loadSeconds,
      },
    }];
  },
};
