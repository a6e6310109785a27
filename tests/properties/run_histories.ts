import type { Sql } from "../harness/mod.ts";
import { courseOf, explain } from "./counterexample.ts";
import { deliver, type Delivery, type Refusal } from "./deliver.ts";
import { differencesOf, readRows } from "./observe.ts";
import type { Subject } from "./subjects.ts";

/** A recipient that came out other than its events say. */
export interface Failure {
  readonly subject: Subject;
  /** What differs, or what an rpc raised, a line each. */
  readonly differences: readonly string[];
  readonly batches: readonly (readonly Delivery[])[];
}

const MAX_EXPLAINED = 8;

/** Delivers the batches in order; answers the recipients that came out other than their events say. */
export async function runBatches(
  sql: Sql,
  subjects: readonly Subject[],
  batches: readonly (readonly Delivery[])[],
): Promise<Failure[]> {
  const refusals: Refusal[] = [];
  for (const batch of batches) refusals.push(...await deliver(sql, batch));
  const rows = await readRows(sql, subjects);
  const refused = Map.groupBy(refusals, ({ subject }) => subject);
  return subjects.flatMap((subject) => {
    const differences = [
      ...(refused.get(subject) ?? []).map(({ error }) => error),
      ...differencesOf(subject, rows.get(subject.recipientId)),
    ];
    return differences.length === 0 ? [] : [{ subject, differences, batches }];
  });
}

/**
 * Tells the shortest failure of each kind, in as few events as show it.
 *
 * @param repeat how to see the same again
 * @throws Error with that, when there are failures
 */
export async function assertNoFailures(sql: Sql, failures: readonly Failure[], repeat: string): Promise<void> {
  if (failures.length === 0) return;
  const shortest = [...failures].sort((one, other) =>
    one.subject.history.events.length - other.subject.history.events.length
  );
  const explained = new Set<string>();
  const kinds = Map.groupBy(shortest, ({ differences }) => differences.map(kindOf).join());
  for (const { subject, batches } of [...kinds.values()].flatMap((kind) => kind.slice(0, 1)).slice(0, MAX_EXPLAINED)) {
    explained.add(await explain(sql, subject, courseOf(subject, batches)));
  }
  const counted = failures.length === 1 ? "One recipient" : `${failures.length} recipients`;
  throw new Error(
    `${counted} came out other than their events say; ${repeat} repeats it.\n\n${[...explained].join("\n\n")}\n`,
  );
}

/** A difference without its figures. */
function kindOf(difference: string): string {
  return difference.replace(/ is .*/, "").replace(/.*: (?=\d{5} )/, "");
}
