import { Logger, run, runMigrations, type Runner } from "graphile-worker";
import { connect } from "../database.ts";
import { pause } from "../../local/within.ts";
import type { Engine, EngineOptions } from "./engine.ts";

const TASK = "no-op";
const LOOK_EVERY_MS = 2;

/**
 * graphile-worker with tasks that do nothing. In batches it is set up as its documentation's own benchmark: 24 jobs at a
 * time, a local queue, completions in batches. One by one is its default but for the concurrency.
 */
export async function openGraphileWorker({ url, clients, batch }: EngineOptions): Promise<Engine> {
  const logger = new Logger(() => () => {});
  const sql = connect(url, 1);
  await runMigrations({ connectionString: url, logger });
  const preset = {
    worker: batch === 1 ? { connectionString: url, logger, concurrentJobs: clients, maxPoolSize: clients + 1 } : {
      connectionString: url,
      logger,
      concurrentJobs: 24,
      maxPoolSize: 25,
      localQueue: { size: batch },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  };
  return {
    async enqueue(count) {
      await sql`
        select graphile_worker.add_jobs(array(
          select json_populate_record(null::graphile_worker.job_spec, json_build_object('identifier', ${TASK}::text, 'payload', json_build_object('n', n)))
          from generate_series(1, ${count}::integer) as n
        ))
      `;
      await sql.unsafe("vacuum analyze graphile_worker._private_jobs");
    },
    async drain(count) {
      let began = NaN;
      let done = 0;
      const all = Promise.withResolvers<void>();
      const task = () => {
        // Its start-up and its first query are not counted.
        if (done === 0) began = performance.now();
        if (++done === count) all.resolve();
      };
      const runner: Runner = await run({ preset, taskList: { [TASK]: task }, noHandleSignals: true });
      await Promise.race([all.promise, runner.promise]);
      while (await hasJobs(sql)) await pause(LOOK_EVERY_MS);
      const elapsed = performance.now() - began;
      await runner.stop();
      if (done !== count) throw new Error(`${done} jobs were done, not ${count}`);
      return elapsed;
    },
    close: () => sql.end({ timeout: 5 }),
  };
}

async function hasJobs(sql: ReturnType<typeof connect>): Promise<boolean> {
  const rows = await sql`select 1 from graphile_worker._private_jobs limit 1`;
  return rows.length > 0;
}
