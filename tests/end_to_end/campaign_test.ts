import assert from "node:assert/strict";
import { SimulatorClient } from "../../local/simulator/client.ts";
import { calm, type Faults } from "../../local/simulator/faults.ts";
import { dataOf, type Person, runProcessor, serviceClient, signUp } from "../harness/http.ts";
import { assertAuditIsClean, connect, groupJid, type Sql, stats, testStack, unique, until } from "../harness/mod.ts";

const GROUPS = 20;
/** A gateway that answers at once: these tests are about what is counted, not about how long it takes. */
const quick: Partial<Faults> = { ...calm, answerMs: [1, 15], callbackMs: [0, 100], receiptMs: [0, 200] };

interface RunningCampaign {
  readonly id: string;
  readonly owner: Person;
  readonly memberCounts: Readonly<Record<string, number>>;
  readonly simulator: SimulatorClient;
  readonly sql: Sql;
}

/** Everything as a CRM does it: sign up, sender, campaign, recipients, start; then `body`, then all is compared. */
async function withCampaign(
  faults: Partial<Faults>,
  body: (campaign: RunningCampaign) => Promise<void>,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const simulator = new SimulatorClient(testStack().simulatorUrl);
  await simulator.reset();
  await simulator.setFaults({ ...quick, ...faults });
  const memberCounts = Object.fromEntries(Array.from({ length: GROUPS }, (_, number) => [groupJid(), 5 + number * 3]));
  await simulator.registerGroups(memberCounts);

  const owner = await signUp("owner");
  const sessionId = unique("wa");
  dataOf(
    await owner.client.from("gateway_sessions").insert({
      id: sessionId,
      organization_id: owner.organizationId,
      channel: "whatsapp_group",
    }),
  );
  const { id } = dataOf(
    await owner.client.from("notification_campaigns").insert({
      organization_id: owner.organizationId,
      name: "End to end",
      channel: "whatsapp_group",
      session_id: sessionId,
      content: { type: "text", text: "Hello" },
      on_transient_error: "retry",
      ...more,
    }).select("id").single<{ id: string }>(),
  ) ?? assert.fail("no campaign");
  dataOf(
    await owner.client.from("notification_campaign_groups").insert(
      Object.entries(memberCounts).map(([group_jid, member_count]) => ({ campaign_id: id, group_jid, member_count })),
    ),
  );
  dataOf(await owner.client.rpc("start_campaign", { p_campaign_id: id }));

  const sql = connect(testStack().databaseUrl, 2);
  try {
    await body({ id, owner, memberCounts, simulator, sql });
    await assertAuditIsClean({ sql });
  } finally {
    await simulator.setFaults({ ...calm });
    await sql`delete from public.organizations where id = ${owner.organizationId}`;
    await sql.end({ timeout: 5 });
  }
}

/** Runs the processor until the campaign is completed and the gateway has nothing left to report. */
async function toTheEnd({ id, simulator }: RunningCampaign): Promise<void> {
  const service = serviceClient();
  await until("the campaign to be completed and the gateway to fall silent", async () => {
    await runProcessor();
    const { status } = dataOf(
      await service.from("notification_campaigns").select("status").eq("id", id).single<{ status: string }>(),
    ) ?? { status: "" };
    return status === "completed" && await simulator.idle();
  }, 60_000);
}

/** Every counter and every row against the gateway's own record. */
async function assertEqualsRecord({ id, owner, memberCounts, simulator, sql }: RunningCampaign): Promise<void> {
  const record = await simulator.record();
  assert.deepEqual(record.unexpected, [], "answers that a webhook must not give");
  const truth = record.groups.filter((group) => group.groupJid in memberCounts);
  const sum = (number: (group: typeof truth[number]) => number) =>
    truth.reduce((total, group) => total + number(group), 0);
  const counted = await stats(sql, id);
  assert.deepEqual(counted, {
    total_count: GROUPS,
    pending_count: 0,
    processing_count: 0,
    unconfirmed_count: 0,
    sent_count: sum((group) => Number(group.status === "sent")),
    failed_count: sum((group) => Number(group.status === "failed")),
    skipped_count: 0,
    audience_count: Object.values(memberCounts).reduce((total, count) => total + count, 0),
    reached_count: sum((group) => Number(group.delivered > 0)),
    delivered_count: sum((group) => group.delivered),
    read_count: sum((group) => group.read),
    cost: 0,
    progress: 100,
  });
  // what the owner sees, row by row
  const rows = dataOf(
    await owner.client.from("notification_campaign_groups").select("group_jid,status,delivered_count,read_count").eq(
      "campaign_id",
      id,
    ),
  ) ?? [];
  const expected = truth.map(({ groupJid: group_jid, status, delivered: delivered_count, read: read_count }) => ({
    group_jid,
    status,
    delivered_count,
    read_count,
  }));
  const byGroup = (one: { group_jid: string }, other: { group_jid: string }) =>
    one.group_jid < other.group_jid ? -1 : 1;
  assert.deepEqual(rows.sort(byGroup), expected.sort(byGroup));
  assert.ok(
    truth.every((group) => group.sends.filter((send) => send.status === "sent").length <= 1),
    "nothing was sent twice",
  );
}

Deno.test("a campaign on a good day: every counter equals the gateway's record", async () => {
  await withCampaign({ seed: 11 }, async (campaign) => {
    await toTheEnd(campaign);
    await assertEqualsRecord(campaign);
    assert.equal((await stats(campaign.sql, campaign.id)).sent_count, GROUPS);
  });
});

Deno.test("a campaign with doubled, early and failing callbacks and shuffled receipts of three sessions: every counter equals the gateway's record", async () => {
  const faults: Partial<Faults> = {
    seed: 12,
    sendsRejected: 0.1,
    sendsFailed: 0.1,
    sendsFailedThenSent: 0.1,
    sendsBusy: 0.1,
    callbacksDoubled: 0.3,
    callbacksEarly: 0.3,
    callbacksWithoutId: 0.3,
    receiptSessions: 3,
    receiptsShuffled: true,
    receiptsEarly: 0.3,
    readsWithoutDelivery: 0.2,
    deviceSuffixes: 0.2,
    oddTimestamps: 0.2,
    sessionsWithoutNames: 0.2,
    anonymousGroups: 0.1,
    malformedPosts: 0.3,
  };
  await withCampaign(faults, async (campaign) => {
    await toTheEnd(campaign);
    await assertEqualsRecord(campaign);
    const { faults: injected } = await campaign.simulator.record();
    assert.ok(Object.values(injected).some((count) => count > 0), "faults were injected");
  });
});

Deno.test("callbacks that never come are found by asking the gateway, and nothing is sent again", async () => {
  await withCampaign({ seed: 13, callbacksLost: 1 }, async (campaign) => {
    await runProcessor();
    await until("the gateway to fall silent", () => campaign.simulator.idle());
    // receipts of messages that nobody has named yet are parked; leases end as if five minutes had passed
    await campaign.sql`
      update public.notification_campaign_recipients
      set lease_expires_at = now() - interval '1 second'
      where campaign_id = ${campaign.id} and status = 'processing'
    `;
    await toTheEnd(campaign);
    await assertEqualsRecord(campaign);
    const { groups } = await campaign.simulator.record();
    assert.ok(
      groups.filter((group) => group.groupJid in campaign.memberCounts).every((group) => group.sends.length === 1),
    );
  });
});

Deno.test("a send that times out is not sent again while the gateway knows it", async () => {
  await withCampaign({ seed: 14, sendTimeouts: 0.3, hangMs: [200, 400] }, async (campaign) => {
    await toTheEnd(campaign);
    await assertEqualsRecord(campaign);
  });
});

Deno.test("three processors at once send each message once", async () => {
  await withCampaign({ seed: 15 }, async (campaign) => {
    const runs = await Promise.all([runProcessor(), runProcessor(), runProcessor()]);
    const claimed = runs.reduce((sum, figures) => sum + (figures.claimed ?? 0), 0);
    assert.equal(claimed, GROUPS);
    await toTheEnd(campaign);
    await assertEqualsRecord(campaign);
    const { totals } = await campaign.simulator.record();
    assert.deepEqual([totals.requests, totals.doubleSends], [GROUPS, 0]);
  });
});

Deno.test("a scheduled campaign starts by itself when its time has come", async () => {
  const simulator = new SimulatorClient(testStack().simulatorUrl);
  await simulator.reset();
  await simulator.setFaults({ ...quick, seed: 16 });
  const owner = await signUp("owner");
  const sql = connect(testStack().databaseUrl, 2);
  try {
    const sessionId = unique("wa");
    dataOf(
      await owner.client.from("gateway_sessions").insert({ id: sessionId, organization_id: owner.organizationId }),
    );
    const { id } = dataOf(
      await owner.client.from("notification_campaigns").insert({
        organization_id: owner.organizationId,
        channel: "whatsapp_group",
        session_id: sessionId,
        content: { type: "text", text: "Hello" },
        status: "scheduled",
        scheduled_at: new Date(Date.now() - 1000).toISOString(),
      }).select("id").single<{ id: string }>(),
    ) ?? assert.fail("no campaign");
    dataOf(
      await owner.client.from("notification_campaign_groups").insert({
        campaign_id: id,
        group_jid: groupJid(),
        member_count: 5,
      }),
    );
    assert.equal((await runProcessor()).started, 1);
    await until("the callback", async () => (await stats(sql, id)).sent_count === 1);
    await until("the gateway to fall silent", () => simulator.idle());
  } finally {
    await sql`delete from public.organizations where id = ${owner.organizationId}`;
    await sql.end({ timeout: 5 });
  }
});
