import assert from "node:assert/strict";
import { databaseTest, type Sql } from "../harness/mod.ts";
import { type Actor, type ActorName, attempt } from "./actor.ts";
import { createWorld, type Tenant } from "./tenants.ts";

const options = { leavesDiscrepancies: true };
const operators: readonly ActorName[] = ["operator", "owner", "service_role"];

/** Every rpc of a CRM: the state in which it does something, and its call. */
const rpcs: Record<
  string,
  { readonly campaign: string; readonly recipient: string; readonly call: (tenant: Tenant) => string }
> = {
  start_campaign: { campaign: "draft", recipient: "pending", call: byCampaign("start_campaign") },
  pause_campaign: { campaign: "processing", recipient: "pending", call: byCampaign("pause_campaign") },
  resume_campaign: { campaign: "paused", recipient: "pending", call: byCampaign("resume_campaign") },
  cancel_campaign: { campaign: "processing", recipient: "pending", call: byCampaign("cancel_campaign") },
  schedule_campaign: {
    campaign: "draft",
    recipient: "pending",
    call: ({ campaignId }) => `select public.schedule_campaign('${campaignId}', now() + interval '1 day')`,
  },
  add_recipients: {
    campaign: "processing",
    recipient: "pending",
    call: ({ campaignId }) => `select public.add_recipients('${campaignId}', '["120363000000000001@g.us"]')`,
  },
  retry_failed_recipients: { campaign: "paused", recipient: "failed", call: byCampaign("retry_failed_recipients") },
  confirm_recipient: {
    campaign: "processing",
    recipient: "unconfirmed",
    call: ({ recipientId }) => `select public.confirm_recipient('${recipientId}', true, null)`,
  },
};

for (const [name, { campaign, recipient, call }] of Object.entries(rpcs)) {
  databaseTest(`${name} obeys operators of the organization, and nobody else`, async ({ sql }) => {
    const { a, actors } = await createWorld(sql);
    await sql`update public.notification_campaigns set status = ${campaign} where id = ${a.campaignId}`;
    await sql`update public.notification_campaign_recipients set status = ${recipient} where id = ${a.recipientId}`;
    const before = await stateOf(sql, a);
    for (const actor of actors) {
      let after: unknown;
      const found = await attempt(sql, actor, async (transaction) => {
        const rows = await transaction.unsafe(call(a));
        await transaction`reset role`;
        after = await stateOf(transaction, a);
        return rows;
      });
      if (operators.includes(actor.name)) {
        assert.equal(found.kind, "done", `${actor.name}: ${JSON.stringify(found)}`);
        assert.notDeepEqual(after, before, `${actor.name} changed nothing`);
      } else if (actor.name === "stranger" || actor.name === "other owner") {
        // a stranger is not even told that there is such a campaign
        assert.equal(found.kind === "refused" && found.code, "PT404", `${actor.name}: ${JSON.stringify(found)}`);
      } else {
        assert.equal(found.kind, "denied", `${actor.name}: ${JSON.stringify(found)}`);
      }
    }
    assert.deepEqual(await stateOf(sql, a), before);
  }, options);
}

databaseTest(
  "an operator cannot set a status, reach into a running campaign, or leave the organization",
  async ({ sql }) => {
    const { a, b, actors } = await createWorld(sql);
    const operator = named(actors, "operator");
    const denied = async (statement: string) => {
      const found = await attempt(sql, operator, (transaction) => transaction.unsafe(statement));
      assert.equal(found.kind, "denied", `${statement}: ${JSON.stringify(found)}`);
    };
    const ofNoRow = async (statement: string) => {
      const found = await attempt(sql, operator, (transaction) => transaction.unsafe(statement));
      assert.deepEqual(found, { kind: "done", rows: 0 }, statement);
    };
    await denied(`update public.notification_campaigns set status = 'completed' where id = '${a.campaignId}'`);
    await denied(
      `update public.notification_campaigns set organization_id = '${b.organizationId}' where id = '${a.campaignId}'`,
    );
    await denied(
      `insert into public.notification_campaigns (organization_id, channel, status) values ('${a.organizationId}', 'sms', 'processing')`,
    );
    await denied(`update public.notification_campaign_recipients set status = 'sent' where id = '${a.recipientId}'`);
    await denied(
      `update public.notification_campaign_recipients set campaign_id = '${b.campaignId}' where id = '${a.recipientId}'`,
    );
    for (
      const relation of [
        "notification_campaign_recipients (campaign_id, recipient, status)",
        "notification_campaign_groups (campaign_id, group_jid, status)",
      ]
    ) {
      await denied(`insert into public.${relation} values ('${a.campaignId}', 'x@g.us', 'sent')`);
    }
    await denied(
      `insert into public.notification_campaign_recipients (campaign_id, recipient, delivered_count) values ('${a.campaignId}', 'x@g.us', 9)`,
    );
    await denied(
      `insert into public.send_queue (campaign_id, phone, status) values ('${a.contactCampaignId}', '+1', 'sent')`,
    );
    await sql`update public.notification_campaigns set status = 'processing' where id = ${a.campaignId}`;
    await ofNoRow(`update public.notification_campaigns set content = '{}' where id = '${a.campaignId}'`);
    await ofNoRow(`delete from public.notification_campaigns where id = '${a.campaignId}'`);
    await ofNoRow(`delete from public.notification_campaign_recipients where id = '${a.recipientId}'`);
    await ofNoRow(`delete from public.notification_campaign_groups where id = '${a.recipientId}'`);
  },
  options,
);

databaseTest(
  "a campaign cannot send through another organization's sender, whoever points it there",
  async ({ sql }) => {
    const { a, b, actors } = await createWorld(sql);
    for (const name of ["operator", "owner", "service_role"] as const) {
      for (
        const statement of [
          `update public.notification_campaigns set session_id = '${b.sessionId}' where id = '${a.campaignId}'`,
          `insert into public.notification_campaigns (organization_id, channel, session_id) values ('${a.organizationId}', 'whatsapp', '${b.sessionId}')`,
        ]
      ) {
        const found = await attempt(sql, named(actors, name), (transaction) => transaction.unsafe(statement));
        assert.equal(
          found.kind === "refused" && found.code,
          "23503",
          `${name}: ${statement}: ${JSON.stringify(found)}`,
        );
      }
    }
  },
  options,
);

databaseTest("only an owner adds members or changes a role, and only in their own organization", async ({ sql }) => {
  const { a, b, actors } = await createWorld(sql);
  for (const actor of actors.filter(({ role }) => role === "authenticated")) {
    for (const tenant of [a, b]) {
      const isOwner = actor.userId === tenant.ownerId;
      const joined = await attempt(sql, actor, (transaction) =>
        transaction`
          insert into public.organization_members (organization_id, user_id, role)
          values (${tenant.organizationId}, ${
          actor.userId === tenant.ownerId ? crypto.randomUUID() : actor.userId
        }, 'owner')
        `);
      assert.equal(joined.kind, isOwner ? "done" : "denied", `${actor.name} adds itself: ${JSON.stringify(joined)}`);
      const raised = await attempt(sql, actor, (transaction) =>
        transaction`
          update public.organization_members set role = 'owner'
          where organization_id = ${tenant.organizationId} and user_id = ${isOwner ? tenant.viewerId : actor.userId}
        `);
      assert.deepEqual(raised, { kind: "done", rows: isOwner ? 1 : 0 }, `${actor.name} raises itself`);
    }
  }
}, options);

databaseTest("a viewer of A who owns B gains nothing in A", async ({ sql }) => {
  const { a, b } = await createWorld(sql);
  await sql`insert into public.organization_members (organization_id, user_id) values (${b.organizationId}, ${a.viewerId})`;
  await sql`
    insert into public.organization_members (organization_id, user_id, role) values (${a.organizationId}, ${b.ownerId}, 'viewer')
  `;
  const both: Actor = { name: "viewer", role: "authenticated", userId: b.ownerId };
  const seen = await attempt(sql, both, (transaction) => transaction`select * from public.notification_campaigns`);
  assert.deepEqual(seen, { kind: "done", rows: 4 });
  const moved = await attempt(sql, both, (transaction) =>
    transaction`
    update public.notification_campaigns set name = 'mine' where organization_id = ${a.organizationId}
  `);
  assert.deepEqual(moved, { kind: "done", rows: 0 });
  const started = await attempt(sql, both, (transaction) => transaction.unsafe(byCampaign("start_campaign")(a)));
  assert.equal(started.kind, "denied", JSON.stringify(started));
  const own = await attempt(sql, both, (transaction) => transaction.unsafe(byCampaign("start_campaign")(b)));
  assert.equal(own.kind, "done", JSON.stringify(own));
}, options);

function byCampaign(rpc: string): (tenant: Tenant) => string {
  return ({ campaignId }) => `select public.${rpc}('${campaignId}')`;
}

async function stateOf(sql: Pick<Sql, "unsafe">, { campaignId }: Tenant): Promise<unknown> {
  const rows = await sql.unsafe(`
    select c.status as campaign, r.status as recipient
    from public.notification_campaigns c join public.notification_campaign_recipients r on r.campaign_id = c.id
    where c.id = '${campaignId}'
    order by r.recipient
  `);
  return [...rows];
}

function named(actors: readonly Actor[], name: ActorName): Actor {
  const actor = actors.find((each) => each.name === name);
  if (actor === undefined) throw new Error(`There is no ${name}`);
  return actor;
}
