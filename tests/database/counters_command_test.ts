import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { exitCodeOf } from "../../scripts/counters/exit_code.ts";
import { type Progress, recountCampaigns } from "../../scripts/counters/recount.ts";
import type { Discrepancy, Report } from "../../scripts/counters/report.ts";
import { renderJson, renderText } from "../../scripts/counters/screen.ts";
import { createCampaign, databaseTest, foldCounters, type Sql, stats, type TestDatabase } from "../harness/mod.ts";

const COMMAND = fileURLToPath(new URL("../../scripts/counters.ts", import.meta.url));
const COMMAND_TIMEOUT_MS = 30_000;

async function recount(
  { url }: TestDatabase,
  command: "check" | "repair",
  options: { campaign?: string; signal?: AbortSignal; onProgress?: (progress: Progress) => void } = {},
): Promise<Report> {
  return await recountCampaigns({ command, databaseUrl: url, campaign: null, ...options });
}

async function run(args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", COMMAND, ...args],
    env: { NO_COLOR: "1", ...env },
    signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS),
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Two campaigns of three recipients, counted and folded; the first is called "Offer". */
async function twoCampaigns(sql: Sql): Promise<[string, string]> {
  const [one, two] = [await createCampaign(sql, { recipients: 3 }), await createCampaign(sql, { recipients: 3 })];
  await sql`update public.notification_campaigns set name = 'Offer' where id = ${one.id}`;
  await foldCounters(sql);
  return [one.id, two.id];
}

function discrepancy(more: Partial<Discrepancy> = {}): Discrepancy {
  return {
    campaignId: "00000000-0000-4000-8000-000000000001",
    campaign: "Offer",
    recipientId: null,
    counter: "sent_count",
    stored: 1_234_567,
    actual: 1_234_560,
    difference: 7,
    isMended: false,
    ...more,
  };
}

function report(more: Partial<Report> = {}): Report {
  return { command: "check", campaigns: 1000, discrepancies: [], isComplete: true, ...more };
}

databaseTest("counters:check finds nothing in counters that are right", async (database) => {
  await twoCampaigns(database.sql);
  const seen: Progress[] = [];
  const found = await recount(database, "check", { onProgress: (progress) => seen.push(progress) });
  assert.deepEqual(found, { command: "check", campaigns: 2, discrepancies: [], isComplete: true });
  assert.deepEqual(seen.map(({ done, of }) => [done, of]), [[0, 2], [1, 2], [2, 2]]);
  assert.equal(exitCodeOf(found), 0);
});

databaseTest("counters:check names what differs, and counters:repair mends it", async (database) => {
  const [one, two] = await twoCampaigns(database.sql);
  await database.sql`update public.campaign_counters set sent_count = 5, cost = 0.1 where campaign_id = ${one}`;
  await database.sql`
    update public.notification_campaign_recipients set delivered_count = 2
    where id = (select min(id::text)::uuid from public.notification_campaign_recipients where campaign_id = ${two})
  `;
  const found = await recount(database, "check");
  assert.deepEqual(
    found.discrepancies.map((
      { campaign, recipientId, counter, stored, actual, difference },
    ) => [campaign, recipientId !== null, counter, stored, actual, difference]),
    [
      ["Offer", false, "cost", 0.1, 0, 0.1],
      ["Offer", false, "sent_count", 5, 0, 5],
      ["Test", true, "delivered_count", 2, 0, 2],
    ],
  );
  assert.equal(exitCodeOf(found), 1);
  const mended = await recount(database, "repair");
  assert.deepEqual(mended.discrepancies.map(({ isMended }) => isMended), [true, true, true]);
  assert.equal(exitCodeOf(mended), 0);
  assert.deepEqual((await recount(database, "check")).discrepancies, []);
  assert.equal((await stats(database.sql, one)).sent_count, 0);
});

databaseTest("counters:check of one campaign looks at no other", async (database) => {
  const [one, two] = await twoCampaigns(database.sql);
  await database.sql`update public.campaign_counters set sent_count = 5`;
  const found = await recount(database, "check", { campaign: one });
  assert.equal(found.campaigns, 1);
  assert.deepEqual(found.discrepancies.map(({ campaignId }) => campaignId), [one]);
  await recount(database, "repair", { campaign: one });
  assert.deepEqual((await recount(database, "check")).discrepancies.map(({ campaignId }) => campaignId), [two]);
  await recount(database, "repair");
});

databaseTest("counters:check that is interrupted ends in order and says so", async (database) => {
  for (let number = 0; number < 6; number++) await createCampaign(database.sql);
  const interruption = new AbortController();
  const found = await recount(database, "check", {
    signal: interruption.signal,
    onProgress: ({ done }) => done > 0 && interruption.abort(),
  });
  assert.ok(found.campaigns >= 1 && found.campaigns < 6, `${found.campaigns}`);
  assert.equal(found.isComplete, false);
  assert.equal(exitCodeOf(found), 2);
  assert.match(renderText(found), /Interrupted after/);
});

Deno.test("a long list is cut for a person, campaign by campaign, and whole for a program", () => {
  const discrepancies = Array.from({ length: 30 }, (_, number) => [
    discrepancy({ campaignId: `${number}`, campaign: `Campaign ${number}` }),
    ...Array.from(
      { length: 100 },
      (_, recipient) =>
        discrepancy({ campaignId: `${number}`, campaign: `Campaign ${number}`, recipientId: `R${recipient}` }),
    ),
  ]).flat();
  const text = stripVTControlCharacters(renderText(report({ discrepancies })));
  assert.match(text, /Campaign 9/);
  assert.match(text, /… and 95 more/);
  assert.match(text, /… and 2,020 more of 20 campaigns/);
  assert.match(text, /3,030 counters of 30 campaigns differ\./);
  assert.match(text, /1,234,567.*1,234,560.*\+7/);
  assert.ok(text.split("\n").length < 100);
  const { discrepancies: all } = JSON.parse(renderJson(report({ discrepancies })));
  assert.equal(all.length, 3030);
});

Deno.test("a campaign's name steers no terminal and keeps to one line", () => {
  const name = `\u001b[31mOffer\u0007\nof ${"a very long ".repeat(10)}summer`;
  const text = renderText(report({ discrepancies: [discrepancy({ campaign: name })] }));
  assert.match(stripVTControlCharacters(text), /\[31mOffer of a very long/);
  assert.ok(!text.includes("\u0007") && !text.includes("\u001b[31mOffer"));
  assert.ok(text.includes("…"));
});

Deno.test("a repair that leaves something says so, and is no success", () => {
  const left = report({ command: "repair", discrepancies: [discrepancy({ isMended: true }), discrepancy()] });
  const text = stripVTControlCharacters(renderText(left));
  assert.match(text, /Mended 1 counter of 1 campaign\./);
  assert.match(text, /1 counter of 1 campaign still differs\./);
  assert.equal(exitCodeOf(left), 1);
});

databaseTest("the command exits with 1 while something differs, and with 0 after a repair", async ({ sql, url }) => {
  const [one] = await twoCampaigns(sql);
  await sql`update public.campaign_counters set sent_count = 5 where campaign_id = ${one}`;
  const check = await run(["check", "--json"], { DATABASE_URL: url });
  assert.equal(check.code, 1, check.stderr);
  const { campaigns, discrepancies } = JSON.parse(check.stdout);
  assert.deepEqual([campaigns, discrepancies.length, discrepancies[0].campaign], [2, 1, "Offer"]);
  const repair = await run(["repair", "--database-url", url, "--campaign", one]);
  assert.equal(repair.code, 0, repair.stderr);
  assert.match(repair.stdout, /Mended 1 counter of 1 campaign\./);
  const again = await run(["check", "--database-url", url]);
  assert.deepEqual([again.code, again.stderr], [0, ""]);
  assert.match(again.stdout, /Every counter of 2 campaigns equals its rows\./);
});

for (
  const [what, args, said] of [
    ["an address that is none", ["check", "--database-url", "postgresq//u:hunter2@host/db"], /postgresql:\/\/user/],
    ["nobody at the address", ["check", "--database-url", "postgresql://u:hunter2@127.0.0.1:1/db"], /127\.0\.0\.1:1/],
    ["an id that is none", ["check", "--campaign", "hunter2"], /uuid/],
    ["no command", [], /check/],
  ] as const
) {
  Deno.test(`the command answers 2 to ${what}, and prints no password`, async () => {
    const { code, stdout, stderr } = await run(args, { DATABASE_URL: "" });
    assert.equal(code, 2, stdout + stderr);
    assert.match(stdout + stderr, said);
    assert.ok(!(stdout + stderr).includes("u:hunter2"), stdout + stderr);
  });
}

databaseTest("a campaign that is not there is no campaign without faults", async (database) => {
  await assert.rejects(recount(database, "check", { campaign: crypto.randomUUID() }), /there is no campaign/);
});
