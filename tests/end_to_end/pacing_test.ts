import assert from "node:assert/strict";
import { endpoint } from "../../supabase/functions/_shared/endpoint.ts";
import { Environment } from "../../supabase/functions/_shared/environment.ts";
import { handle } from "../../supabase/functions/process-notification-campaigns/handler.ts";
import { SendSlots } from "../../supabase/functions/process-notification-campaigns/send_slots.ts";
import { atOnce, connect, createCampaign, createOrganization, createSession, testStack } from "../harness/mod.ts";

const PER_MINUTE = 240;
const BUDGET_MS = 6_000;

/** A gateway that takes everything and notes when. */
function startGateway() {
  const arrivedAt: number[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    arrivedAt.push(performance.now());
    await request.body?.cancel();
    return Response.json({ success: true, accepted: true });
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, arrivedAt, stop: () => server.shutdown() };
}

/** A processor with slots of its own, as in an isolate of its own. */
function processor(gatewayUrl: string) {
  const { env } = testStack();
  const overrides: Record<string, string> = {
    WHATSAPP_VPS_URL: gatewayUrl,
    PROCESS_TIME_BUDGET_MS: `${BUDGET_MS}`,
    PROCESS_LEASE_SECONDS: "",
  };
  const environment = new Environment((name) => overrides[name] ?? env[name]);
  const slots = new SendSlots();
  const run = endpoint("process-notification-campaigns", (request, deps) => handle(request, { ...deps, slots }), {
    environment,
    writeLog: () => {},
  });
  return async () => {
    const response = await run(
      new Request("http://processor", {
        method: "POST",
        headers: { "x-api-key": environment.list("CRON_SECRET_KEY")[0] ?? "" },
      }),
    );
    return { status: response.status, body: await response.json() };
  };
}

Deno.test("four processors at once send through a limited session no faster than its limit, and no slower than its pace", async () => {
  const sql = connect(testStack().databaseUrl, 2);
  const gateway = startGateway();
  const organizationId = await createOrganization(sql);
  try {
    const sessionId = await createSession(sql, organizationId, { messagesPerMinute: PER_MINUTE });
    for (let campaigns = 0; campaigns < 2; campaigns++) {
      await createCampaign(sql, { organizationId, sessionId, recipients: 60 });
    }
    const began = performance.now();
    const runs = await atOnce(Array.from({ length: 4 }, () => processor(gateway.url)));
    const elapsed = performance.now() - began;
    for (const { status, body } of runs) assert.equal(status, 200, JSON.stringify(body));

    const arrivals = gateway.arrivedAt.toSorted((a, b) => a - b);
    const gap = 60_000 / PER_MINUTE;
    // a send may start 2.5 s behind its turn, never before it; turns are 5 % further apart than the limit asks
    for (let from = 0; from < arrivals.length; from++) {
      for (let to = from + 1; to < arrivals.length; to++) {
        const apart = (arrivals[to] ?? 0) - (arrivals[from] ?? 0);
        assert.ok(apart >= (to - from) * gap * 1.05 - 2_500 - 5, `${to - from} gaps in ${apart} ms`);
      }
    }
    const most = Math.floor(elapsed / (gap * 1.05)) + 1;
    assert.ok(arrivals.length <= most, `${arrivals.length} in ${elapsed} ms`);
    // waited for its turns, and did not leave them to the next run
    assert.ok(arrivals.length >= most / 2, `only ${arrivals.length} in ${elapsed} ms`);
    const [row] = await sql<{ most: number }[]>`
      select max(r.attempt_count) as most from public.notification_campaign_recipients r
      join public.notification_campaigns c on c.id = r.campaign_id where c.organization_id = ${organizationId}
    `;
    assert.equal(row?.most, 1);
  } finally {
    await gateway.stop();
    await sql`delete from public.organizations where id = ${organizationId}`;
    await sql.end({ timeout: 5 });
  }
});
