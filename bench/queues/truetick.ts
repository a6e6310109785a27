import type { Sql } from "postgres";
import { connect } from "../database.ts";
import { addDueGroups, seedSender } from "../seed.ts";
import type { Engine, EngineOptions } from "./engine.ts";

/**
 * claim_recipients and record_send_results, as the processor calls them, without a gateway in between.
 *
 * @param addDue adds a running campaign with so many recipients
 */
export async function openTruetick(
  { url, clients, batch }: EngineOptions,
  addDue: (sql: Sql, count: number) => Promise<void> = addDueGroups,
): Promise<Engine> {
  const pools = Array.from({ length: clients }, () => connect(url, 1));
  const [first] = pools;
  if (first === undefined) throw new Error("An engine needs at least one client");
  await seedSender(first);
  return {
    enqueue: (count) => addDue(first, count),
    async drain(count) {
      const began = performance.now();
      const settled = await Promise.all(pools.map(async (sql) => {
        let settled = 0;
        while (true) {
          const claimed = await sql<{ client_message_id: string }[]>`
            select client_message_id from public.claim_recipients(${batch}::integer)
          `;
          if (claimed.length === 0) return settled;
          const results = claimed.map(({ client_message_id }) => ({
            clientMessageId: client_message_id,
            outcome: "sent",
            messageId: `3EB0${crypto.randomUUID().replaceAll("-", "").toUpperCase()}`,
          }));
          await sql`select public.record_send_results(${JSON.stringify(results)}::text::jsonb)`;
          settled += results.length;
        }
      }));
      const elapsed = performance.now() - began;
      const total = settled.reduce((sum, each) => sum + each, 0);
      if (total !== count) throw new Error(`${total} messages were settled, not ${count}`);
      return elapsed;
    },
    async close() {
      await Promise.all(pools.map((sql) => sql.end({ timeout: 5 })));
    },
  };
}
