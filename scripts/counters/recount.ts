import { connect, type Sql, type Transaction } from "../command/connect.ts";
import { inTransaction } from "../command/in_transaction.ts";
import type { Discrepancy, Report } from "./report.ts";

/** What is to be recounted, and who is told. */
export interface RecountOptions {
  readonly command: "check" | "repair";
  readonly databaseUrl: string;
  /** One campaign; null: all. */
  readonly campaign: string | null;
  /** Ends the recount after the campaigns that are under way. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** How far a recount has come, in campaigns. */
export interface Progress {
  readonly done: number;
  readonly of: number;
  /** Counters that differ, so far. */
  readonly differing: number;
}

/** A recount is the server's work. Two at a time are done sooner than one, and leave it room for others. */
const CONNECTIONS = 2;
/** For one campaign. A project's own limit may be shorter than the largest one takes. */
const STATEMENT_TIMEOUT = "30min";

/** As people sort: Campaign 9 before Campaign 10. */
const compare = new Intl.Collator("en", { numeric: true }).compare;

interface Row {
  readonly campaign_id: string;
  readonly recipient_id: string | null;
  readonly counter: string;
  readonly stored: string;
  readonly actual: string;
  readonly is_mended: boolean;
}

interface Campaign {
  readonly id: string;
  readonly name: string;
}

/**
 * Recounts campaigns one by one, each in a transaction and a snapshot of its own, so that no statement is longer than its
 * campaign is large, and what was mended until an interruption stays mended.
 *
 * @throws Error when the database cannot be reached or fails, or when the campaign named is not there
 */
export async function recountCampaigns(options: RecountOptions): Promise<Report> {
  const { command, campaign, signal } = options;
  const sql = connect(options.databaseUrl, { connections: CONNECTIONS });
  try {
    const campaigns = await listCampaigns(sql, campaign);
    if (campaign !== null && campaigns.length === 0) throw new Error(`there is no campaign ${campaign}`);
    const found: Discrepancy[] = [];
    let done = 0;
    options.onProgress?.({ done, of: campaigns.length, differing: 0 });
    const next = campaigns[Symbol.iterator]();
    const work = async () => {
      // an iterator hands each campaign to one of us
      for (const each of next) {
        for (const row of await recount(sql, command, each.id)) found.push(discrepancyOf(row, each.name));
        done++;
        options.onProgress?.({ done, of: campaigns.length, differing: found.length });
        if (signal?.aborted === true) return;
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, work));
    return {
      command,
      campaigns: done,
      discrepancies: found.toSorted(inOrder),
      isComplete: done === campaigns.length,
    };
  } finally {
    await sql.end({ timeout: 5 });
  }
}

async function listCampaigns(sql: Sql, campaign: string | null): Promise<readonly Campaign[]> {
  return campaign === null
    ? await sql<Campaign[]>`select c.id, c.name from public.notification_campaigns c order by c.id`
    : await sql<Campaign[]>`select c.id, c.name from public.notification_campaigns c where c.id = ${campaign}`;
}

async function recount(sql: Sql, command: "check" | "repair", campaign: string): Promise<readonly Row[]> {
  const rpc = command === "check" ? "audit_campaign_counters" : "repair_campaign_counters";
  const work = async (transaction: Transaction) => ({
    keep: true,
    value: await transaction<Row[]>`
      select d.campaign_id, d.recipient_id, d.counter, d.stored, d.actual, d.repaired_at is not null as is_mended
      from public.${transaction(rpc)}(${campaign}::uuid) d
    `,
  });
  // which tries again where it lost a race: a repair holds recipients that somebody may be deleting
  return await inTransaction(sql, work, { statementTimeout: STATEMENT_TIMEOUT });
}

function discrepancyOf(row: Row, campaign: string): Discrepancy {
  const [stored, actual] = [Number(row.stored), Number(row.actual)];
  return {
    campaignId: row.campaign_id,
    campaign,
    recipientId: row.recipient_id,
    counter: row.counter,
    stored,
    actual,
    // costs have six decimals
    difference: Math.round((stored - actual) * 1e6) / 1e6,
    isMended: row.is_mended,
  };
}

function inOrder(a: Discrepancy, b: Discrepancy): number {
  return compare(a.campaign, b.campaign) || compare(a.campaignId, b.campaignId) ||
    compare(a.recipientId ?? "", b.recipientId ?? "") || compare(a.counter, b.counter);
}
