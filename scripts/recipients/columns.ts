import { CsvError } from "./csv_error.ts";
import type { CsvRow } from "./read_csv.ts";
import { withoutGuard } from "./without_guard.ts";

/** Where each thing stands in a row. */
export interface Columns {
  /** How many columns the header has. */
  readonly count: number;
  readonly recipient: number;
  /** null: no column says it. */
  readonly memberCount: number | null;
  readonly variables: readonly { readonly name: string; readonly index: number }[];
  /** Columns without a name, which must be empty. */
  readonly unnamed: readonly number[];
}

const RECIPIENT = ["recipient", "phone", "group_jid"];

/**
 * Reads the header.
 *
 * @param column the one that holds the recipients; null: recipient, phone or group_jid, in any case
 * @throws CsvError when it is not there, or cannot be told
 */
export function columnsOf({ line, cells }: CsvRow, column: string | null): Columns {
  const names = cells.map((cell) => withoutGuard(cell).trim());
  const wanted = column === null ? RECIPIENT : [column.toLowerCase()];
  const candidates = names.flatMap((name, index) => wanted.includes(name.toLowerCase()) ? [index] : []);
  const [recipient, another] = candidates;
  const shown = names.slice(0, 20).map((name) => JSON.stringify(name.slice(0, 40))).join(", ");
  if (recipient === undefined) {
    throw new CsvError(
      line,
      column === null
        ? `no column is called recipient, phone or group_jid: there are ${shown}. Say which one it is with --column`
        : `no column is called ${JSON.stringify(column)}: there are ${shown}`,
    );
  }
  if (another !== undefined) {
    const all = candidates.map((index) => names[index]).join(" and ");
    throw new CsvError(line, `more than one column may hold the recipients: ${all}. Say which one it is with --column`);
  }
  const memberCounts = names.flatMap((name, index) =>
    index !== recipient && name.toLowerCase() === "member_count" ? [index] : []
  );
  const variables = names.flatMap((name, index) =>
    name === "" || index === recipient || memberCounts.includes(index) ? [] : [{ name, index }]
  );
  const twice = memberCounts.length > 1
    ? "member_count"
    : variables.find(({ name }, place) => variables.findIndex((other) => other.name === name) !== place)?.name;
  if (twice !== undefined) throw new CsvError(line, `two columns are called ${JSON.stringify(twice)}`);
  const unnamed = names.flatMap((name, index) => name === "" ? [index] : []);
  return { count: names.length, recipient, memberCount: memberCounts[0] ?? null, variables, unnamed };
}
