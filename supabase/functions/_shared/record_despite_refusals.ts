import type { Counts } from "./counts.ts";
import type { Json } from "./database.types.ts";
import type { Deps } from "./deps.ts";
import type { EventSource } from "./event_source.ts";
import type { Result } from "./result.ts";

/** Calls that one post may cost while what is refused is narrowed down: enough to find three or so in a thousand. */
const MAX_CALLS = 64;

/** How events of one kind of post are recorded. */
export interface Recording<Item> {
  /** Hands items to the database in one call; none at all, too. */
  readonly record: (items: Item[]) => Promise<Result<Counts>>;
  /** Does the same for a whole post, where that may go together with others'; `record` by default. */
  readonly recordTogether?: (items: Item[]) => Promise<Result<Counts>>;
  /** Where the journal keeps an item, and as what. */
  readonly toJournal: (item: Item) => { readonly source: EventSource; readonly event: Json };
}

/**
 * Records the events of a post in one call; and when the database refuses that call, as many of them as can be.
 *
 * Nothing authentic may be lost, and one bad event must not sink its batch. So a refused batch is narrowed down by
 * halves, and what is refused alone is journaled with the reason `error` and counted as journaled. Beyond a number of
 * calls the narrowing ends, and a part that still holds something bad is journaled whole, as `{event: "refused", events}`.
 *
 * Fails when the database is away, when the journal refuses as well, and when a call without any event is refused: that is
 * no event's fault, and the sender had better come again.
 */
export async function recordDespiteRefusals<Item>(
  deps: Deps,
  items: Item[],
  { record, recordTogether = record, toJournal }: Recording<Item>,
): Promise<Result<Counts>> {
  const whole = await recordTogether(items);
  if (whole.ok || whole.failure.code !== "internal") return whole;
  const nothing = await record([]);
  if (!nothing.ok) return nothing;

  const bad: Item[][] = [];
  const parts: Counts[] = [nothing.value];
  let calls = 0;
  /** Takes a part that was refused; answers what ends it all, if anything does. */
  async function narrowDown(refused: Item[]): Promise<Result<Counts> | undefined> {
    if (refused.length === 1 || calls >= MAX_CALLS) {
      bad.push(refused);
      return undefined;
    }
    const middle = Math.ceil(refused.length / 2);
    for (const half of [refused.slice(0, middle), refused.slice(middle)]) {
      calls++;
      const answer = await record(half);
      if (answer.ok) {
        parts.push(answer.value);
      } else {
        const end = answer.failure.code === "internal" ? await narrowDown(half) : answer;
        if (end !== undefined) return end;
      }
    }
    return undefined;
  }
  const end = await narrowDown(items);
  if (end !== undefined) return end;

  for (const refused of bad) {
    const bySource = Map.groupBy(refused.map(toJournal), ({ source }) => source);
    for (const [source, entries] of bySource) {
      const events = entries.map(({ event }) => event);
      const payload = events.length === 1 ? events[0] ?? null : { event: "refused", events };
      const kept = await deps.rpc("journal_webhook_event", { p_source: source, p_reason: "error", p_payload: payload });
      if (!kept.ok) return kept;
    }
    parts.push({ journaled: refused.length });
  }
  deps.log.error("events_refused", { journaled: bad.flat().length, of: items.length, calls });
  return { ok: true, value: sum(parts) };
}

function sum(parts: readonly Counts[]): Counts {
  const total: Record<string, number> = {};
  for (const [name, count] of parts.flatMap((part) => Object.entries(part))) total[name] = (total[name] ?? 0) + count;
  return total;
}
