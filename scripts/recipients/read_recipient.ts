import { normalizePhoneNumber } from "../../supabase/functions/process-notification-campaigns/normalize_phone_number.ts";
import type { Columns } from "./columns.ts";
import type { CsvRow } from "./read_csv.ts";
import { withoutGuard } from "./without_guard.ts";

/** An element of add_recipients. */
export interface NewRecipient {
  readonly recipient: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly member_count?: number;
}

/** A row as a recipient, or why it is none. */
export type ReadRecipient =
  | { readonly ok: true; readonly value: NewRecipient }
  | { readonly ok: false; readonly recipient: string; readonly reason: string };

const GROUP_JID = /^\d{5,}(?:-\d+)?@g\.us$/;
const SHORTENED = /^\+?\d+(?:[.,]\d+)?E\+?\d+$/i;

/** Reads a row. A number is checked as the processor checks it before it sends, and stays as it is written. */
export function readRecipient({ cells }: CsvRow, columns: Columns, channel: string): ReadRecipient {
  const recipient = withoutGuard(cells[columns.recipient] ?? "").trim();
  const refuse = (reason: string): ReadRecipient => ({ ok: false, recipient, reason });
  if (cells.length < columns.count) return refuse(`has ${cells.length} columns where the header has ${columns.count}`);
  const surplus = cells.findIndex((cell, index) => index >= columns.count && cell.trim() !== "");
  if (surplus >= 0) return refuse(`has ${surplus + 1} columns where the header has ${columns.count}`);
  const unnamed = columns.unnamed.find((index) => cells[index]?.trim() !== "");
  if (unnamed !== undefined) return refuse(`has a value in column ${unnamed + 1}, which has no name`);
  if (cells.some((cell) => cell.includes("\0"))) return refuse("holds a character that no text has (NUL)");
  if (recipient === "") return refuse("the recipient is blank");
  if (channel === "whatsapp_group") {
    if (!GROUP_JID.test(recipient)) return refuse("is not a group, such as 120363025246125486@g.us");
  } else if (normalizePhoneNumber(recipient) === undefined) {
    return refuse(
      SHORTENED.test(recipient)
        ? "a spreadsheet has shortened this number; give its column the format text, and save it again"
        : "is not a phone number; write it with its country code, such as +14155550123",
    );
  }
  const memberCount = columns.memberCount === null ? "" : withoutGuard(cells[columns.memberCount] ?? "").trim();
  if (memberCount !== "" && !/^\d{1,9}$/.test(memberCount)) {
    return refuse("member_count must be a whole number, 0 or more");
  }
  const variables = Object.fromEntries(
    columns.variables.map(({ name, index }) => [name, withoutGuard(cells[index] ?? "")]),
  );
  return {
    ok: true,
    value: { recipient, variables, ...memberCount === "" ? {} : { member_count: Number(memberCount) } },
  };
}
