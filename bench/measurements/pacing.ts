import type { Sql } from "postgres";
import { startNotingGateway } from "../../local/noting_gateway.ts";
import { processorOf } from "../../local/processor_of.ts";
import { empty } from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { addDueGroups, seedSender } from "../seed.ts";

const PROCESSORS = 4;
const CAMPAIGNS = 3;
const BUDGET_MS = 10_000;
/** The gateway takes up to so long to answer. */
const ANSWER_MS = 400;
const MINUTE_MS = 60_000;

/** What arrives from a sender with a limit, several processors sending through it / its limit. */
export const pacing: Measurement = {
  name: "pacing",
  async run({ sql, stack, quick, say }) {
    const [perMinute, runMs] = quick ? [240, 15_000] : [60, 90_000];
    await empty(sql);
    await seedSender(sql);
    await sql`update public.gateway_sessions set messages_per_minute = ${perMinute}`;
    for (let campaign = 0; campaign < CAMPAIGNS; campaign++) await addDueGroups(sql, perMinute * 2);
    say(`${PROCESSORS} processors, ${CAMPAIGNS} campaigns, ${perMinute} a minute, for ${runMs / 1000} s`);
    const gateway = startNotingGateway(ANSWER_MS);
    const env = { ...stack.env, WHATSAPP_VPS_URL: gateway.url, PROCESS_TIME_BUDGET_MS: `${BUDGET_MS}` };
    try {
      const until = performance.now() + runMs;
      await Promise.all(Array.from({ length: PROCESSORS }, () => processUntil(until, processorOf(env))));
    } finally {
      await gateway.stop();
    }
    const arrivals = gateway.arrivedAt.toSorted((a, b) => a - b);
    const most = mostInAMinute(arrivals);
    if (most > perMinute) throw new Error(`${most} messages arrived in one minute, the limit is ${perMinute}`);
    const gaps = arrivals.slice(1).map((at, index) => at - (arrivals[index] ?? at)).toSorted((a, b) => a - b);
    const elapsed = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0);
    return [{
      name: `messages of ${PROCESSORS} processors through one sender / its limit`,
      ratio: gaps.length / (elapsed / MINUTE_MS) / perMinute,
      goal: 0.8,
      figures: {
        "limit, a minute": perMinute,
        "most in any minute": most,
        "messages": arrivals.length,
        "ms between two": `${Math.round(gaps[0] ?? 0)} to ${Math.round(gaps.at(-1) ?? 0)}`,
        "of each campaign": (await sentOfEach(sql)).join(", "),
      },
    }];
  },
};

/** Runs a processor again and again. */
async function processUntil(until: number, run: () => Promise<Response>): Promise<void> {
  while (performance.now() < until) {
    const response = await run();
    if (!response.ok) throw new Error(`the processor answered ${response.status}: ${await response.text()}`);
    await response.body?.cancel();
  }
}

/** How many came within a minute, wherever it begins. */
function mostInAMinute(arrivals: readonly number[]): number {
  return Math.max(0, ...arrivals.map((from) => arrivals.filter((at) => at >= from && at < from + MINUTE_MS).length));
}

async function sentOfEach(sql: Sql): Promise<number[]> {
  const rows = await sql<{ sent: number }[]>`
    select count(*)::integer as sent
    from public.send_attempts a
    join public.notification_campaign_recipients r on r.id = a.recipient_id
    group by r.campaign_id
    order by sent
  `;
  return rows.map((row) => row.sent);
}
