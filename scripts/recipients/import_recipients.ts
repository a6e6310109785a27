import { connect } from "../command/connect.ts";
import { sqlState } from "../command/sql_state.ts";
import { addingChunks } from "./adding_chunks.ts";
import { type Columns, columnsOf } from "./columns.ts";
import { CsvError } from "./csv_error.ts";
import { csvText } from "./csv_text.ts";
import { previewingChunks } from "./previewing_chunks.ts";
import { type CsvRow, readCsv } from "./read_csv.ts";
import { type NewRecipient, readRecipient } from "./read_recipient.ts";
import type { TakeChunk } from "./take_chunk.ts";

/** What to import, and how. */
export interface ImportOptions {
  readonly file: string;
  readonly campaignId: string;
  readonly databaseUrl: string;
  /** The column that holds the recipients; null: the one that is called so. */
  readonly column: string | null;
  /** Nothing is changed. */
  readonly dryRun: boolean;
  /** Rows handed over at a time, in one transaction; default 5,000. */
  readonly chunkSize?: number;
  /** Ends the import after the chunk that is under way. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** How far it has come: first the whole file is checked, then its rows are added. */
export interface Progress {
  readonly stage: "checking" | "adding";
  /** Rows so far. */
  readonly rows: number;
  /** 0 to 1. */
  readonly share: number;
}

/** A row that was not added because of what it says. */
export interface Refusal {
  /** Where it begins in the file, counted from 1. */
  readonly line: number;
  readonly recipient: string;
  readonly reason: string;
}

/** What an import came to. */
export interface ImportReport {
  /** Rows of the file, without its header; up to where it could be read. */
  readonly read: number;
  readonly added: number;
  /** Were there already, or earlier in the file. */
  readonly duplicates: number;
  /** Another spelling of somebody who is there: stored, and skipped. */
  readonly otherSpellings: number;
  readonly refused: number;
  readonly refusals: readonly Refusal[];
  /** Why it ended early; null: it did not. */
  readonly end: EarlyEnd | null;
}

/** How far an import came that ended early. */
export interface EarlyEnd {
  readonly reason: string;
  /** Every row up to this line was taken; 0: none was. */
  readonly takenThroughLine: number;
  /** Whether the rows from there to this line were taken nobody knows: the connection was lost; null: they were not. */
  readonly unsureThroughLine: number | null;
}

const CHUNK_SIZE = 5_000;
const REPORT_EVERY = 1_000;

/**
 * Adds the rows of a CSV file to a campaign: reads all of it first, so that a file that cannot be read adds nothing; then
 * adds its rows in chunks, each of which is added whole or not at all. Safe to repeat, and beside others: what is there
 * already is not added again.
 *
 * @throws Error when nothing could be begun: no such file, no such campaign, no database
 */
export async function importRecipients(options: ImportOptions): Promise<ImportReport> {
  const stat = await Deno.stat(options.file);
  const sql = connect(options.databaseUrl);
  const stopped = () => options.signal?.aborted === true;
  const refusals: Refusal[] = [];
  const tally = { read: 0, added: 0, duplicates: 0, otherSpellings: 0, refused: 0 };
  let takenThroughLine = 0;
  const endEarly = (reason: string, unsureThroughLine: number | null = null): ImportReport => ({
    ...tally,
    refusals,
    end: { reason, takenThroughLine, unsureThroughLine },
  });

  try {
    const channel = await channelOf();
    try {
      const show = (bytes: number) =>
        options.onProgress?.({
          stage: "checking",
          rows: tally.read,
          share: Math.min(1, bytes / Math.max(stat.size, 1)),
        });
      for await (const { row, columns, bytes } of rowsOf()) {
        if (stopped()) return endEarly("it was interrupted");
        tally.read++;
        const read = readRecipient(row, columns, channel);
        if (!read.ok) refusals.push({ line: row.line, recipient: read.recipient, reason: read.reason });
        if (tally.read % REPORT_EVERY === 0) show(bytes);
      }
      tally.refused = refusals.length;
      show(stat.size);
    } catch (error) {
      tally.refused = refusals.length;
      if (error instanceof CsvError) return endEarly(error.message);
      throw error;
    }
    return await takeRows(channel);
  } finally {
    await sql.end({ timeout: 5 });
  }

  async function takeRows(channel: string): Promise<ImportReport> {
    const take: TakeChunk = options.dryRun
      ? previewingChunks(sql, options.campaignId, channel)
      : addingChunks(sql, options.campaignId);
    const size = options.chunkSize ?? CHUNK_SIZE;
    let chunk: { line: number; value: NewRecipient }[] = [];
    let seen = 0;
    let lastLine = 0;
    const takeChunk = async () => {
      const counts = await take(chunk.map(({ value }) => value));
      for (const name of ["added", "duplicates", "otherSpellings", "refused"] as const) tally[name] += counts[name];
      for (const { index, reason } of counts.problems) {
        const row = chunk[index];
        if (row !== undefined) refusals.push({ line: row.line, recipient: row.value.recipient, reason });
      }
      takenThroughLine = lastLine;
      chunk = [];
      options.onProgress?.({ stage: "adding", rows: seen, share: seen / Math.max(tally.read, 1) });
    };
    try {
      for await (const { row, columns } of rowsOf()) {
        seen++;
        const read = readRecipient(row, columns, channel);
        if (read.ok) chunk.push({ line: row.line, value: read.value });
        lastLine = row.line;
        if (chunk.length < size) continue;
        await takeChunk();
        if (stopped()) return endEarly("it was interrupted");
      }
      if (chunk.length > 0) await takeChunk();
    } catch (error) {
      // what the database refused is not there; of a connection that was lost nobody knows
      const isUnsure = !options.dryRun && sqlState(error) === null && !(error instanceof CsvError) && chunk.length > 0;
      return endEarly(reasonOf(error), isUnsure ? lastLine : null);
    }
    return { ...tally, refusals: refusals.toSorted((a, b) => a.line - b.line), end: null };
  }

  async function* rowsOf(): AsyncGenerator<{ row: CsvRow; columns: Columns; bytes: number }> {
    using file = await Deno.open(options.file);
    let bytes = 0;
    let columns: Columns | undefined;
    for await (const row of readCsv(csvText(file.readable, (count) => bytes += count))) {
      if (columns === undefined) columns = columnsOf(row, options.column);
      else yield { row, columns, bytes };
    }
    if (columns === undefined) throw new CsvError(1, "the file is empty; its first line names the columns");
  }

  async function channelOf(): Promise<string> {
    const [campaign] = await sql<{ channel: string; status: string }[]>`
      select c.channel, c.status from public.notification_campaigns c where c.id = ${options.campaignId}
    `;
    if (campaign === undefined) throw new Error(`there is no campaign ${options.campaignId}`);
    if (campaign.status === "cancelled") throw new Error("a campaign that is cancelled cannot be given recipients");
    return campaign.channel;
  }
}

function reasonOf(error: unknown): string {
  const state = sqlState(error);
  const message = error instanceof Error ? error.message : String(error);
  return state === null ? message : `the database refused: ${message} (${state})`;
}
