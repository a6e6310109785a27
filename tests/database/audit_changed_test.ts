import assert from "node:assert/strict";
import { z } from "zod";
import {
  addRecipients,
  createCampaign,
  databaseTest,
  foldCounters,
  receipt,
  recordReceipts,
  type Sql,
  until,
} from "../harness/mod.ts";

const count = z.number().int();
const answer = z.strictObject({ audited: count, discrepancies: count, remaining: count });

async function auditChanged(sql: Sql, limit = 100, timeLimit = "20 seconds"): Promise<z.infer<typeof answer>> {
  const [row] = await sql<{ answer: unknown }[]>`
    select public.audit_changed_campaigns(${limit}::integer, ${timeLimit}::interval) as answer
  `;
  return answer.parse(row?.answer);
}

async function changed(sql: Sql): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select c.campaign_id as id from private.changed_campaigns() c order by c.audited_at nulls first, c.campaign_id
  `;
  return rows.map(({ id }) => id);
}

async function lastAuditAt(sql: Sql): Promise<Date | null> {
  const [row] = await sql<{ at: Date | null }[]>`select private.last_audit_at() as at`;
  return row?.at ?? null;
}

/** Folded and audited: nothing is left to be done. */
async function settle(sql: Sql): Promise<void> {
  await foldCounters(sql);
  await auditChanged(sql);
  assert.deepEqual(await changed(sql), []);
}

databaseTest("an audit of what changed looks at each campaign once, and again when it changes", async ({ sql }) => {
  const one = await createCampaign(sql, { recipients: 3 });
  const two = await createCampaign(sql, { recipients: 2 });
  await createCampaign(sql, { recipients: 0 });
  await foldCounters(sql);
  assert.deepEqual(await auditChanged(sql), { audited: 3, discrepancies: 0, remaining: 0 });
  assert.deepEqual(await auditChanged(sql), { audited: 0, discrepancies: 0, remaining: 0 });
  await addRecipients(sql, two.id, [{}]);
  assert.deepEqual(await changed(sql), [two.id]);
  await foldCounters(sql);
  assert.deepEqual(await changed(sql), [two.id]);
  assert.deepEqual(await auditChanged(sql), { audited: 1, discrepancies: 0, remaining: 0 });
  await sql`update public.notification_campaign_recipients set status = 'failed' where campaign_id = ${one.id}`;
  assert.deepEqual(await auditChanged(sql), { audited: 1, discrepancies: 0, remaining: 0 });
});

databaseTest("a change that an audit cannot see yet is audited later, folded or not", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  await settle(sql);
  const [writer, auditor] = [await session("writer"), await session("auditor")];
  for (const folded of [false, true]) {
    // written before the audit, committed after it
    await writer.begin();
    await addRecipients(writer.sql, campaign.id, [{}]);
    await sql`select public.audit_campaign_counters(${campaign.id})`;
    assert.deepEqual(await changed(sql), []);
    await writer.commit();
    if (folded) await foldCounters(sql);
    assert.deepEqual(await changed(sql), [campaign.id], folded ? "folded" : "not folded");
    await settle(sql);

    // written, committed and folded while the audit's transaction is open
    await auditor.begin();
    await auditor.sql`select public.audit_campaign_counters(${campaign.id})`;
    await addRecipients(sql, campaign.id, [{}]);
    if (folded) await foldCounters(sql);
    await auditor.commit();
    assert.deepEqual(await changed(sql), [campaign.id], folded ? "folded" : "not folded");
    await settle(sql);

    // a fold that began before the audit and commits after it
    await addRecipients(sql, campaign.id, [{}]);
    await writer.begin();
    await foldCounters(writer.sql);
    await sql`select public.audit_campaign_counters(${campaign.id})`;
    await addRecipients(sql, campaign.id, [{}]);
    await writer.commit();
    if (folded) await foldCounters(sql);
    assert.deepEqual(await changed(sql), [campaign.id], folded ? "folded" : "not folded");
    await settle(sql);
  }
});

databaseTest("counters that were written by hand, or lost, count as changed", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  await settle(sql);
  for (
    const statement of [
      "update public.campaign_counters set sent_count = 7",
      "delete from public.campaign_counters",
      "truncate public.campaign_counters",
    ]
  ) {
    await sql.unsafe(statement);
    assert.ok((await auditChanged(sql)).discrepancies > 0, statement);
    // until it is mended, it is looked at again
    assert.deepEqual(await changed(sql), [campaign.id], statement);
    await sql`select public.repair_campaign_counters()`;
    await settle(sql);
  }
});

databaseTest("an audit of what changed takes the longest unaudited first, and no more than it may", async ({ sql }) => {
  const ids: string[] = [];
  for (let number = 0; number < 5; number++) ids.push((await createCampaign(sql, { recipients: 1 })).id);
  await settle(sql);
  const order = [3, 0, 4, 1, 2].map((number) => ids[number] ?? "");
  for (const [age, id] of order.toReversed().entries()) {
    await sql`update private.campaign_audits set audited_at = now() - make_interval(hours => ${
      age + 1
    }) where campaign_id = ${id}`;
  }
  const fresh = await createCampaign(sql, { recipients: 1 });
  for (const id of ids) await addRecipients(sql, id, [{}]);
  await foldCounters(sql);
  assert.deepEqual(await changed(sql), [fresh.id, ...order]);
  assert.deepEqual(await auditChanged(sql, 2), { audited: 2, discrepancies: 0, remaining: 4 });
  assert.deepEqual(await changed(sql), order.slice(1));
  assert.deepEqual(await auditChanged(sql, 100, "1 microsecond"), { audited: 1, discrepancies: 0, remaining: 3 });
  assert.deepEqual(await changed(sql), order.slice(2));
  assert.deepEqual(await auditChanged(sql), { audited: 3, discrepancies: 0, remaining: 0 });
});

databaseTest(
  "a second audit of what changed answers zeros, and steps aside for one of all",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const zeros = { audited: 0, discrepancies: 0, remaining: 0 };
    const first = await session("first");
    await first.begin();
    assert.equal((await auditChanged(first.sql)).audited, 1);
    assert.deepEqual(await auditChanged(sql), zeros);
    await first.rollback();

    await first.begin();
    await first.sql`select public.audit_campaign_counters()`;
    assert.deepEqual(await auditChanged(sql), zeros);
    await first.rollback();

    await first.begin();
    await first.sql`select public.repair_campaign_counters(${campaign.id})`;
    assert.deepEqual(await auditChanged(sql), { ...zeros, remaining: 1 }, "somebody is at it");
    await first.rollback();
    assert.equal((await auditChanged(sql)).audited, 1);
  },
);

databaseTest("the last audit is the last time that one was through, also when nothing had changed", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 1 });
  assert.equal(await lastAuditAt(sql), null);
  await sql`select public.audit_campaign_counters(${campaign.id})`;
  assert.equal(await lastAuditAt(sql), null, "one campaign is not all that changed");
  for (const run of ["audit_changed_campaigns", "audit_changed_campaigns", "audit_campaign_counters"]) {
    await sql`update private.audit_runs set finished_at = now() - interval '1 day'`;
    await sql`select public.${sql(run)}()`;
    const [row] = await sql<
      { recent: boolean }[]
    >`select private.last_audit_at() > now() - interval '1 minute' as recent`;
    assert.equal(row?.recent, true, run);
  }
});

for (
  const [what, limit, timeLimit] of [
    ["no campaign", 0, "20 seconds"],
    ["fewer than none", -1, "20 seconds"],
    ["more than it can lock", 1001, "20 seconds"],
    ["no limit", null, "20 seconds"],
    ["no time", 10, "0"],
    ["negative time", 10, "-1 second"],
    ["no time limit", 10, null],
  ] as const
) {
  databaseTest(`an audit of what changed refuses ${what}`, async ({ sql }) => {
    await assert.rejects(
      async () => await sql`select public.audit_changed_campaigns(${limit}::integer, ${timeLimit}::interval)`,
      { code: "22023" },
    );
  });
}

databaseTest(
  "audits of what changed beside traffic raise no false alarm and end up with nothing left",
  async ({ sql, pool }) => {
    const campaigns = [];
    for (let number = 0; number < 4; number++) {
      campaigns.push(
        await createCampaign(sql, { recipients: 10, memberCount: 1000 }),
      );
    }
    await sql`
    insert into public.send_attempts (recipient_id, attempt_number, message_id, outcome)
    select id, 1, 'M' || row_number() over (order by id), 'sent' from public.notification_campaign_recipients
  `;
    const work = pool(6);
    let writing = true;
    let audits = 0;
    const writer = async (part: number) => {
      for (let round = 0; round < 40; round++) {
        const receipts = Array.from(
          { length: 40 },
          (_, number) => receipt("message_read", `M${number + 1}`, `${part}-${round}@s.whatsapp.net`),
        );
        await recordReceipts(work, receipts);
      }
    };
    const auditor = async () => {
      while (writing) {
        assert.equal((await auditChanged(work)).discrepancies, 0);
        audits++;
      }
    };
    const folder = async () => {
      while (writing) {
        await foldCounters(work);
      }
    };
    const background = [auditor(), folder()];
    await Promise.all([writer(1), writer(2)]).finally(() => writing = false);
    await Promise.all(background);
    assert.ok(audits > 3, `${audits} audits`);
    await until("nothing to be left", async () => {
      await foldCounters(sql);
      await auditChanged(sql);
      return (await changed(sql)).length === 0;
    });
    const found = await sql`select from public.counter_discrepancies`;
    assert.equal(found.length, 0);
  },
);
