import type { Sql } from "../harness/mod.ts";
import { deliver, type Delivery } from "./deliver.ts";
import { describe, type Evidence } from "./history.ts";
import { differencesOf, readRows } from "./observe.ts";
import { makeSubjects, type Subject } from "./subjects.ts";

/** The events of one recipient as they came, those of one call together. */
type Course = readonly (readonly Evidence[])[];

const MAX_TRIES = 150;

/** What of a run belongs to one recipient. */
export function courseOf(subject: Subject, batches: readonly (readonly Delivery[])[]): Course {
  return batches
    .map((batch) => batch.filter((delivery) => delivery.subject === subject).map(({ event }) => event))
    .filter((batch) => batch.length > 0);
}

/**
 * Leaves out what it can of a course that ends wrong, and tells the rest: the situation, each call with its events, and
 * what differs at the end.
 */
export async function explain(sql: Sql, subject: Subject, course: Course): Promise<string> {
  const { situation, memberCount } = subject.history;
  let smallest = course;
  let differences = await outcome(sql, subject, course);
  if (differences.length === 0) differences = ["(not seen again when this recipient was tried alone)"];
  let tries = 0;
  let shrunk = true;
  while (shrunk && tries < MAX_TRIES) {
    shrunk = false;
    for (const candidate of [...withoutOne(smallest)]) {
      if (++tries > MAX_TRIES) break;
      const found = await outcome(sql, subject, candidate);
      if (found.length === 0) continue;
      [smallest, differences, shrunk] = [candidate, found, true];
      break;
    }
  }
  return [
    `a recipient that is ${situation.name} (claimed ${situation.claims} times, member_count ${memberCount}) hears, each line one call:`,
    ...smallest.map((batch) => `    ${batch.map(describe).join("  +  ")}`),
    ...differences.map((difference) => `  ${difference}`),
  ].join("\n");
}

async function outcome(sql: Sql, { history }: Subject, course: Course): Promise<string[]> {
  const [subject] = await makeSubjects(sql, [{ ...history, events: course.flat() }]);
  if (subject === undefined) return [];
  const refused: string[] = [];
  for (const batch of course) {
    refused.push(...(await deliver(sql, batch.map((event) => ({ subject, event })))).map(({ error }) => error));
  }
  const rows = await readRows(sql, [subject]);
  return [...refused, ...differencesOf(subject, rows.get(subject.recipientId))];
}

function* withoutOne(course: Course): Generator<Course> {
  for (const [place, batch] of course.entries()) {
    for (const index of batch.keys()) {
      const rest = batch.filter((_, each) => each !== index);
      yield [...course.slice(0, place), ...rest.length === 0 ? [] : [rest], ...course.slice(place + 1)];
    }
  }
}
