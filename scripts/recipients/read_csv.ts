import { CsvError as ParserError, parse } from "csv-parse";
import { pipeline, Readable } from "node:stream";
import { z } from "zod";
import { CsvError } from "./csv_error.ts";
import { delimiterOf } from "./delimiter_of.ts";

/** One row, the header included. */
export interface CsvRow {
  /** Where it begins, counted from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** A row that is longer has a quote that nobody closed. */
const MAX_ROW = 1_000_000;

const parsed = z.object({ record: z.array(z.string()), info: z.object({ lines: z.number() }) });

/**
 * The rows of a CSV file, blank ones left out: quotes as in RFC 4180, separated by commas, semicolons or tabs.
 *
 * @param text in pieces of any length, each line ended by `\n`
 * @throws CsvError with the line where quotes are wrong
 */
export async function* readCsv(text: AsyncIterable<string>): AsyncGenerator<CsvRow> {
  const pieces = text[Symbol.asyncIterator]();
  let start = "";
  while (!start.includes("\n") && start.length < MAX_ROW) {
    const next = await pieces.next();
    if (next.done === true) break;
    start += next.value;
  }
  const parser = parse({
    delimiter: delimiterOf(start.slice(0, (start.indexOf("\n") + 1) || undefined)),
    record_delimiter: "\n",
    // who reads the rows says what is wrong with one, and goes on
    relax_column_count: true,
    max_record_size: MAX_ROW,
    info: true,
  });
  // its error comes out of the parser as well
  pipeline(Readable.from(withStart(start, pieces)), parser, () => {});
  let line = 1;
  try {
    for await (const piece of parser) {
      const { record, info } = parsed.parse(piece);
      if (record.some((cell) => cell.trim() !== "")) yield { line, cells: record };
      line = info.lines + 1;
    }
  } catch (error) {
    throw error instanceof ParserError ? new CsvError(line, complaintOf(error)) : error;
  }
}

async function* withStart(start: string, rest: AsyncIterator<string>): AsyncGenerator<string> {
  try {
    yield start;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

function complaintOf({ code, message }: ParserError): string {
  switch (code) {
    case "CSV_QUOTE_NOT_CLOSED":
    case "CSV_MAX_RECORD_SIZE":
      return 'the row that begins here has a quote (") that is never closed';
    case "CSV_INVALID_CLOSING_QUOTE":
      return 'the row that begins here goes on behind a closing quote ("); a quote within quotes is written twice';
    case "INVALID_OPENING_QUOTE":
      return 'the row that begins here has a quote (") in the middle of a cell; put the whole cell in quotes, and write that one twice';
    default:
      return message;
  }
}
