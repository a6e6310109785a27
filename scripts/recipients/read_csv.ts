import { CsvError as ParserError, parse } from "csv-parse";
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

const recordOf = z.array(z.string());

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
  const rows: CsvRow[] = [];
  let line = 1;
  const parser = parse({
    delimiter: delimiterOf(start.slice(0, (start.indexOf("\n") + 1) || undefined)),
    record_delimiter: "\n",
    // who reads the rows says what is wrong with one, and goes on
    relax_column_count: true,
    max_record_size: MAX_ROW,
    // taken here and not out of the stream, which on an error forgets the rows before it
    on_record: (record, { lines }) => {
      const cells = recordOf.parse(record);
      if (cells.some((cell) => cell.trim() !== "")) rows.push({ line, cells });
      line = lines + 1;
      return null;
    },
  });
  parser.on("error", () => {});
  /** Hands a piece over, null for the end; what is wrong with it, or null. */
  const feed = (piece: string | null) =>
    new Promise<unknown>((resolve) => {
      const done = (error?: Error | null) => resolve(error ?? null);
      if (piece === null) parser.end(done);
      else parser.write(piece, done);
    });
  const nextPiece = async () => {
    const next = await pieces.next();
    return next.done === true ? null : next.value;
  };
  let failure: unknown = null;
  try {
    for (let piece: string | null = start; failure === null; piece = await nextPiece()) {
      failure = await feed(piece);
      yield* rows.splice(0);
      if (piece === null) break;
    }
  } finally {
    parser.destroy();
    await pieces.return?.();
  }
  if (failure !== null) throw failure instanceof ParserError ? new CsvError(line, complaintOf(failure)) : failure;
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
