/** A receipt in the shape of the gateway's posts. */
export interface Receipt {
  readonly event: "message_delivered";
  readonly sessionId: string;
  readonly groupJid: string;
  readonly messageId: string;
  readonly reader: string;
  readonly timestamp: number;
}

/** Records its parameter, a JSON array of receipts. */
export const RECORD_RECEIPTS = "select public.record_receipts($1::text::jsonb)";

let readers = 0;

/** A delivery to somebody who has not been heard of before. */
export function newReceipt(messageId: string): Receipt {
  return {
    event: "message_delivered",
    sessionId: "wa_bench",
    groupJid: "120363041234567890@g.us",
    messageId,
    reader: `9198${String(readers++).padStart(8, "0")}@s.whatsapp.net`,
    timestamp: 1_793_000_000 + readers,
  };
}

/** As many new receipts, spread over the messages at random. */
export function newReceipts(count: number, messageIds: readonly string[]): Receipt[] {
  return Array.from({ length: count }, () => newReceipt(anyOf(messageIds)));
}

/** So many of several, each at most once, at random. */
export function someOf<Value>(values: readonly Value[], count: number): Value[] {
  if (count > values.length) throw new Error(`There are ${values.length} to choose from, not ${count}`);
  const places = new Set<number>();
  while (places.size < count) places.add(Math.floor(Math.random() * values.length));
  return [...places].flatMap((place) => values.slice(place, place + 1));
}

/** One of several, at random. */
export function anyOf<Value>(values: readonly Value[]): Value {
  const value = values[Math.floor(Math.random() * values.length)];
  if (value === undefined) throw new Error("There is nothing to choose from");
  return value;
}
