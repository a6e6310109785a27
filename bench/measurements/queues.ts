import type { Sql } from "postgres";
import { empty, tidy } from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { median } from "../median.ts";
import type { EngineName } from "../queues/plan.ts";
import { startEngine } from "../queues/start_engine.ts";
import { inTurns, type Rates } from "../turns.ts";

type Compared = Exclude<EngineName, "truetick-contacts">;

const CLIENTS = 4;
const BATCH = 500;

/** Claim and settle / two job queues doing as many jobs that do nothing. */
export const queues: Measurement = {
  name: "queues",
  async run({ sql, stack, quick, say }) {
    const jobs = quick ? 3_000 : 20_000;
    const rounds = quick ? 3 : 5;
    await empty(sql);
    const walBytes = new Map<Compared, number[]>();
    const compare = async (batch: number, rounds: number, jobs: number): Promise<Rates<Compared>> => {
      say(`${jobs} messages / as many no-op jobs, ${batch} at a time, ${rounds} rounds`);
      const options = { url: stack.databaseUrl, clients: CLIENTS, batch };
      const engines = {
        "truetick": await startEngine("truetick", options),
        "graphile-worker": await startEngine("graphile-worker", options),
        "pg-boss": await startEngine("pg-boss", options),
      };
      const run = (name: Compared) => async () => {
        await engines[name].enqueue(jobs);
        const before = await walPosition(sql);
        const milliseconds = await engines[name].drain(jobs);
        if (batch > 1) walBytes.set(name, [...walBytes.get(name) ?? [], (await walPosition(sql) - before) / jobs]);
        return jobs / (milliseconds / 1000);
      };
      const rates = await inTurns(rounds, {
        "truetick": run("truetick"),
        "graphile-worker": run("graphile-worker"),
        "pg-boss": run("pg-boss"),
      }, () => tidy(sql));
      await Promise.all(Object.values(engines).map((engine) => engine.close()));
      return rates;
    };
    const batched = await compare(BATCH, rounds, jobs);
    const single = await compare(1, 1, Math.min(jobs, 5_000) / 10);
    const others: readonly Compared[] = ["graphile-worker", "pg-boss"];
    return others.map((other) => ({
      name: `claim and settle / ${other}, as many no-op jobs`,
      ratio: batched.ratio("truetick", other),
      goal: 1,
      figures: {
        "messages/s": batched.median("truetick"),
        "jobs/s": batched.median(other),
        "WAL bytes/message": median(walBytes.get("truetick") ?? []),
        "WAL bytes/job": median(walBytes.get(other) ?? []),
        "messages/s one by one": single.median("truetick"),
        "jobs/s one by one": single.median(other),
        rounds,
        "ratio between": batched.spread("truetick", other),
      },
    }));
  },
};

/** How far the write-ahead log has come, in bytes: what had to be written to disk. */
async function walPosition(sql: Sql): Promise<number> {
  const [row] = await sql<{ bytes: string }[]>`select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as bytes`;
  return Number(row?.bytes);
}
