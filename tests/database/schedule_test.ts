import assert from "node:assert/strict";
import { databaseTest, type Sql } from "../harness/mod.ts";

/** The platform's extensions as far as the schedule uses them: the embedded Postgres has none of them. */
async function standInForExtensions(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create schema cron;
    create table cron.job (jobname text primary key, schedule text, command text);
    create table cron.job_run_details (end_time timestamptz);
    create function cron.schedule(text, text, text) returns bigint language sql as $$
      insert into cron.job values ($1, $2, $3)
      on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command
      returning 1::bigint
    $$;
    create schema net;
    create table net.calls (url text, headers jsonb, body jsonb);
    create function net.http_post(
      url text, body jsonb default '{}', params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds integer default 5000
    ) returns bigint language sql as $$
      insert into net.calls values (url, headers, body) returning 1::bigint
    $$;
    create schema vault;
    create table vault.secrets (name text unique, secret text);
    create view vault.decrypted_secrets as select name, secret as decrypted_secret from vault.secrets;
    create function vault.create_secret(
      new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
    ) returns uuid language sql as $$
      insert into vault.secrets values (new_name, new_secret) returning gen_random_uuid()
    $$;
  `);
}

async function schedule(sql: Sql, url: string | null, key: string | null, every = "10 seconds"): Promise<unknown> {
  const [row] = await sql`select public.schedule_processor(${url}, ${key}, ${every}::text::interval) as answer`;
  return row?.answer;
}

databaseTest(
  "schedule_processor says what is missing and schedules nothing where extensions are not there",
  async ({ sql }) => {
    assert.deepEqual(await schedule(sql, "https://example.test/functions/v1", "key"), {
      scheduled: false,
      missing: ["pg_cron", "pg_net", "supabase_vault"],
    });
  },
);

databaseTest("schedule_processor schedules jobs that work, and keeps the key out of them", async ({ sql }) => {
  await standInForExtensions(sql);
  const url = "https://example.test/functions/v1/";
  assert.deepEqual(await schedule(sql, url, "a-secret-key"), { scheduled: true, missing: [] });
  const jobs = await sql`select jobname, schedule, command from cron.job order by jobname`;
  assert.deepEqual(jobs.map((job) => [job.jobname, job.schedule]), [
    ["truetick-audit", "17 3 * * *"],
    ["truetick-cron-history", "41 3 * * *"],
    ["truetick-processor", "10 seconds"],
  ]);
  for (const { command } of jobs) {
    assert.ok(!command.includes("a-secret-key"));
    await sql.unsafe(command);
  }
  const calls = await sql`select url, headers, body from net.calls`;
  assert.deepEqual([...calls], [{
    url: "https://example.test/functions/v1/process-notification-campaigns",
    headers: { "Content-Type": "application/json", "X-API-Key": "a-secret-key" },
    body: {},
  }]);
});

databaseTest("schedule_processor called again replaces address, key and times", async ({ sql }) => {
  await standInForExtensions(sql);
  await schedule(sql, "https://old.test/functions/v1", "old");
  await schedule(sql, "https://new.test/functions/v1", "new", "5 seconds");
  const [job] = await sql`select schedule, command from cron.job where jobname = 'truetick-processor'`;
  assert.equal(job?.schedule, "5 seconds");
  await sql.unsafe(job?.command);
  const [call] = await sql`select url, headers ->> 'X-API-Key' as key from net.calls`;
  assert.deepEqual({ ...call }, { url: "https://new.test/functions/v1/process-notification-campaigns", key: "new" });
});

databaseTest("schedule_processor refuses what cannot work and says which argument", async ({ sql }) => {
  const url = "https://example.test/functions/v1";
  await assert.rejects(schedule(sql, "example.test", "key"), /p_functions_url/);
  await assert.rejects(schedule(sql, null, "key"), /p_functions_url/);
  await assert.rejects(schedule(sql, url, ""), /p_cron_secret_key/);
  await assert.rejects(schedule(sql, url, null), /p_cron_secret_key/);
  await assert.rejects(schedule(sql, url, "key", "90 seconds"), /p_every/);
});
