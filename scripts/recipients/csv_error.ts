/** What makes a whole file unreadable from a line on. The message says what to do, and the line. */
export class CsvError extends Error {
  /** Counted from 1. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(`Line ${line}: ${message}`);
    this.line = line;
  }
}
