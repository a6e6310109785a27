import { PgBoss } from "pg-boss";
import { connect } from "../database.ts";
import type { Engine, EngineOptions } from "./engine.ts";

const QUEUE = "no-op";

/** pg-boss, its own loop left out, which polls every two seconds: fetch and complete, a batch at a time. */
export async function openPgBoss({ url, clients, batch }: EngineOptions): Promise<Engine> {
  const boss = new PgBoss({ connectionString: url, max: clients, supervise: false, schedule: false });
  boss.on("error", () => {});
  const sql = connect(url, 1);
  await boss.start();
  await boss.createQueue(QUEUE);
  return {
    async enqueue(count) {
      await boss.insert(QUEUE, Array.from({ length: count }, (_, n) => ({ data: { n } })));
      await sql.unsafe("vacuum analyze pgboss.job_common");
    },
    async drain(count) {
      const began = performance.now();
      const done = await Promise.all(Array.from({ length: clients }, async () => {
        let done = 0;
        while (true) {
          const jobs = await boss.fetch(QUEUE, { batchSize: batch });
          if (jobs.length === 0) return done;
          await boss.complete(QUEUE, jobs.map((job) => job.id));
          done += jobs.length;
        }
      }));
      const elapsed = performance.now() - began;
      const total = done.reduce((sum, each) => sum + each, 0);
      if (total !== count) throw new Error(`${total} jobs were done, not ${count}`);
      return elapsed;
    },
    async close() {
      await boss.stop({ graceful: false });
      await sql.end({ timeout: 5 });
    },
  };
}
