import type { Sql } from "postgres";
import { empty, type Settings, tidy } from "../database.ts";
import { openClients } from "../load/clients.ts";
import type { Bench, Measurement, Row } from "../measurement.ts";
import { newReceipts, RECORD_RECEIPTS } from "../receipts.ts";
import { addSentGroups, seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const CLIENTS = 32;
const GROUPS = 1_000;
const SLOW_COMMITS: Settings = { commit_delay: "2000", commit_siblings: "0" };

/** One campaign that takes all the traffic / the same traffic over a thousand campaigns. */
export const hotCampaign: Measurement = {
  name: "hot-campaign",
  async run(bench) {
    await empty(bench.sql);
    await seedSender(bench.sql);
    const hot = await addSentGroups(bench.sql, { campaigns: 1, groups: GROUPS });
    const spread = await addSentGroups(bench.sql, { campaigns: GROUPS, groups: 1 });
    return [
      await measure(bench, { hot, spread }, "single receipts", {}),
      await measure(bench, { hot, spread }, "single receipts, commit_delay 2 ms", SLOW_COMMITS),
    ];
  },
};

async function measure(
  { sql, stack, quick, say }: Bench,
  messageIds: { readonly hot: string[]; readonly spread: string[] },
  what: string,
  settings: Settings,
): Promise<Row> {
  const rounds = quick ? 3 : 5;
  const receipts = quick ? 1_000 : 4_000;
  say(`${what}: one campaign / ${GROUPS} campaigns, ${rounds} rounds of ${receipts} from ${CLIENTS} clients`);
  const clients = await openClients({
    kind: "statement",
    url: stack.databaseUrl,
    clients: CLIENTS,
    settings,
    statement: RECORD_RECEIPTS,
  });
  const before = await countDelivered(sql);
  let posted = 0;
  const run = (ids: readonly string[]) => () => {
    posted += receipts;
    return clients.run(newReceipts(receipts, ids).map((receipt) => JSON.stringify([receipt])));
  };
  const rates = await inTurns(rounds, { hot: run(messageIds.hot), spread: run(messageIds.spread) }, () => tidy(sql));
  await clients.close();
  return {
    name: `hot campaign / spread over ${GROUPS.toLocaleString("en-US")} campaigns: ${what}, ${CLIENTS} clients`,
    ratio: rates.ratio("hot", "spread"),
    goal: 0.9,
    figures: {
      "hot receipts/s": rates.median("hot"),
      "spread receipts/s": rates.median("spread"),
      "lost or doubled": Math.abs(await countDelivered(sql) - before - posted),
      rounds,
      "ratio between": rates.spread("hot", "spread"),
    },
  };
}

/** What the counters of all campaigns say. */
async function countDelivered(sql: Sql): Promise<number> {
  const [row] = await sql<{ delivered: number }[]>`
    select coalesce(sum(s.delivered_count), 0)::integer as delivered from public.notification_campaign_stats s
  `;
  return row?.delivered ?? NaN;
}
