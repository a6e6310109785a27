import assert from "node:assert/strict";
import { inRepository } from "../../local/repository.ts";
import { connect, databaseTest, type Sql, until } from "../harness/mod.ts";

const URL_GIVEN = "https://example.test/functions/v1/";
const PROCESSOR = "https://example.test/functions/v1/process-notification-campaigns";

/** A server of one's own with pg_cron, to see jobs fire; the embedded Postgres has no extension. Superuser, in the database that pg_cron works in. */
const CRON_URL = Deno.env.get("TRUETICK_TEST_CRON_URL");

/** pg_cron as far as the schedule uses it. */
const CRON = `
  create schema cron;
  create table cron.job (
    jobid bigint generated always as identity, jobname text unique, schedule text, command text, username name default current_user
  );
  create table cron.job_run_details (runid bigint generated always as identity, command text, end_time timestamptz);
  create function cron.schedule(text, text, text) returns bigint language sql as $$
    insert into cron.job (jobname, schedule, command) values ($1, $2, $3)
    on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command
    returning jobid
  $$;
  create function cron.unschedule(bigint) returns boolean language sql as $$
    delete from cron.job where jobid = $1 returning true
  $$;
`;

/** pg_net likewise. */
const NET = `
  create schema net;
  create table net.calls (url text, headers jsonb, body jsonb, timeout_milliseconds integer);
  create function net.http_post(
    url text, body jsonb default '{}', params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds integer default 1
  ) returns bigint language sql as $$
    insert into net.calls values (url, headers, body, timeout_milliseconds) returning 1::bigint
  $$;
`;

/** Vault likewise. Its table may be read and deleted from; it is written through its functions. */
const VAULT = `
  create schema vault;
  create table vault.secrets (id uuid primary key default gen_random_uuid(), name text unique, secret text);
  create view vault.decrypted_secrets as select id, name, reverse(secret) as decrypted_secret from vault.secrets;
  create function vault.create_secret(
    new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
  ) returns uuid language sql as $$
    insert into vault.secrets (name, secret) values (new_name, reverse(new_secret)) returning id
  $$;
  create function vault.update_secret(
    secret_id uuid, new_secret text default null, new_name text default null, new_description text default null,
    new_key_id uuid default null
  ) returns void language sql as $$
    update vault.secrets set secret = reverse(new_secret) where id = secret_id
  $$;
`;

const AUDITS = { "truetick-audit": "17 3 * * *", "truetick-audit-changed": "*/5 * * * *" };
const JOBS = { ...AUDITS, "truetick-cron-history": "41 3 * * *", "truetick-processor": "10 seconds" };

/** Stands in for extensions: the embedded Postgres has none of them. */
async function standIn(sql: Sql, ...extensions: readonly string[]): Promise<void> {
  for (const extension of extensions) await sql.unsafe(extension).simple();
}

async function schedule(sql: Sql, url: string | null, key: string | null, every = "10 seconds"): Promise<unknown> {
  const [row] = await sql`select public.schedule_processing(${url}, ${key}, ${every}::text::interval) as answer`;
  return row?.answer;
}

async function unschedule(sql: Sql): Promise<unknown> {
  const [row] = await sql`select public.unschedule_processing() as answer`;
  return row?.answer;
}

async function retain(sql: Sql, olderThan: string | null): Promise<unknown> {
  const [row] = await sql`select public.schedule_retention(${olderThan}::text::interval) as answer`;
  return row?.answer;
}

async function secrets(sql: Sql): Promise<Record<string, string>> {
  const rows = await sql<{ name: string; decrypted_secret: string }[]>`select * from vault.decrypted_secrets`;
  return Object.fromEntries(rows.map((row) => [row.name, row.decrypted_secret]));
}

databaseTest("schedule_processing schedules nothing without pg_cron, and says so", async ({ sql }) => {
  assert.deepEqual(await schedule(sql, URL_GIVEN, "key"), {
    scheduled: false,
    missing: ["pg_cron", "pg_net", "supabase_vault"],
    jobs: {},
  });
  assert.deepEqual(await unschedule(sql), { jobs: [], secrets: [] });
});

databaseTest(
  "schedule_processing without pg_net schedules audits alone, keeps no secret, and ends a processor from before",
  async ({ sql }) => {
    await standIn(sql, CRON, VAULT);
    await sql`select cron.schedule('truetick-processor', '5 seconds', 'select 1')`;
    assert.deepEqual(await schedule(sql, URL_GIVEN, "key"), {
      scheduled: false,
      missing: ["pg_net"],
      jobs: { ...AUDITS, "truetick-cron-history": "41 3 * * *" },
    });
    assert.deepEqual(await secrets(sql), {});
  },
);

databaseTest("schedule_processing schedules jobs that work, and keeps the key out of them", async ({ sql }) => {
  await standIn(sql, CRON, NET, VAULT);
  assert.deepEqual(await schedule(sql, URL_GIVEN, "a-secret-key"), { scheduled: true, missing: [], jobs: JOBS });
  const jobs = await sql<{ jobname: string; command: string }[]>`select jobname, command from cron.job`;
  for (const { jobname, command } of jobs) {
    assert.ok(!command.includes("a-secret-key"), jobname);
    await sql.unsafe(command);
  }
  const calls = await sql`select * from net.calls`;
  assert.deepEqual([...calls], [{
    url: PROCESSOR,
    headers: { "Content-Type": "application/json", "X-API-Key": "a-secret-key" },
    body: {},
    timeout_milliseconds: 5000,
  }]);
});

databaseTest("schedule_processing called again replaces address, key and times", async ({ sql }) => {
  await standIn(sql, CRON, NET, VAULT);
  await schedule(sql, "https://old.test/functions/v1", "old", "1 minute");
  const [before] = await sql`select schedule from cron.job where jobname = 'truetick-processor'`;
  assert.equal(before?.schedule, "* * * * *");
  await schedule(sql, URL_GIVEN, "new", "5 seconds");
  const [job] = await sql`select schedule, command from cron.job where jobname = 'truetick-processor'`;
  assert.equal(job?.schedule, "5 seconds");
  await sql.unsafe(job?.command);
  const [call] = await sql`select url, headers ->> 'X-API-Key' as key from net.calls`;
  assert.deepEqual({ ...call }, { url: PROCESSOR, key: "new" });
});

databaseTest(
  "schedule_processing without a key takes the one in Vault, and without one there says so",
  async ({ sql }) => {
    await standIn(sql, CRON, NET, VAULT);
    await assert.rejects(schedule(sql, URL_GIVEN, null), /p_cron_secret_key is missing.*truetick_cron_secret_key/);
    assert.equal((await sql`select from cron.job`).length, 0, "nothing is done by halves");
    await sql`select vault.create_secret('put there by hand', 'truetick_cron_secret_key')`;
    await assert.rejects(schedule(sql, URL_GIVEN, null), /p_cron_secret_key must be one key/);
    await sql`select vault.update_secret(id, 'by-hand') from vault.secrets`;
    await schedule(sql, URL_GIVEN, null);
    assert.deepEqual(await secrets(sql), {
      truetick_cron_secret_key: "by-hand",
      truetick_functions_url: "https://example.test/functions/v1",
    });
  },
);

databaseTest("schedule_processing runs the processor every minute where pg_cron knows no seconds", async ({ sql }) => {
  await standIn(sql, CRON, NET, VAULT);
  // as 1.4 says it
  await sql.unsafe(`
    create or replace function cron.schedule(text, text, text) returns bigint language plpgsql as $$
    begin
      if $2 ~ 'seconds' then raise exception 'invalid schedule: %', $2; end if;
      insert into cron.job (jobname, schedule, command) values ($1, $2, $3);
      return 1;
    end
    $$
  `);
  assert.deepEqual(await schedule(sql, URL_GIVEN, "key"), {
    scheduled: true,
    missing: [],
    jobs: { ...JOBS, "truetick-processor": "* * * * *" },
  });
});

databaseTest("schedule_processing passes on what pg_cron refuses for another reason", async ({ sql }) => {
  await standIn(sql, CRON, NET, VAULT);
  await sql.unsafe(`
    create or replace function cron.schedule(text, text, text) returns bigint language plpgsql as $$
    begin raise insufficient_privilege using message = 'cannot schedule jobs as superuser'; end
    $$
  `);
  await assert.rejects(schedule(sql, URL_GIVEN, "key"), /cannot schedule jobs as superuser/);
  assert.deepEqual(await secrets(sql), {});
});

databaseTest("schedule_processing refuses what cannot work and says which argument", async ({ sql }) => {
  await assert.rejects(schedule(sql, "example.test", "key"), /p_functions_url/);
  await assert.rejects(schedule(sql, null, "key"), /p_functions_url/);
  await assert.rejects(schedule(sql, URL_GIVEN, ""), /p_cron_secret_key/);
  await assert.rejects(schedule(sql, URL_GIVEN, "new,old"), /p_cron_secret_key/);
  await assert.rejects(schedule(sql, URL_GIVEN, "key", "90 seconds"), /p_every/);
  await assert.rejects(schedule(sql, URL_GIVEN, "key", "0 seconds"), /p_every/);
});

databaseTest("unschedule_processing removes jobs and secrets of ours alone, and twice is once", async ({ sql }) => {
  await standIn(sql, CRON, NET, VAULT);
  await sql`select cron.schedule('theirs', '* * * * *', 'select 1'), vault.create_secret('theirs', 'theirs')`;
  await schedule(sql, URL_GIVEN, "key");
  assert.deepEqual(await unschedule(sql), {
    jobs: Object.keys(JOBS).sort(),
    secrets: ["truetick_cron_secret_key", "truetick_functions_url"],
  });
  assert.deepEqual(await unschedule(sql), { jobs: [], secrets: [] });
  assert.deepEqual([...await sql`select jobname from cron.job`], [{ jobname: "theirs" }]);
  assert.deepEqual(await secrets(sql), { theirs: "theirs" });
});

databaseTest("schedule_retention schedules what works, replaces it, and null removes it", async ({ sql }) => {
  assert.deepEqual(await retain(sql, "1 year"), { scheduled: false, jobs: {} });
  await standIn(sql, CRON, NET, VAULT);
  await schedule(sql, URL_GIVEN, "key");
  assert.deepEqual(await retain(sql, "1 year"), {
    scheduled: true,
    jobs: { ...JOBS, "truetick-archive": "* * * * *" },
  });
  await retain(sql, "90 days");
  const [job] = await sql`select command from cron.job where jobname = 'truetick-archive'`;
  assert.match(job?.command, /90 days/);
  await sql.unsafe(job?.command);
  await assert.rejects(retain(sql, "1 hour"), /p_older_than/);
  assert.deepEqual(await retain(sql, null), { scheduled: false, jobs: JOBS });
  assert.deepEqual(await retain(sql, null), { scheduled: false, jobs: JOBS });
});

Deno.test({
  name: "on a server with pg_cron the jobs fire with the key, which stands in no job, until they are unscheduled",
  ignore: CRON_URL === undefined,
  async fn() {
    const sql = connect(CRON_URL ?? "", 1);
    const migration = await Deno.readTextFile(
      inRepository("supabase", "migrations", "20261101000900_schedule.sql"),
    );
    const clean = "drop schema if exists net, vault, private cascade";
    try {
      await sql.unsafe(clean).simple();
      await sql.unsafe("create schema private; create extension if not exists pg_cron with schema pg_catalog").simple();
      await standIn(sql, NET, VAULT);
      await sql.unsafe(
        "drop function if exists public.schedule_processing, public.unschedule_processing, public.schedule_retention",
      );
      for (const role of ["anon", "authenticated", "service_role"]) {
        await sql`select from pg_catalog.pg_roles where rolname = ${role}`.then(async (found) => {
          if (found.length === 0) await sql.unsafe(`create role ${role}`);
        });
      }
      await sql.unsafe(migration).simple();
      await schedule(sql, URL_GIVEN, "a-secret-key", "1 second");
      // pg_cron before 1.5 fires at full minutes alone
      await until("a job to fire", async () => (await sql`select from net.calls`).length > 0, 75_000);
      const [call] = await sql`select url, headers ->> 'X-API-Key' as key from net.calls`;
      assert.deepEqual({ ...call }, { url: PROCESSOR, key: "a-secret-key" });
      const told = await sql`
        select command from cron.job
        union all
        select command from cron.job_run_details
      `;
      assert.ok(told.length > 0 && told.every((row) => !String(row.command).includes("a-secret-key")));
      await unschedule(sql);
      assert.deepEqual([...await sql`select jobname from cron.job where starts_with(jobname, 'truetick-')`], []);
      assert.deepEqual(await secrets(sql), {});
    } finally {
      await sql.unsafe(clean).simple();
      await sql.end({ timeout: 5 });
    }
  },
});
