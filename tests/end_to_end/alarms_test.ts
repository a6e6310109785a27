import assert from "node:assert/strict";
import { z } from "zod";
import { startChild } from "../../local/child.ts";
import { inRepository } from "../../local/repository.ts";
import { serve } from "../../local/simulator/serve.ts";
import { parseMetrics } from "../../supabase/functions/health/parse_metrics.ts";
import { ageAlarms, connect, createCampaign, type Sql, stackVariable, testStack, until } from "../harness/mod.ts";

const HEALTH = "health-key-of-this-test";
const healthAnswer = z.object({
  ok: z.literal(true),
  status: z.enum(["ok", "alarm"]),
  alarms: z.array(z.object({ cause: z.string() })),
});

/** A function of its own process, with variables that the stack's own does not have. */
async function withFunction(
  name: string,
  env: Record<string, string>,
  body: (call: (init: RequestInit & { query?: string }) => Promise<Response>) => Promise<void>,
): Promise<void> {
  const log: string[] = [];
  const child = await startChild({
    name,
    script: "function_host.ts",
    args: [inRepository("supabase", "functions", name, "index.ts")],
    env: { ...testStack().env, ...env },
    log: (line) => log.push(line),
  });
  try {
    await body(async ({ query = "", ...init }) =>
      await fetch(`http://127.0.0.1:${child.port}/functions/v1/${name}${query}`, {
        ...init,
        signal: AbortSignal.timeout(60_000),
      })
    );
    assert.ok(!log.join("\n").includes("alert-secret"), "the address is in the log");
  } finally {
    await child.kill();
  }
}

/** The alarms of corrupted counters alone: other tests leave troubles of their own. */
const aboutCounters = (text: string) => text.split("\n").filter((line) => line.includes("counter_discrepancies"));

async function causesInHealth(): Promise<string[]> {
  const response = await fetch(`${testStack().apiUrl}/functions/v1/health`, {
    headers: { authorization: `Bearer ${stackVariable("CRON_SECRET_KEY")}` },
    signal: AbortSignal.timeout(60_000),
  });
  assert.equal(response.status, 200);
  const { status, alarms } = healthAnswer.parse(await response.json());
  assert.equal(status, alarms.length > 0 ? "alarm" : "ok");
  return alarms.map(({ cause }) => cause);
}

async function audit(sql: Sql): Promise<void> {
  await sql`select public.audit_campaign_counters()`;
}

Deno.test("a corrupted counter is posted once, and its repair once", async () => {
  const sql = connect(testStack().databaseUrl, 2);
  const campaign = await createCampaign(sql, { recipients: 3, status: "draft" });
  const posts: string[] = [];
  let isReceiverAway = false;
  const receiver = await serve(0, async (request) => {
    assert.equal(request.method, "POST");
    assert.match(request.headers.get("content-type") ?? "", /application\/json/);
    if (isReceiverAway) return new Response("no", { status: 500 });
    posts.push(z.strictObject({ text: z.string() }).parse(await request.json()).text);
    return new Response("ok");
  });
  const env = { ALERT_WEBHOOK_URL: `http://127.0.0.1:${receiver.port}/alert-secret?token=alert-secret` };
  try {
    await withFunction("process-notification-campaigns", env, async (call) => {
      const run = async () => {
        const response = await call({ method: "POST", headers: { "x-api-key": stackVariable("CRON_SECRET_KEY") } });
        assert.equal(response.status, 200, await response.text());
        return aboutCounters(posts.splice(0).join("\n"));
      };
      // whatever earlier tests left, twenty at a time
      await until("earlier alarms to be posted", async () => {
        await run();
        const [row] = await sql<{ count: number }[]>`
          select count(*) from private.alarms where opened_at is not null and posted_at is null and resolved_at is null
        `;
        return row?.count === 0;
      });
      assert.ok(!(await causesInHealth()).includes("counter_discrepancies"));

      await sql.begin(async (transaction) => {
        // as a script does that switches triggers off: rows change, their counters do not
        await transaction`set local session_replication_role = replica`;
        await transaction`
          update public.notification_campaign_recipients set status = 'skipped', skip_reason = 'by hand'
          where campaign_id = ${campaign.id}
        `;
      });
      assert.deepEqual(await run(), [], "before the audit nobody knows");
      await audit(sql);
      isReceiverAway = true;
      assert.deepEqual(await run(), []);
      isReceiverAway = false;
      assert.deepEqual(await run(), [], "a post that failed is not tried again at once");
      await ageAlarms(sql, "31 seconds");
      const opened = await run();
      assert.equal(opened.length, 1);
      assert.match(opened[0] ?? "", /^ALARM counter_discrepancies: .*counters:repair/);
      assert.ok((await causesInHealth()).includes("counter_discrepancies"));
      await ageAlarms(sql, "1 hour");
      assert.deepEqual(await run(), []);

      await sql`select public.repair_campaign_counters(${campaign.id})`;
      assert.deepEqual(await run(), [], "gone, but perhaps not for long");
      await ageAlarms(sql, "61 seconds");
      const recovered = await run();
      assert.equal(recovered.length, 1);
      assert.match(recovered[0] ?? "", /^RECOVERED counter_discrepancies, after \d+ min/);
      assert.ok(!(await causesInHealth()).includes("counter_discrepancies"));
      await ageAlarms(sql, "1 hour");
      assert.deepEqual(await run(), []);
    });
  } finally {
    await receiver.close();
    await sql`select public.repair_campaign_counters(${campaign.id})`;
    await sql`delete from public.organizations where id = ${campaign.organizationId}`;
    await sql.end({ timeout: 5 });
  }
});

Deno.test("health answers monitoring with a key that can trigger nothing, in the format that it asks for", async () => {
  await withFunction("health", { HEALTH_SECRET_KEY: HEALTH }, async (call) => {
    const json = await call({ headers: { "x-api-key": HEALTH } });
    assert.equal(json.status, 200);
    healthAnswer.parse(await json.json());
    const metrics = await call({
      headers: { authorization: `Bearer ${HEALTH}`, accept: "text/plain;version=0.0.4;q=0.5,*/*;q=0.1" },
    });
    assert.match(metrics.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    const samples = parseMetrics(await metrics.text());
    assert.equal(samples.find(({ name }) => name === "truetick_up")?.value, 1);
    const head = await call({ method: "HEAD", headers: { "x-api-key": HEALTH } });
    assert.equal(head.status, 200);
    for (const headers of [{}, { "x-api-key": stackVariable("WEBHOOK_SECRET_KEY") }]) {
      const refused = await call({ headers });
      assert.equal(refused.status, 401);
      await refused.body?.cancel();
    }
  });
  const processor = await fetch(`${testStack().apiUrl}/functions/v1/process-notification-campaigns`, {
    method: "POST",
    headers: { "x-api-key": HEALTH },
    signal: AbortSignal.timeout(60_000),
  });
  assert.equal(processor.status, 401);
  await processor.body?.cancel();
});

Deno.test("health answers 503 while the database is away", async () => {
  // nobody listens there
  await withFunction("health", { SUPABASE_URL: "http://127.0.0.1:9" }, async (call) => {
    const headers = { "x-api-key": stackVariable("CRON_SECRET_KEY") };
    const json = await call({ headers });
    assert.equal(json.status, 503);
    assert.match(await json.text(), /database_unavailable/);
    const metrics = await call({ headers, query: "?format=prometheus" });
    assert.equal(metrics.status, 503);
    assert.deepEqual(parseMetrics(await metrics.text()), [{ name: "truetick_up", labels: {}, value: 0 }]);
  });
});
