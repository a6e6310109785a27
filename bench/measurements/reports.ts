import { createClient } from "@supabase/supabase-js";
import type { Sql } from "postgres";
import { cpuUsage } from "node:process";
import { endpoint } from "../../supabase/functions/_shared/endpoint.ts";
import { Environment } from "../../supabase/functions/_shared/environment.ts";
import { handle } from "../../supabase/functions/campaign-report/handler.ts";
import { connect, empty } from "../database.ts";
import { loadReport } from "../load_report.ts";
import type { Bench, Measurement } from "../measurement.ts";
import { seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const PAGES = 20;

/** A page of a report at the end of a large campaign / at its start; a whole report as a file / page by page. */
export const reports: Measurement = {
  name: "reports",
  async run({ sql, stack, quick, say }) {
    await empty(sql);
    await seedSender(sql);
    const [large, file, groups] = quick ? [20_000, 5_000, 100] : [1_000_000, 100_000, 1_000];
    say(`loading campaigns of ${large.toLocaleString("en-US")} and ${file.toLocaleString("en-US")} contacts`);
    const largeId = await loadReport(sql, { recipients: large, readers: 1 });
    const fileId = await loadReport(sql, { recipients: file, readers: 1 });
    const groupsId = await loadReport(sql, { recipients: groups, readers: 500 });
    const rounds = quick ? 3 : 9;
    say(`pages of 1,000: ${rounds} rounds of ${PAGES}`);
    const pages = (from: number) => async () => {
      const began = performance.now();
      for (let page = 0; page < PAGES; page++) {
        await sql`select public.campaign_report_csv(${largeId}, ${`+49${1_510_000_000 + from + page * 10}`})`;
      }
      return PAGES / (performance.now() - began) * 1000;
    };
    const rates = await inTurns(rounds, { end: pages(large - 2_000), start: pages(1) });
    const once = async (work: () => PromiseLike<unknown>) => {
      const began = performance.now();
      await work();
      return performance.now() - began;
    };
    const groupPage = await once(() => sql`select public.campaign_report_csv(${groupsId})`);
    const failures = await once(() => sql`select * from public.failure_summary(${largeId})`);
    const costs = await once(() => sql`select * from public.campaign_costs(${largeId})`);

    say("a whole report as a file, and page by page");
    const token = await signUp(stack, sql);
    const used = { cpu: 0, megabytes: 0, heap: 0 };
    const asFile = async () => {
      const began = performance.now();
      Object.assign(used, await readFile(stack, token, fileId));
      return file / (performance.now() - began) * 1000;
    };
    const direct = connect(stack.databaseUrl, 1);
    const pageByPage = async () => {
      const began = performance.now();
      for (let after: string | null = null;;) {
        const [row]: { next: string | null }[] = await direct`
          select public.campaign_report_csv(${fileId}, ${after}) ->> 'next' as next
        `;
        if (row === undefined || row.next === null) break;
        after = row.next;
      }
      return file / (performance.now() - began) * 1000;
    };
    const exported = await inTurns(quick ? 2 : 5, { file: asFile, pages: pageByPage });
    await direct.end({ timeout: 5 });
    return [
      {
        name: `page of 1,000 at the end of ${large.toLocaleString("en-US")} recipients / at the start`,
        ratio: rates.ratio("end", "start"),
        goal: 0.9,
        figures: {
          "pages/s at the end": rates.median("end"),
          "pages/s at the start": rates.median("start"),
          rounds,
          "ratio between": rates.spread("end", "start"),
          [`ms, ${groups.toLocaleString("en-US")} groups of 500 readers`]: groupPage,
          "ms, failure_summary": failures,
          "ms, campaign_costs": costs,
        },
      },
      {
        name: `report of ${file.toLocaleString("en-US")} recipients as a file / its pages in SQL`,
        ratio: exported.ratio("file", "pages"),
        goal: null,
        figures: {
          "recipients/s, file": exported.median("file"),
          "recipients/s, SQL": exported.median("pages"),
          "megabytes": used.megabytes,
          "ms of CPU of the function": used.cpu,
          "megabytes of heap at most": used.heap,
        },
      },
    ];
  },
};

/** Reads the file as the function makes it, in this process, so that its CPU can be told from that of all others. */
async function readFile({ env }: Bench["stack"], token: string, campaignId: string) {
  const serve = endpoint("campaign-report", handle, {
    environment: new Environment((name) => env[name]),
    writeLog: () => {},
  });
  const before = cpuUsage();
  const response = await serve(
    new Request(`http://f/campaign-report?campaign_id=${campaignId}`, {
      headers: { authorization: `Bearer ${token}` },
    }),
  );
  if (response.status !== 200 || response.body === null) throw new Error(`The report answered ${response.status}`);
  let bytes = 0;
  let heap = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    heap = Math.max(heap, Deno.memoryUsage().heapUsed);
  }
  const { user, system } = cpuUsage(before);
  return { cpu: (user + system) / 1000, megabytes: bytes / 1e6, heap: heap / 1e6 };
}

async function signUp({ apiUrl, publishableKey }: Bench["stack"], sql: Sql): Promise<string> {
  const client = createClient(apiUrl, publishableKey, { auth: { persistSession: false, autoRefreshToken: false } });
  const { data, error } = await client.auth.signUp({
    email: `${crypto.randomUUID()}@example.com`,
    password: crypto.randomUUID(),
  });
  if (error !== null || data.user === null || data.session === null) throw new Error(`No sign-up: ${error?.message}`);
  await sql`
    insert into public.organization_members (organization_id, user_id) select o.id, ${data.user.id} from public.organizations o
  `;
  return data.session.access_token;
}
