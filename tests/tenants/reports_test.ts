import assert from "node:assert/strict";
import { databaseTest } from "../harness/mod.ts";
import { attempt } from "./actor.ts";
import { createWorld } from "./tenants.ts";

const options = { leavesDiscrepancies: true };

for (const name of ["campaign_report", "campaign_report_csv", "failure_summary", "campaign_costs"]) {
  databaseTest(`${name} answers every member of the organization, and nobody else`, async ({ sql }) => {
    const { a, b, actors } = await createWorld(sql);
    await sql`
      update public.notification_campaign_recipients set status = 'failed', cost = 0.05 where id in (${a.recipientId}, ${b.recipientId})
    `;
    for (const actor of actors) {
      for (const tenant of [a, b]) {
        const found = await attempt(
          sql,
          actor,
          (transaction) => transaction.unsafe(`select * from public.${name}('${tenant.campaignId}')`),
        );
        const isOwn = actor.role === "service_role" ||
          (actor.name === "other owner" ? tenant === b : actor.name !== "stranger" && tenant === a);
        if (actor.name === "anon") {
          assert.equal(found.kind, "denied", JSON.stringify(found));
        } else if (isOwn) {
          assert.deepEqual(found, { kind: "done", rows: 1 }, actor.name);
        } else {
          // a stranger is not even told that there is such a campaign
          assert.equal(found.kind === "refused" && found.code, "PT404", `${actor.name}: ${JSON.stringify(found)}`);
        }
      }
    }
  }, options);
}

databaseTest("a member who leaves the organization reads no further page", async ({ sql }) => {
  const { a, actors } = await createWorld(sql);
  const viewer = actors.find(({ name }) => name === "viewer") ?? assert.fail("no viewer");
  await sql`delete from public.organization_members where user_id = ${a.viewerId}`;
  const found = await attempt(
    sql,
    viewer,
    (transaction) => transaction`select public.campaign_report_csv(${a.campaignId}, 'a', 1)`,
  );
  assert.equal(found.kind === "refused" && found.code, "PT404", JSON.stringify(found));
}, options);
