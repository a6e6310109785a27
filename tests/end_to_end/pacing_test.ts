import assert from "node:assert/strict";
import { startNotingGateway } from "../../local/noting_gateway.ts";
import { processorOf } from "../../local/processor_of.ts";
import { atOnce, connect, createCampaign, createOrganization, createSession, testStack } from "../harness/mod.ts";

const PER_MINUTE = 240;
const BUDGET_MS = 6_000;

Deno.test("four processors at once send through a limited session no faster than its limit, and no slower than its pace", async () => {
  const sql = connect(testStack().databaseUrl, 2);
  const gateway = startNotingGateway(0);
  const env = {
    ...testStack().env,
    WHATSAPP_VPS_URL: gateway.url,
    PROCESS_TIME_BUDGET_MS: `${BUDGET_MS}`,
    PROCESS_LEASE_SECONDS: "",
  };
  const organizationId = await createOrganization(sql);
  try {
    const sessionId = await createSession(sql, organizationId, { messagesPerMinute: PER_MINUTE });
    for (let campaigns = 0; campaigns < 2; campaigns++) {
      await createCampaign(sql, { organizationId, sessionId, recipients: 60 });
    }
    const began = performance.now();
    const runs = await atOnce(Array.from({ length: 4 }, () => processorOf(env)));
    const elapsed = performance.now() - began;
    for (const response of runs) assert.equal(response.status, 200, await response.text());

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
