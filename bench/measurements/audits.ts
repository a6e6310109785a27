import { recountCampaigns } from "../../scripts/counters/recount.ts";
import { connect, empty, tidy } from "../database.ts";
import { loadCounted } from "../load_counted.ts";
import type { Measurement } from "../measurement.ts";
import { median } from "../median.ts";
import { openSecondDatabase } from "../second_database.ts";
import { newReceipts, RECORD_RECEIPTS } from "../receipts.ts";
import { seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const RECIPIENTS = 1_000;
const ROUNDS = 30;
/** What a gateway posts at a time. */
const BATCH = 20;

/** An audit of one campaign among many / alone; of all, and what that does to writers; the command, and a repair. */
export const audits: Measurement = {
  name: "audits",
  async run({ sql, stack, quick, say }) {
    const campaigns = quick ? 50 : 1_000;
    await empty(sql);
    await seedSender(sql);
    const auditor = connect(stack.databaseUrl, 1, { statement_timeout: "0" });
    const writer = connect(stack.databaseUrl, 1);

    const audit = async (sql: typeof auditor, id: string | null) => {
      const began = performance.now();
      const found = await sql`select counter, stored, actual from public.audit_campaign_counters(${id})`;
      if (found.length > 0) throw new Error(`False alarm: ${JSON.stringify(found[0])}, ${found.length} in all`);
      return performance.now() - began;
    };
    const auditOfAll = () => audit(auditor, null);

    const aloneUrl = await openSecondDatabase(sql, stack.databaseUrl, "bench_alone");
    const alone = connect(aloneUrl, 1);
    await seedSender(alone);
    const { ids: [only] } = await loadCounted(alone, { campaigns: 1, recipients: RECIPIENTS });
    say(`loading ${campaigns.toLocaleString("en-US")} campaigns of ${RECIPIENTS.toLocaleString("en-US")} recipients`);
    const { ids, messageIds } = await loadCounted(sql, { campaigns, recipients: RECIPIENTS });
    const [size] = await sql<{ recipients: number; receipts: number }[]>`
      select
        (select count(*)::integer from public.notification_campaign_recipients) as recipients,
        (select count(*)::integer from public.message_receipts) as receipts
    `;
    const rates = await inTurns(ROUNDS, {
      alone: async () => 1000 / await audit(alone, only ?? null),
      among: async () => 1000 / await audit(auditor, ids[0] ?? null),
    });
    await alone.end({ timeout: 5 });
    await sql.unsafe("drop database bench_alone with (force)");

    say("auditing all of them");
    await auditOfAll();
    const allAtOnce = await auditOfAll();
    const command = async (kind: "check" | "repair") => {
      const began = performance.now();
      const { discrepancies } = await recountCampaigns({
        command: kind,
        databaseUrl: stack.databaseUrl,
        campaign: null,
      });
      return { seconds: (performance.now() - began) / 1000, discrepancies };
    };
    const checked = await command("check");
    if (checked.discrepancies.length > 0) throw new Error("False alarm of counters:check");

    say("writing, with and without an audit");
    /** Records receipts until the work is done; the milliseconds of each call. */
    const writesBeside = async (work: Promise<unknown>) => {
      let working = true;
      const ended = work.finally(() => working = false);
      const times: number[] = [];
      while (working) {
        const began = performance.now();
        await writer.unsafe(RECORD_RECEIPTS, [JSON.stringify(newReceipts(BATCH, messageIds))]);
        times.push(performance.now() - began);
      }
      await ended;
      return {
        rate: 1000 * times.length / times.reduce((sum, time) => sum + time, 0),
        longest: Math.max(...times),
        half: median(times),
      };
    };
    await writesBeside(auditor`select pg_sleep(1)`);
    await tidy(sql);
    const quiet = await writesBeside(auditor`select pg_sleep(${quick ? 1 : 10})`);
    await tidy(sql);
    const busy = await writesBeside(auditOfAll());
    await tidy(sql);

    say("breaking a tenth of them, and mending");
    await sql`
      update public.campaign_counters set delivered_count = delivered_count + 7, sent_count = -1
      where campaign_id = any (${ids.filter((_, number) => number % 10 === 0)}::uuid[])
    `;
    const repaired = await command("repair");
    const left = await command("check");
    if (repaired.discrepancies.length !== 2 * Math.ceil(campaigns / 10) || left.discrepancies.length > 0) {
      throw new Error(`${repaired.discrepancies.length} were mended, ${left.discrepancies.length} left`);
    }
    const began = performance.now();
    const [changed] = await auditor<{ answer: unknown }[]>`select public.audit_changed_campaigns() as answer`;
    const changedSeconds = (performance.now() - began) / 1000;
    await Promise.all([auditor.end({ timeout: 5 }), writer.end({ timeout: 5 })]);
    return [
      {
        name: `audit of a campaign of ${RECIPIENTS.toLocaleString("en-US")} among ${
          campaigns.toLocaleString("en-US")
        } / alone`,
        ratio: rates.ratio("among", "alone"),
        goal: null,
        figures: {
          "ms, among them": 1000 / rates.median("among"),
          "ms, alone": 1000 / rates.median("alone"),
          "ratio between": rates.spread("among", "alone"),
        },
      },
      {
        name: "receipts recorded beside an audit of all / without, one client",
        ratio: busy.rate / quiet.rate,
        goal: null,
        figures: {
          "posts/s, audit": busy.rate,
          "posts/s, without": quiet.rate,
          "ms at the median, audit": busy.half,
          "ms at the median, without": quiet.half,
          "ms at most, audit": busy.longest,
          "ms at most, without": quiet.longest,
        },
      },
      {
        name: "audit of all in one pass / counters:check",
        ratio: checked.seconds / (allAtOnce / 1000),
        goal: null,
        figures: {
          recipients: size?.recipients ?? 0,
          receipts: size?.receipts ?? 0,
          "seconds, all at once": allAtOnce / 1000,
          "seconds, counters:check": checked.seconds,
          "seconds, counters:repair of a tenth": repaired.seconds,
          "false alarms": 0,
          "seconds, audit_changed_campaigns": changedSeconds,
          "which answered": JSON.stringify(changed?.answer),
        },
      },
    ];
  },
};
