import assert from "node:assert/strict";
import {
  assertAuditIsClean,
  atOnce,
  createCampaign,
  databaseTest,
  openTestDatabase,
  recipientRow,
  testStack,
  until,
} from "./mod.ts";
import { findTestFiles } from "./find_test_files.ts";
import { repositoryRoot } from "../../local/repository.ts";

databaseTest("a test database is empty and migrated", async ({ sql }) => {
  assert.equal((await sql`select from public.organizations`).length, 0);
  assert.equal((await sql`select from public.notification_campaign_stats`).length, 0);
});

Deno.test("a test database is gone when it was dropped, even with a session open", async () => {
  const database = await openTestDatabase();
  const other = await openTestDatabase();
  try {
    const session = await database.session("a");
    await session.begin();
    const name = new URL(database.url).pathname.slice(1);
    await database.drop();
    assert.equal((await other.sql`select from pg_catalog.pg_database where datname = ${name}`).length, 0);
  } finally {
    await other.drop();
  }
});

databaseTest("the audit at the end of a test fails when a counter was tampered with", async ({ sql }) => {
  await createCampaign(sql);
  await assertAuditIsClean({ sql });
  await sql`update private.campaign_counter_deltas set sent_count = 1`;
  await assert.rejects(() => assertAuditIsClean({ sql }), /counters that differ from their rows/);
}, { leavesDiscrepancies: true });

databaseTest("a step that is expected to wait and does not fails the test", async ({ session }) => {
  const a = await session("a");
  await assert.rejects(
    () => a.blocked(async (sql) => await sql`select 1`),
    /Session a was expected to wait for a lock, but its step ended/,
  );
});

databaseTest("a step that waits is told by Postgres and ends when it is let go", async ({ sql, session }) => {
  const campaign = await createCampaign(sql);
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  await a.sql`update public.notification_campaign_recipients set variables = '{"a": 1}'`;
  const step = await b.blocked(async (own) =>
    await own`update public.notification_campaign_recipients set status = 'failed'`
  );
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
  await a.commit();
  await step.done;
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "failed");
});

Deno.test("until names what it waited for in vain", async () => {
  await assert.rejects(() => until("the end of the world", () => false, 20), /20 ms in vain for the end of the world/);
  assert.equal(await until("zero", () => 0), 0);
});

Deno.test("atOnce fails with the first error when all works have ended", async () => {
  const ended: number[] = [];
  const works = [
    () => Promise.reject(new Error("first")),
    async () => {
      await until("a moment", () => true);
      ended.push(1);
    },
  ];
  await assert.rejects(() => atOnce(works), /first/);
  assert.deepEqual(ended, [1]);
});

Deno.test("the functions of the test stack do not see a variable of this shell", () => {
  assert.equal(testStack().env.WEBHOOK_SECRET_KEY, "local-webhook-key");
  assert.equal(testStack().env.WHATSAPP_VPS_URL, testStack().simulatorUrl);
});

Deno.test("test files are found in every folder that holds code, and by parts of their path", async () => {
  const all = await findTestFiles(repositoryRoot, []);
  for (
    const folder of ["supabase/functions/_shared/", "local/", "tests/database/", "tests/races/", "tests/end_to_end/"]
  ) {
    assert.ok(all.some((file) => file.includes(folder)), folder);
  }
  const some = await findTestFiles(repositoryRoot, ["races/claims", "./tests/races/folding_test.ts"]);
  assert.equal(some.length, 2);
  assert.deepEqual(await findTestFiles(repositoryRoot, ["no such test"]), []);
});
