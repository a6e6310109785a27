import { empty, tidy } from "../database.ts";
import { sendContactMessages } from "../contact_messages.ts";
import type { Measurement } from "../measurement.ts";
import { type MetaPost, metaPost } from "../meta_post.ts";
import { post } from "../post.ts";
import { seedPhoneNumber, seedSender } from "../seed.ts";
import { STATUSES_PER_MESSAGE, statusesOf } from "../statuses.ts";
import { inTurns } from "../turns.ts";
import { withSignature } from "../with_signature.ts";

const BATCH = 1_000;
/** What Meta asks of a webhook, at the median. */
const TARGET_MS = 250;

/** A signed post of a thousand statuses, the most that Meta puts into one: how long it takes, and the rpc behind it. */
export const metaStatuses: Measurement = {
  name: "meta-statuses",
  async run({ sql, stack, quick, say }) {
    const rounds = quick ? 5 : 41;
    await empty(sql);
    await seedSender(sql);
    await seedPhoneNumber(sql);
    const perSide = Math.ceil((rounds + 1) / STATUSES_PER_MESSAGE) * BATCH;
    const messages = await sendContactMessages(sql, 2 * perSide);
    say(`signed posts of ${BATCH} statuses / the bare rpc, ${rounds} rounds`);

    let bytes = 0;
    const latencies: number[] = [];
    const side = (from: number, send: (post: MetaPost) => Promise<number>) => {
      let sent = 0;
      return async () => {
        const first = from + Math.floor(sent / STATUSES_PER_MESSAGE) * BATCH;
        const made = metaPost(statusesOf(messages.slice(first, first + BATCH), sent++));
        bytes = made.body.length;
        return 1_000 / await send(made);
      };
    };
    const rates = await inTurns(rounds, {
      webhook: side(0, async ({ body }) => {
        const headers = withSignature(
          { "content-type": "application/json" },
          body,
          stack.env.WHATSAPP_APP_SECRET ?? "",
        );
        latencies.push(
          await timed(() => post(`${stack.apiUrl}/functions/v1/whatsapp-read-receipt-webhook`, headers, body)),
        );
        return latencies.at(-1) ?? NaN;
      }),
      rpc: side(perSide, ({ receipts }) => {
        const headers = { "content-type": "application/json", "apikey": stack.secretKey };
        const body = JSON.stringify({ p_receipts: receipts });
        return timed(() => post(`${stack.apiUrl}/rest/v1/rpc/record_receipts`, headers, body));
      }),
    }, () => tidy(sql));
    const p50 = 1_000 / rates.median("webhook");
    return [{
      name: `${TARGET_MS} ms, Meta's target for the median / signed post of 1,000 statuses`,
      ratio: TARGET_MS / p50,
      goal: 1,
      figures: {
        "p50 ms": p50,
        "slowest ms": Math.max(...latencies.slice(1)),
        "statuses/s": BATCH * rates.median("webhook"),
        "kB a post": bytes / 1_000,
        rounds,
      },
    }, {
      name: "signed post of 1,000 statuses / the bare rpc over HTTP",
      ratio: rates.ratio("webhook", "rpc"),
      goal: null,
      figures: {
        "p50 ms, webhook": p50,
        "p50 ms, rpc": 1_000 / rates.median("rpc"),
        rounds,
        "ratio between": rates.spread("webhook", "rpc"),
      },
    }];
  },
};

/** Milliseconds. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
