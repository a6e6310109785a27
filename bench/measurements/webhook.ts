import { empty, tidy } from "../database.ts";
import { openClients } from "../load/clients.ts";
import type { Measurement } from "../measurement.ts";
import { newReceipts, type Receipt } from "../receipts.ts";
import { addSentGroups, seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const CLIENTS = 8;

/** The receipt webhook / the rpc it calls, both over HTTP through the same address. */
export const webhook: Measurement = {
  name: "webhook",
  async run({ sql, stack, quick, say }) {
    await empty(sql);
    await seedSender(sql);
    const messageIds = await addSentGroups(sql, { campaigns: 1, groups: 200 });
    const rpc = await openClients({
      kind: "post",
      url: `${stack.apiUrl}/rest/v1/rpc/record_receipts`,
      clients: CLIENTS,
      headers: { "content-type": "application/json", "apikey": stack.secretKey },
      appSecret: null,
    });
    const hook = await openClients({
      kind: "post",
      url: `${stack.apiUrl}/functions/v1/whatsapp-read-receipt-webhook`,
      clients: CLIENTS,
      headers: { "content-type": "application/json", "x-api-key": stack.env.WEBHOOK_SECRET_KEY ?? "" },
      appSecret: null,
    });
    const rounds = quick ? 3 : 5;
    const compare = async (batch: number, posts: number) => {
      say(`webhook / bare rpc: ${rounds} rounds of ${posts} posts of ${batch} receipts from ${CLIENTS} clients`);
      const batches = () => Array.from({ length: posts }, () => newReceipts(batch, messageIds));
      const rates = await inTurns(rounds, {
        webhook: () => hook.run(batches().map((receipts) => JSON.stringify(batch === 1 ? receipts[0] : receipts))),
        rpc: () => rpc.run(batches().map((receipts) => JSON.stringify({ p_receipts: receipts.map(asArgument) }))),
      }, () => tidy(sql));
      return {
        name: `webhook over HTTP / the same rpc over HTTP: ${batch === 1 ? "single receipts" : `batches of ${batch}`}`,
        ratio: rates.ratio("webhook", "rpc"),
        goal: 0.9,
        figures: {
          "webhook posts/s": rates.median("webhook"),
          "rpc posts/s": rates.median("rpc"),
          "webhook receipts/s": rates.median("webhook") * batch,
          rounds,
          "ratio between": rates.spread("webhook", "rpc"),
        },
      };
    };
    const rows = [
      await compare(100, quick ? 50 : 200),
      await compare(1, quick ? 300 : 1_000),
    ];
    await Promise.all([rpc.close(), hook.close()]);
    return rows;
  },
};

/** What the webhook hands to the rpc of a receipt. */
function asArgument({ event, messageId, reader, sessionId, timestamp }: Receipt) {
  return { event, messageId, reader, sessionId, timestamp };
}
