import { z } from "zod";
import type { Json } from "../../supabase/functions/_shared/database.types.ts";
import type { Sql, Transaction } from "../command/connect.ts";
import { inTransaction } from "../command/in_transaction.ts";
import type { Reading } from "./read_again.ts";
import type { ReadEvent } from "./read_page.ts";
import { refusalOf } from "./refusal_of.ts";
import type { Outcome } from "./tally.ts";

/** What of a batch the database kept for later instead of applying it. */
const answerSchema = z.object({ journaled: z.number(), unmatched: z.number().default(0) });

/**
 * Records what a journaled event reads as now, through the rpcs that the webhooks call, and marks it replayed: both or
 * neither. Undefined where another replay was first.
 *
 * What the database has no use for yet stays as it is. Of a bundle each event stands for itself: what is refused again
 * goes back to the journal alone.
 */
export async function recordAgain(sql: Sql, event: ReadEvent, dryRun: boolean): Promise<Outcome | undefined> {
  if (event.readings.length === 0) return { kind: "left" };
  return await inTransaction(sql, async (transaction) => {
    const undo = (value: Outcome | undefined) => ({ keep: false, value });
    const [held] = await transaction<{ seen_count: number }[]>`
      select e.seen_count from private.webhook_events e where e.id = ${event.id}::bigint and e.replayed_at is null for update
    `;
    if (held === undefined) return undo(undefined);

    let used = 0;
    let refusal: Outcome | undefined;
    for (const reading of event.readings) {
      const recorded = await recordUnlessRefused(transaction, reading);
      if (typeof recorded === "number") used += recorded;
      else refusal ??= recorded;
    }
    if (used === 0) return undo(refusal ?? { kind: "left" });

    // journaled once more as the very same event: then it was not applied, and must not be forgotten
    const marked = await transaction`
      update private.webhook_events e
      set replayed_at = now()
      where e.id = ${event.id}::bigint and e.seen_count = ${held.seen_count}
    `;
    return marked.count === 0 ? undo({ kind: "left" }) : { keep: !dryRun, value: { kind: "applied" } };
  });
}

/** How many of the events there was a use for. Those of a refused reading are journaled, each for itself. */
async function recordUnlessRefused(transaction: Transaction, reading: Reading): Promise<number | Outcome> {
  let sqlState: string | null;
  try {
    return await transaction.savepoint((savepoint) => record(savepoint, reading));
  } catch (error) {
    sqlState = refusalOf(error);
    if (sqlState === null) throw error;
  }
  for (const event of reading.events) {
    await transaction`select public.journal_webhook_event(${reading.source}, 'error', ${transaction.json(event)})`;
  }
  return { kind: "refused", sqlState };
}

async function record(transaction: Transaction, { source, events }: Reading): Promise<number> {
  const batch = transaction.json([...events]);
  const [row] = await call();
  const { journaled, unmatched } = answerSchema.parse(row?.answer);
  return events.length - journaled - unmatched;

  function call(): PromiseLike<readonly { readonly answer: Json }[]> {
    switch (source) {
      case "send_callback":
        return transaction<{ answer: Json }[]>`select public.record_send_callback(${batch}) as answer`;
      case "signal":
        return transaction<{ answer: Json }[]>`select public.record_sender_signals(${batch}) as answer`;
      case "inbound":
        return transaction<{ answer: Json }[]>`select public.record_inbound_messages(${batch}) as answer`;
      case "receipt":
      case "sms_delivery":
        return transaction<{ answer: Json }[]>`select public.record_receipts(${batch}, ${source}) as answer`;
    }
  }
}
