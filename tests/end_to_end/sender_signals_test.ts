import assert from "node:assert/strict";
import { SimulatorClient } from "../../local/simulator/client.ts";
import { calm } from "../../local/simulator/faults.ts";
import { signedPost } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/signed_post.ts";
import { postFunction, runProcessor } from "../harness/http.ts";
import {
  connect,
  createCampaign,
  createOrganization,
  createSession,
  senderState,
  type Sql,
  stackVariable,
  stats,
  testStack,
  unique,
  until,
} from "../harness/mod.ts";

/** A running campaign of one group, and its sender. */
async function withSender(test: (sql: Sql, sessionId: string, campaignId: string) => Promise<void>): Promise<void> {
  const simulator = new SimulatorClient(testStack().simulatorUrl);
  await simulator.reset();
  await simulator.setFaults({ ...calm, answerMs: [0, 5], callbackMs: [0, 20], receiptMs: [0, 20] });
  const sql = connect(testStack().databaseUrl, 2);
  const organizationId = await createOrganization(sql);
  try {
    const sessionId = await createSession(sql, organizationId, { id: unique("wa") });
    const campaign = await createCampaign(sql, { organizationId, sessionId });
    await test(sql, sessionId, campaign.id);
  } finally {
    // what is still reported would meet the campaign as it is deleted
    await until("the gateway to fall silent", () => simulator.idle());
    await simulator.setFaults({ ...calm });
    await sql`delete from public.organizations where id = ${organizationId}`;
    await sql.end({ timeout: 5 });
  }
}

Deno.test("a session that its gateway reports as restricted sends nothing until it is restored", () =>
  withSender(async (sql, sessionId, campaignId) => {
    const restricted = {
      event: "session_restricted",
      sessionId,
      reason: "463: account restricted",
      timestamp: 1_790_000_000,
    };
    const first = await postFunction("whatsapp-send-callback", restricted);
    assert.equal(first.status, 200);
    assert.deepEqual(first.body, {
      ok: true,
      recorded: 0,
      duplicates: 0,
      unmatched: 0,
      journaled: 0,
      applied: 1,
      ignored: 0,
    });
    const { status, status_reason } = await senderState(sql, sessionId);
    assert.equal(status, "restricted");
    assert.match(status_reason ?? "", /463: account restricted/);
    assert.equal((await runProcessor()).claimed, 0);
    assert.equal((await stats(sql, campaignId)).pending_count, 1);

    const restored = { event: "session_restored", sessionId, timestamp: 1_790_000_060 };
    assert.equal((await postFunction("whatsapp-send-callback", [restored, restricted])).status, 200);
    assert.equal((await senderState(sql, sessionId)).status, "active");
    await until("the message to go out", async () => {
      await runProcessor();
      return (await stats(sql, campaignId)).sent_count === 1;
    }, 20_000);
  }));

Deno.test("an account that Meta disables stops its senders, and one that Meta reinstates goes on", () =>
  withSender(async (sql, sessionId) => {
    const accountId = unique("waba");
    await sql`update public.gateway_sessions set account_id = ${accountId} where id = ${sessionId}`;
    const post = async (state: string, time: number) => {
      const value = { event: "DISABLED_UPDATE", ban_info: { waba_ban_state: state, waba_ban_date: "May 1, 2026" } };
      const request = signedPost(
        {
          object: "whatsapp_business_account",
          entry: [{ id: accountId, time, changes: [{ field: "account_update", value }] }],
        },
        stackVariable("WHATSAPP_APP_SECRET"),
      );
      const response = await fetch(`${testStack().apiUrl}/functions/v1/whatsapp-read-receipt-webhook`, {
        method: "POST",
        headers: request.headers,
        body: await request.bytes(),
        signal: AbortSignal.timeout(60_000),
      });
      assert.equal(response.status, 200);
      const { applied, ignored } = await response.json();
      return [applied, ignored, (await senderState(sql, sessionId)).status];
    };
    assert.deepEqual(await post("DISABLE", 1_790_000_000), [1, 0, "restricted"]);
    assert.deepEqual(await post("DISABLE", 1_790_000_000), [0, 1, "restricted"]);
    assert.deepEqual(await post("REINSTATE", 1_790_000_060), [1, 0, "active"]);
    assert.deepEqual(await post("DISABLE", 1_790_000_000), [0, 1, "active"]);
  }));
