import assert from "node:assert/strict";
import {
  claim,
  createCampaign,
  databaseTest,
  foldCounters,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

/** By how much counters are off; `recipient.` before those of a recipient. */
type Differences = Readonly<Record<string, number>>;

interface Row {
  readonly recipient_id: string | null;
  readonly counter: string;
  readonly difference: number;
}

const COUNTERS = [
  "total_count",
  "pending_count",
  "processing_count",
  "unconfirmed_count",
  "sent_count",
  "failed_count",
  "skipped_count",
  "audience_count",
  "reached_count",
  "delivered_count",
  "read_count",
  "cost",
] as const;

async function differences(
  sql: Sql,
  rpc: "audit_campaign_counters" | "repair_campaign_counters",
): Promise<Differences> {
  const rows = await sql<Row[]>`
    select recipient_id, counter, (stored - actual)::float8 as difference from public.${sql(rpc)}()
  `;
  return Object.fromEntries(
    rows.map((row) => [`${row.recipient_id === null ? "" : "recipient."}${row.counter}`, row.difference] as const)
      .sort(),
  );
}

/** What is off when these counts are kept, or missing, beside the right ones. */
function off(counts: Readonly<Record<string, unknown>>, factor: 1 | -1): Differences {
  return Object.fromEntries(
    COUNTERS.map((name) => [name, factor * Number(counts[name])] as const).filter(([, count]) => count !== 0).sort(),
  );
}

/** Each breaks something of a campaign, and answers what an audit must find from then on, whatever else goes on. */
const vandals: Readonly<Record<string, (sql: Sql, campaignId: string) => Promise<Differences>>> = {
  "an inflated counter": async (sql, id) => {
    await sql`update public.campaign_counters set delivered_count = delivered_count + 1000 where campaign_id = ${id}`;
    return { delivered_count: 1000 };
  },
  "a negative counter": async (sql, id) => {
    const [row] = await sql<{ was: number }[]>`
      update public.campaign_counters s set read_count = -5
      from (select campaign_id, read_count from public.campaign_counters where campaign_id = ${id} for update) o
      where s.campaign_id = o.campaign_id
      returning o.read_count::integer as was
    `;
    return { read_count: -5 - (row?.was ?? 0) };
  },
  "rows counted in the wrong status": async (sql, id) => {
    await sql`
      update public.campaign_counters set sent_count = sent_count - 3, failed_count = failed_count + 3 where campaign_id = ${id}
    `;
    return { failed_count: 3, sent_count: -3 };
  },
  "a lost delta": async (sql, id) => {
    while (true) {
      // now and then the folder is there first
      const [row] = await sql`
        delete from private.campaign_counter_deltas
        where ctid = (select ctid from private.campaign_counter_deltas where campaign_id = ${id} limit 1)
        returning *
      `;
      if (row !== undefined) return off(row, -1);
    }
  },
  "a doubled delta": async (sql, id) => {
    while (true) {
      const [row] = await sql`
        insert into private.campaign_counter_deltas
        select * from private.campaign_counter_deltas where campaign_id = ${id} limit 1
        returning *
      `;
      if (row !== undefined) return off(row, 1);
    }
  },
  "a deleted snapshot": async (sql, id) => {
    while (true) {
      const [row] = await sql`delete from public.campaign_counters where campaign_id = ${id} returning *`;
      if (row !== undefined) return off(row, -1);
    }
  },
  "counts of a recipient": async (sql, id) => {
    await sql`
      update public.notification_campaign_recipients
      set identified_delivered_count = identified_delivered_count + 4, delivered_count = delivered_count + 4
      where id = (select min(id::text)::uuid from public.notification_campaign_recipients where campaign_id = ${id})
    `;
    return { "recipient.delivered_count": 4, "recipient.identified_delivered_count": 4 };
  },
  "a recipient that no trigger counted": async (sql, id) => {
    await sql.begin(async (transaction) => {
      await transaction`set local session_replication_role = 'replica'`;
      await transaction`
        insert into public.notification_campaign_recipients (campaign_id, recipient, status, member_count)
        values (${id}, ${crypto.randomUUID()}, 'failed', 3)
      `;
    });
    return { audience_count: -3, failed_count: -1, total_count: -1 };
  },
};

databaseTest(
  "every kind of corruption is found, named and mended beside traffic, and nothing else is",
  async ({ sql, pool }) => {
    const campaign = await createCampaign(sql, { recipients: 30, memberCount: 100_000 });
    const claims = await claim(sql);
    await recordSendCallback(sql, claims.map((claimed, number) => sentCallback(claimed, `M${number}`)));
    await foldCounters(sql);
    const work = pool(5);
    let writing = true;
    let reads = 0;
    const writer = async (part: number) => {
      for (let round = 0; writing; round++) {
        await recordReceipts(
          work,
          claims.map((_, number) => receipt("message_read", `M${number}`, person(part * 1_000_000 + round))),
        );
        reads += claims.length;
      }
    };
    const folder = async () => {
      while (writing) await foldCounters(work);
    };
    const background = [writer(1), writer(2), folder()];
    try {
      for (const [what, corrupt] of Object.entries(vandals)) {
        assert.deepEqual(await differences(sql, "audit_campaign_counters"), {}, `before ${what}`);
        const expected = await corrupt(sql, campaign.id);
        assert.deepEqual(await differences(sql, "audit_campaign_counters"), expected, what);
        assert.deepEqual(await differences(sql, "repair_campaign_counters"), expected, `the repair of ${what}`);
      }
    } finally {
      writing = false;
      await Promise.all(background);
    }
    const { read_count, delivered_count, sent_count, failed_count } = await stats(sql, campaign.id);
    assert.deepEqual([read_count, delivered_count, sent_count, failed_count], [reads, reads, 30, 1]);
  },
);
