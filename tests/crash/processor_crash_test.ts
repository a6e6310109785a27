import assert from "node:assert/strict";
import type { Stack } from "../../local/stack.ts";
import { startCampaign } from "../../scripts/demo/crm.ts";
import { Cron } from "../../scripts/demo/cron.ts";
import { connect, type Sql } from "../harness/connect.ts";
import { until } from "../harness/until.ts";
import { onStackOfItsOwn } from "./crash_stack.ts";
import { runThrough } from "./stormy_campaign.ts";
import { startStubGateway, type StubGateway } from "./stub_gateway.ts";

const PROCESSOR = "process-notification-campaigns";
const GROUPS = 12;

Deno.test("every counter is true after the processor was killed five times in mid-run", () =>
  onStackOfItsOwn({}, async (stack) => {
    await runThrough(stack, 103, [0.1, 0.25, 0.45, 0.65, 0.9], () => stack.functions.kill(PROCESSOR));
  }));

for (const [moment, manner] of [["claim and send", "swallow"], ["send and record", "take and hang"]] as const) {
  Deno.test(`a processor killed between ${moment} loses nothing and sends nothing twice`, async () => {
    const gateway = startStubGateway();
    try {
      await onStackOfItsOwn(
        { simulator: false, env: { WHATSAPP_VPS_URL: gateway.url } },
        (stack) => assertSentOnce(stack, gateway, manner),
      );
    } finally {
      await gateway.stop();
    }
  });
}

async function assertSentOnce(stack: Stack, gateway: StubGateway, manner: "swallow" | "take and hang"): Promise<void> {
  gateway.manner = manner;
  const memberCounts = Object.fromEntries(Array.from({ length: GROUPS }, (_, index) => [`12036300${index}@g.us`, 5]));
  const campaign = await startCampaign(stack, memberCounts);
  const sql = connect(stack.databaseUrl, 2);
  const cron = new Cron(stack);
  try {
    await until("a send to hang at the gateway", () => gateway.hanging > 0);
    await stack.functions.kill(PROCESSOR);
    const taken = gateway.taken.length;
    assert.equal(taken > 0, manner === "take and hang");
    // claimed, or sent, and nobody left who could say so
    assert.deepEqual(await outcomes(sql, campaign.id), ["claimed"]);
    gateway.manner = "answer";

    await until("all groups to be sent", async () => {
      const [row] = await sql<{ status: string }[]>`
        select status from public.notification_campaigns where id = ${campaign.id}
      `;
      return row?.status === "completed";
    }, 60_000);
    assert.equal(gateway.taken.length, GROUPS, "the gateway was given each message once");
    assert.deepEqual(gateway.taken.map(({ groupJid }) => groupJid).sort(), Object.keys(memberCounts).sort());
    const rows = await sql<{ recipient: string; status: string; message_id: string }[]>`
      select recipient, status, message_id from public.notification_campaign_recipients where campaign_id = ${campaign.id}
    `;
    for (const { recipient, status, message_id } of rows) {
      assert.equal(status, "sent");
      assert.equal(message_id, gateway.taken.find(({ groupJid }) => groupJid === recipient)?.messageId);
    }
    const found = await sql`select * from public.audit_campaign_counters()`;
    assert.deepEqual([...found], []);
  } finally {
    cron.stop();
    await sql.end({ timeout: 1 });
  }
}

/** What is known of the attempts so far. */
async function outcomes(sql: Sql, campaignId: string): Promise<string[]> {
  const rows = await sql<{ outcome: string }[]>`
    select distinct a.outcome
    from public.send_attempts a
    join public.notification_campaign_recipients r on r.id = a.recipient_id
    where r.campaign_id = ${campaignId}
  `;
  return rows.map(({ outcome }) => outcome);
}
