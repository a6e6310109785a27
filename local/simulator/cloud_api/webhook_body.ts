import type { Random } from "../random.ts";
import type { CloudApiEvent } from "./event.ts";

const WABA_ID = "102290129340398";
/** How often a change, and an entry, ends although the next event could still go into it. */
const NEW_CHANGE = 0.1;
const NEW_ENTRY = 0.3;

interface Change {
  readonly field: string;
  readonly value: Record<string, unknown>;
}

/** The body of one post: all events in their order, spread over entries and changes as Meta spreads them. */
export function webhookBody(events: readonly CloudApiEvent[], draw: Random): unknown {
  const entries: { id: string; changes: Change[] }[] = [];
  for (const change of changes(events, draw)) {
    const entry = entries.at(-1);
    if (entry === undefined || draw.chance(NEW_ENTRY)) entries.push({ id: WABA_ID, changes: [change] });
    else entry.changes.push(change);
  }
  return { object: "whatsapp_business_account", entry: entries };
}

/** A change is about one number and one field; statuses and messages share a field. */
function changes(events: readonly CloudApiEvent[], draw: Random): Change[] {
  const runs: CloudApiEvent[][] = [];
  for (const event of events) {
    const [run, last] = [runs.at(-1), runs.at(-1)?.at(-1)];
    const fits = last?.phoneNumberId === event.phoneNumberId && fieldOf(last) === fieldOf(event);
    if (run === undefined || !fits || draw.chance(NEW_CHANGE)) runs.push([event]);
    else run.push(event);
  }
  return runs.flatMap((run) => run[0] === undefined ? [] : [changeOf(run[0], run)]);
}

function changeOf(first: CloudApiEvent, run: readonly CloudApiEvent[]): Change {
  const { phoneNumberId } = first;
  const people = new Map(run.map(({ person }) => [JSON.stringify(person), person]));
  const value: Record<string, unknown> = {
    messaging_product: "whatsapp",
    metadata: { display_phone_number: `1555${phoneNumberId.slice(-7)}`, phone_number_id: phoneNumberId },
    contacts: [...people.values()],
  };
  for (const list of ["statuses", "messages", "user_preferences"] as const) {
    const elements = run.filter((event) => event.list === list).map(({ element }) => element);
    if (elements.length > 0) value[list] = elements;
  }
  return { field: fieldOf(first), value };
}

function fieldOf({ list }: CloudApiEvent): string {
  return list === "user_preferences" ? "user_preferences" : "messages";
}
