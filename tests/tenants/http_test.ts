import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import assert from "node:assert/strict";
import { z } from "zod";
import { createCampaign, testStack } from "../harness/mod.ts";
import { connect } from "../harness/connect.ts";
import { functionRules } from "./function_rules.ts";
import { relationRules } from "./relation_rules.ts";

const auth = { persistSession: false, autoRefreshToken: false };
const absent = "00000000-0000-4000-8000-000000000000";

/** Arguments with which each function of `service` could be called. */
const serviceCalls: Readonly<Record<string, Record<string, unknown>>> = {
  claim_recipients: { p_limit: 1 },
  claim_stale_attempts: { p_limit: 1 },
  increment_delivered_count: { p_group_id: absent },
  journal_webhook_event: { p_source: "receipt", p_reason: "malformed", p_payload: {} },
  record_alarms_posted: { p_opened: [] },
  record_receipts: { p_receipts: [] },
  record_receipts_with_verdicts: { p_receipts: [] },
  record_send_callback: { p_event: [] },
  record_send_results: { p_results: [] },
  schedule_processing: { p_functions_url: "http://127.0.0.1", p_cron_secret_key: "x" },
  schedule_retention: { p_older_than: "1 year" },
};

Deno.test("over HTTP anon reads and calls nothing", async () => {
  const { apiUrl, publishableKey } = testStack();
  const anon = createClient(apiUrl, publishableKey, { auth });
  for (const relation of Object.keys(relationRules)) {
    const answer = await anon.from(relation).select("*").limit(1);
    assert.ok([401, 403].includes(answer.status), `${relation}: ${answer.status} ${JSON.stringify(answer.data)}`);
  }
  for (const [name, rule] of Object.entries(functionRules)) {
    const answer = await anon.rpc(
      name,
      rule !== "service" ? userArguments(name, absent, absent) : serviceCalls[name] ?? {},
    );
    assert.ok([401, 403, 404].includes(answer.status), `${name}: ${answer.status} ${JSON.stringify(answer.data)}`);
  }
});

Deno.test("over HTTP people see their own organization, change what their role allows, and call no inner rpc", async () => {
  const stack = testStack();
  const sql = connect(stack.databaseUrl, 2);
  try {
    // drafts: nothing that another test could claim
    const own = await createCampaign(sql, { status: "draft" });
    const theirs = await createCampaign(sql, { status: "draft" });
    const enlist = async (role: string, organizationId: string) => {
      const { client, id } = await signUp();
      await sql`
        insert into public.organization_members (organization_id, user_id, role) values (${organizationId}, ${id}, ${role})
      `;
      return client;
    };
    const viewer = await enlist("viewer", own.organizationId);
    const operator = await enlist("operator", own.organizationId);
    const otherOwner = await enlist("owner", theirs.organizationId);

    for (const [client, isMember] of [[viewer, true], [operator, true], [otherOwner, false]] as const) {
      for (
        const relation of [
          "notification_campaign_stats",
          "notification_campaign_groups",
          "notification_campaign_recipients",
        ]
      ) {
        const { data, status } = await client.from(relation).select("*").eq("campaign_id", own.id);
        assert.equal(status, 200);
        assert.equal(data?.length, isMember ? 1 : 0, relation);
      }
      const { status } = await client.schema("private").from("campaign_counter_deltas").select("*");
      assert.ok([400, 403, 404, 406].includes(status), `private: ${status}`);
      for (const [name, rule] of Object.entries(functionRules)) {
        if (rule !== "service") continue;
        const answer = await client.rpc(name, serviceCalls[name] ?? {});
        assert.ok([403, 404].includes(answer.status), `${name}: ${answer.status} ${JSON.stringify(answer.data)}`);
      }
    }

    for (const name of Object.keys(functionRules).filter((each) => functionRules[each] === "users")) {
      const callArguments = userArguments(name, own.id, own.only.id);
      const refused = await viewer.rpc(name, callArguments);
      assert.equal(refused.status, 403, `${name} by a viewer: ${JSON.stringify(refused.error)}`);
      const unseen = await otherOwner.rpc(name, callArguments);
      assert.equal(unseen.status, 404, `${name} by a stranger: ${JSON.stringify(unseen.error)}`);
    }
    for (const name of Object.keys(functionRules).filter((each) => functionRules[each] === "readers")) {
      const callArguments = userArguments(name, own.id, own.only.id);
      const read = await viewer.rpc(name, callArguments);
      assert.equal(read.status, 200, `${name} by a viewer: ${JSON.stringify(read.error)}`);
      const unseen = await otherOwner.rpc(name, callArguments);
      assert.equal(unseen.status, 404, `${name} by a stranger: ${JSON.stringify(unseen.error)}`);
    }
    const changed = await operator.from("notification_campaigns").update({ status: "processing" }).eq("id", own.id);
    assert.equal(changed.status, 403);
    const moved = await operator.from("notification_campaigns").update({ session_id: theirs.sessionId }).eq(
      "id",
      own.id,
    );
    assert.equal(moved.status, 409);
    const renamed = await otherOwner.from("notification_campaigns").update({ name: "mine" }).eq("id", own.id).select();
    assert.deepEqual(renamed.data, []);
    const edited = await operator.from("notification_campaigns").update({ name: "Ours" }).eq("id", own.id).select(
      "name",
    );
    assert.deepEqual(edited.data, [{ name: "Ours" }]);
    const cancelled = await operator.rpc("cancel_campaign", { p_campaign_id: own.id });
    assert.equal(cancelled.status, 200, JSON.stringify(cancelled.error));
  } finally {
    await sql.end({ timeout: 1 });
  }
});

function userArguments(name: string, campaignId: string, recipientId: string): Record<string, unknown> {
  switch (name) {
    case "add_recipients":
      return { p_campaign_id: campaignId, p_recipients: [] };
    case "confirm_recipient":
      return { p_recipient_id: recipientId, p_sent: true };
    case "schedule_campaign":
      return { p_campaign_id: campaignId, p_scheduled_at: null };
    default:
      return { p_campaign_id: campaignId };
  }
}

async function signUp(): Promise<{ client: SupabaseClient; id: string }> {
  const { apiUrl, publishableKey } = testStack();
  const client = createClient(apiUrl, publishableKey, { auth });
  const credentials = { email: `${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() };
  const { data, error } = await client.auth.signUp(credentials);
  assert.equal(error, null);
  if (data.session === null) assert.equal((await client.auth.signInWithPassword(credentials)).error, null);
  return { client, id: z.object({ id: z.string() }).parse(data.user).id };
}
