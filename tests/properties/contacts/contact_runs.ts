import { randomFor } from "../../../local/simulator/random.ts";
import type { Sql } from "../../harness/mod.ts";
import { type ContactDelivery, deliverToContacts } from "./contact_deliver.ts";
import { contactDifferences } from "./contact_differences.ts";
import { type ContactEvent, describeContactEvent } from "./contact_history.ts";
import { type ContactSubject, makeContacts } from "./contact_subjects.ts";

/** The events of one contact as they came, those of one call together. */
type Course = readonly (readonly ContactEvent[])[];

const MAX_TRIES = 60;
const MAX_EXPLAINED = 6;

/** The events of all contacts in an order of chance, cut into batches of chance. */
export function shuffledContactBatches(
  subjects: readonly ContactSubject[],
  seed: number,
  order: string,
  largest: number,
): ContactDelivery[][] {
  const random = randomFor(seed, order);
  const rest = random.shuffle(
    subjects.flatMap((subject) => subject.history.events.map((event) => ({ subject, event }))),
  );
  const batches: ContactDelivery[][] = [];
  while (rest.length > 0) batches.push(rest.splice(0, random.int(1, largest)));
  return batches;
}

/** Delivers the batches in order; answers how many contacts came out other than their events say. */
export async function runContactBatches(
  sql: Sql,
  subjects: readonly ContactSubject[],
  batches: readonly (readonly ContactDelivery[])[],
): Promise<Map<ContactSubject, string[]>> {
  for (const batch of batches) await deliverToContacts(sql, batch);
  return await contactDifferences(sql, subjects);
}

/**
 * Tells the shortest failure of each kind, in as few events as show it.
 *
 * @param repeat how to see the same again
 * @throws Error with that, when there are failures
 */
export async function assertContactsAreRight(
  sql: Sql,
  failures: ReadonlyMap<ContactSubject, readonly string[]>,
  batches: readonly (readonly ContactDelivery[])[],
  repeat: string,
): Promise<void> {
  if (failures.size === 0) return;
  const shortest = [...failures].sort(([one], [other]) => one.history.events.length - other.history.events.length);
  const kinds = Map.groupBy(
    shortest,
    ([, differences]) => differences.map((line) => line.replace(/ is .*/, "")).join(),
  );
  const told: string[] = [];
  for (const [found] of [...kinds.values()].slice(0, MAX_EXPLAINED)) {
    if (found === undefined) continue;
    const [subject] = found;
    const course = batches
      .map((batch) => batch.filter((delivery) => delivery.subject === subject).map(({ event }) => event))
      .filter((batch) => batch.length > 0);
    told.push(await explain(sql, subject, course));
  }
  throw new Error(
    `${failures.size} contacts came out other than their events say; ${repeat} repeats it.\n\n${told.join("\n\n")}\n`,
  );
}

async function explain(sql: Sql, { history }: ContactSubject, course: Course): Promise<string> {
  const outcome = async (tried: Course): Promise<string[]> => {
    const [subject] = await makeContacts(sql, [{ ...history, events: tried.flat() }]);
    if (subject === undefined) return [];
    const batches = tried.map((batch) => batch.map((event) => ({ subject, event })));
    return (await runContactBatches(sql, [subject], batches)).get(subject) ?? [];
  };
  let smallest = course;
  let differences = await outcome(course);
  let tries = 0;
  for (let shrunk = differences.length > 0; shrunk && tries < MAX_TRIES;) {
    shrunk = false;
    for (const candidate of withoutOne(smallest)) {
      if (++tries > MAX_TRIES) break;
      const found = await outcome(candidate);
      if (found.length === 0) continue;
      [smallest, differences, shrunk] = [candidate, found, true];
      break;
    }
  }
  return [
    `a contact (${history.channel}, claimed ${history.claims} times) hears, each line one call:`,
    ...smallest.map((batch) => `    ${batch.map(describeContactEvent).join("  +  ")}`),
    ...differences.length === 0
      ? ["  (not seen again when this contact was tried alone)"]
      : differences.map((line) => `  ${line}`),
  ].join("\n");
}

function* withoutOne(course: Course): Generator<Course> {
  for (const [place, batch] of course.entries()) {
    for (const index of batch.keys()) {
      const rest = batch.filter((_, each) => each !== index);
      yield [...course.slice(0, place), ...rest.length === 0 ? [] : [rest], ...course.slice(place + 1)];
    }
  }
}
