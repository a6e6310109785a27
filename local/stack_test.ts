import { equal, match, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import { createClient } from "@supabase/supabase-js";
import postgres from "postgres";
import { cloneDatabase } from "./database.ts";
import { removeDataFolder } from "./data_folder.ts";
import { freePort } from "./ports.ts";
import { isAlive, signal, waitUntilGone } from "./processes.ts";
import { inRepository } from "./repository.ts";
import { type Stack, type StackOptions, startStack } from "./stack.ts";
import { pause } from "./within.ts";

const RECOVERY_TIMEOUT_MS = 15_000;

/** A folder that only its owner may enter, with a space in its name. */
async function makeDataFolder(): Promise<string> {
  const home = await Deno.makeTempDir({ prefix: "truetick home " });
  await Deno.chmod(home, 0o700);
  return join(home, "data folder");
}

function start(dataDir: string, more: Partial<StackOptions> = {}): Promise<Stack> {
  return startStack({ dataDir, apiPort: 0, dbPort: 0, cronSeconds: 0, simulator: false, ...more });
}

async function forget(dataDir: string): Promise<void> {
  await removeDataFolder(dataDir);
  await Deno.remove(join(dataDir, ".."), { recursive: true });
}

function connect(stack: Stack): postgres.Sql {
  return postgres(stack.databaseUrl, { max: 2, onnotice: () => {} });
}

function client(stack: Stack, key = stack.secretKey) {
  return createClient(stack.apiUrl, key, { auth: { persistSession: false, autoRefreshToken: false } });
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + RECOVERY_TIMEOUT_MS;
  while (!await check()) {
    ok(performance.now() < deadline, `not within ${RECOVERY_TIMEOUT_MS / 1000} s`);
    await pause(20);
  }
}

// Child processes outlive the step that starts them, and end in a step of their own.
const loose = { sanitizeOps: false, sanitizeResources: false } as const;

Deno.test("stack", loose, async (t) => {
  const dataDir = await makeDataFolder();
  let stack = await start(dataDir);
  try {
    await t.step("stack runs under a 0700 folder with a space in its path", async () => {
      const { status } = await client(stack).from("notification_campaigns").select("id");
      equal(status, 200);
    });

    await t.step("second stack on the same folder is refused and names the first", async () => {
      await rejects(start(dataDir), new RegExp(`already runs on .*\\(process ${Deno.pid}\\).*TRUETICK_DATA_DIR`));
      await rejects(removeDataFolder(dataDir), /already runs on/);
    });

    await t.step("taken ports are named with their variable", async () => {
      const other = await makeDataFolder();
      const apiPort = Number(new URL(stack.apiUrl).port);
      const dbPort = Number(new URL(stack.databaseUrl).port);
      await rejects(start(other, { apiPort }), new RegExp(`Port ${apiPort} .*TRUETICK_API_PORT`));
      await rejects(start(other, { dbPort }), new RegExp(`Port ${dbPort} .*TRUETICK_DB_PORT`));
      await forget(other);
    });

    await t.step("rpc arguments keep their JSON type", async () => {
      const sql = connect(stack);
      await sql`create function public.type_of(p jsonb) returns text language sql as 'select jsonb_typeof(p)'`;
      await sql.end();
      const types: unknown[] = [];
      await eventually(async () => (await client(stack).rpc("type_of", { p: 1 })).error === null);
      for (const p of [{ a: 1 }, [1, 2], "text", "5", 5, true, null]) {
        types.push((await client(stack).rpc("type_of", { p })).data);
      }
      equal(types.join(), "object,array,string,string,number,boolean,");
    });

    await t.step("own error codes arrive with PostgREST's status", async () => {
      const sql = connect(stack);
      await sql.unsafe(`create function public.fail_with(code text) returns void language plpgsql
        as $$ begin raise exception 'no' using errcode = code, hint = 'try'; end $$`);
      await sql.end();
      await eventually(async () => (await client(stack).rpc("fail_with", { code: "P0001" })).status === 400);
      const answers: string[] = [];
      for (const code of ["P0001", "TT001", "23505", "40P01", "PT409", "42501"]) {
        const { status, error } = await client(stack).rpc("fail_with", { code });
        answers.push(`${status} ${error?.code}`);
      }
      equal(answers.join(), "400 P0001,400 TT001,409 23505,500 40P01,409 PT409,403 42501");
    });

    await t.step("a revoke is not undone by the Data API", async () => {
      const sql = connect(stack);
      await sql`create table public.kept_shut (id int)`;
      await sql`alter table public.kept_shut enable row level security`;
      await sql`revoke all on public.kept_shut from anon`;
      await eventually(async () => (await client(stack).from("kept_shut").select()).status === 200);
      equal((await client(stack, stack.publishableKey).from("kept_shut").select()).status, 401);
      const [row] = await sql`select has_table_privilege('anon', 'public.kept_shut', 'select') as open`;
      await sql.end();
      equal(row?.open, false);
    });

    await t.step("new tables and functions are open to anon until revoked, as on the platform", async () => {
      const sql = connect(stack);
      await sql`create table public.left_open (id int)`;
      const [row] = await sql`
        select
          has_table_privilege('anon', 'public.left_open', 'insert') as table_open,
          has_function_privilege('anon', 'public.type_of(jsonb)', 'execute') as function_open`;
      await sql.end();
      equal(row?.table_open && row?.function_open, true);
    });

    await t.step("a signed-up user reads own rows only", async () => {
      const sql = connect(stack);
      await sql.unsafe(`
        create table public.notes (owner uuid default auth.uid(), text text);
        alter table public.notes enable row level security;
        create policy "own" on public.notes to authenticated using (owner = (select auth.uid()));
        insert into public.notes values (gen_random_uuid(), 'somebody else''s')`);
      const user = client(stack, stack.publishableKey);
      const { data, error } = await user.auth.signUp({ email: "user@example.com", password: "a long password" });
      equal(error, null);
      await sql`insert into public.notes (owner, text) values (${data.user?.id ?? ""}, 'mine')`;
      await sql.end();
      await eventually(async () => (await user.from("notes").select("text")).error === null);
      equal(JSON.stringify((await user.from("notes").select("text")).data), '[{"text":"mine"}]');
    });

    await t.step("requests without a key are refused", async () => {
      equal((await fetch(`${stack.apiUrl}/rest/v1/notification_campaigns`)).status, 401);
      const bearer = { authorization: `Bearer ${stack.secretKey}` };
      equal((await fetch(`${stack.apiUrl}/rest/v1/notification_campaigns`, { headers: bearer })).status, 401);
    });

    await t.step("fifty calls that sleep run side by side", async () => {
      const sql = connect(stack);
      await sql`create function public.nap() returns void language sql as 'select pg_sleep(0.5)'`;
      await sql.end();
      await eventually(async () => (await client(stack).rpc("nap")).error === null);
      const started = performance.now();
      const answers = await Promise.all(Array.from({ length: 50 }, () => client(stack).rpc("nap")));
      equal(answers.filter(({ error }) => error !== null).length, 0);
      ok(performance.now() - started < 5_000);
    });

    await t.step("unknown function is 404, killed function answers again", async () => {
      equal((await fetch(`${stack.apiUrl}/functions/v1/no-such-function`)).status, 404);
      const url = `${stack.apiUrl}/functions/v1/whatsapp-send-callback`;
      const before = await fetch(url, { method: "POST", body: "{}" });
      await before.body?.cancel();
      equal(before.status, 401);
      await stack.functions.kill("whatsapp-send-callback");
      const after = await fetch(url, { method: "POST", body: "{}" });
      await after.body?.cancel();
      equal(after.status, 401);
    });

    await t.step("killed database is 503, and answers again once it is back", async () => {
      const inFlight = Array.from({ length: 20 }, () => client(stack).rpc("nap"));
      await pause(100);
      await stack.postgres.kill();
      for (const { status } of await Promise.all(inFlight)) equal(status, 503);
      equal((await client(stack).from("notification_campaigns").select("id").limit(1).retry(false)).status, 503);
      const user = client(stack, stack.publishableKey);
      const { error } = await user.auth.signInWithPassword({ email: "user@example.com", password: "a long password" });
      equal(error?.status, 503);
      await stack.postgres.start();
      await eventually(async () => (await client(stack).rpc("nap")).error === null);
      const answers = await Promise.all(Array.from({ length: 100 }, () => client(stack).rpc("type_of", { p: [] })));
      equal(answers.filter(({ error }) => error !== null).length, 0);
    });

    await t.step("ended connections are replaced", async () => {
      const sql = connect(stack);
      await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = 'client backend'`;
      await sql.end();
      const answers = await Promise.all(Array.from({ length: 50 }, () => client(stack).rpc("type_of", { p: [] })));
      for (const { status } of answers) ok(status === 200 || status === 503, `${status}`);
      equal((await client(stack).rpc("type_of", { p: [] })).data, "array");
    });

    await t.step("clones of a database are independent", async () => {
      const template = await cloneDatabase(stack);
      const clones = Array.from({ length: 4 }, () => cloneDatabase(stack, template.name));
      const [first, second, ...others] = await Promise.all(clones);
      ok(first && second);
      const sql = postgres(first.url, { max: 1 });
      await sql`create table public.only_here (id int)`;
      await sql.end();
      const other = postgres(second.url, { max: 1 });
      const [row] = await other`select to_regclass('public.only_here') as found, to_regclass('public.notes') as copied`;
      await other.end();
      equal(row?.found, null);
      equal(row?.copied, "notes");
      for (const clone of [first, second, ...others, template]) await clone.drop();
    });

    await t.step("second start goes on with the data of the first", async () => {
      await stack.stop();
      stack = await start(dataDir, { simulator: true, env: { TWILIO_API_URL: "http://127.0.0.1:1" } });
      const { data } = await client(stack).from("notes").select("text");
      equal(data?.length, 2);
    });

    await t.step("simulator plays every gateway but those with an address of their own", () => {
      const { env, simulatorUrl, apiUrl } = stack;
      match(simulatorUrl ?? "", /^http:\/\/127\.0\.0\.1:\d+$/);
      equal(env.WHATSAPP_VPS_URL, simulatorUrl);
      equal(env.WHATSAPP_CLOUD_API_URL, simulatorUrl);
      equal(env.TWILIO_API_URL, "http://127.0.0.1:1");
      equal(env.PUBLIC_FUNCTIONS_URL, `${apiUrl}/functions/v1`);
    });
  } finally {
    await stack.stop();
    await forget(dataDir);
  }
});

Deno.test("stack recovers when its supervisor was killed", loose, async () => {
  const dataDir = await makeDataFolder();
  const script = `
    import { startStack } from ${JSON.stringify(inRepository("local", "stack.ts"))};
    const stack = await startStack({
      dataDir: ${JSON.stringify(dataDir)}, apiPort: 0, dbPort: ${freePort()}, cronSeconds: 0, simulator: false,
    });
    console.log(stack.databaseUrl);
    setInterval(() => {}, 1000);`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, script);
  const supervisor = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--config", inRepository("deno.json"), file],
    stdout: "piped",
    stderr: "null",
    stdin: "null",
  }).spawn();
  const reader = supervisor.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  match(value ?? "", /^postgresql:/);
  const cluster = await Deno.realPath(join(dataDir, "postgres"));
  const postmaster = Number((await Deno.readTextFile(join(cluster, "postmaster.pid"))).split("\n")[0]);
  supervisor.kill("SIGKILL");
  await supervisor.status;
  await reader.cancel();
  await Deno.remove(file);
  ok(isAlive(postmaster), "the database should have been left running");

  const stack = await start(dataDir);
  try {
    ok(!isAlive(postmaster), "the old server should have been stopped");
    equal((await client(stack).from("notification_campaigns").select("id")).status, 200);
  } finally {
    await stack.stop();
    signal(postmaster, "SIGKILL");
    await waitUntilGone(postmaster, 1_000);
    await forget(dataDir);
  }
});
