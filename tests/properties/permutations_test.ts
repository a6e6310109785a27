import { databaseTest } from "../harness/mod.ts";
import type { Delivery } from "./deliver.ts";
import type { Evidence, History, MessageName } from "./history.ts";
import { assertNoFailures, type Failure, runBatches } from "./run_histories.ts";
import { type Situation, situations } from "./situation.ts";
import { makeSubjects, type Subject } from "./subjects.ts";

const LARGEST = 4;
const BATCH = 200;
/** Shorter words are tried in the situations that differ least from the first. */
const tried = situations.flatMap((situation: Situation) => {
  if (situation.name === "being sent") return [{ situation, largest: LARGEST }];
  return situation.claims === 1 ? [{ situation, largest: LARGEST - 1 }] : [];
});

const receipt = (kind: "delivered" | "read" | "failed", message: MessageName, reader: number | null): Evidence => ({
  type: "receipt",
  kind,
  message,
  reader,
  // each person in two spellings
  spelling: kind === "read" ? "device" : "plain",
});

/** Each of so few letters that every word of up to four can be tried, in every order. */
const alphabets: Record<string, readonly Evidence[]> = {
  "a callback, its copy of the group alone, receipts": [
    { type: "callback", event: "sent", attempt: "newest", message: "new1" },
    { type: "callback", event: "failed", attempt: "newest", message: null },
    { type: "callback", event: "sent", attempt: null, message: "new1" },
    { type: "result", outcome: "accepted", attempt: "newest", message: null },
    receipt("delivered", "new1", 1),
    receipt("read", "new1", 1),
    receipt("read", "new1", null),
  ],
  "two messages of one attempt, two readers": [
    { type: "callback", event: "sent", attempt: "newest", message: "new1" },
    { type: "callback", event: "sent", attempt: "newest", message: "new2" },
    { type: "callback", event: "failed", attempt: "newest", message: "new2" },
    receipt("delivered", "new1", 1),
    receipt("read", "new2", 1),
    receipt("delivered", "new2", 2),
    { type: "increment" },
  ],
  "refused for now, failed, confirmed, counted": [
    { type: "result", outcome: "deferred", attempt: "newest", message: null },
    { type: "result", outcome: "failed", attempt: "newest", message: "new1" },
    { type: "confirm", sent: true, message: null },
    { type: "confirm", sent: false, message: null },
    receipt("failed", "new1", null),
    receipt("delivered", "new1", null),
  ],
};

for (const [name, letters] of Object.entries(alphabets)) {
  databaseTest(`every order of up to ${LARGEST} events ends alike: ${name}`, async ({ sql }) => {
    const failures: Failure[] = [];
    for (const { situation, largest } of tried) {
      const subjects = await makeSubjects(sql, everyOrder(letters, largest, situation));
      // the first event of every word, then the second of every word, and so on
      failures.push(...await runBatches(sql, subjects, batchesByPlace(subjects)));
      // and every multiset once more, all of it in one batch
      const together = await makeSubjects(sql, everyMultiset(letters, largest, situation));
      failures.push(...await runBatches(sql, together, batchesOfWhole(together)));
    }
    await assertNoFailures(sql, failures, "this test");
  }, { timeoutMs: 120_000 });
}

/** Every word of one to `largest` letters, so every order of every multiset of them. */
function everyOrder(letters: readonly Evidence[], largest: number, situation: Situation): History[] {
  const words: Evidence[][] = [[]];
  for (let from = 0; from < words.length; from++) {
    const word = words[from] ?? [];
    if (word.length < largest) words.push(...letters.map((letter) => [...word, letter]));
  }
  return words.slice(1).map((events) => ({ situation, memberCount: 2, events }));
}

function everyMultiset(letters: readonly Evidence[], largest: number, situation: Situation): History[] {
  return everyOrder(letters, largest, situation).filter(({ events }) =>
    events.every((event, index) => {
      const next = events[index + 1];
      return next === undefined || letters.indexOf(event) <= letters.indexOf(next);
    })
  );
}

function batchesByPlace(subjects: readonly Subject[]): Delivery[][] {
  return Array.from({ length: LARGEST }, (_, place) =>
    slices(subjects.flatMap((subject) => {
      const event = subject.history.events[place];
      return event === undefined ? [] : [{ subject, event }];
    }))).flat();
}

function batchesOfWhole(subjects: readonly Subject[]): Delivery[][] {
  return slices(subjects.flatMap((subject) => subject.history.events.map((event) => ({ subject, event }))));
}

function slices(deliveries: readonly Delivery[]): Delivery[][] {
  return Array.from(
    { length: Math.ceil(deliveries.length / BATCH) },
    (_, index) => deliveries.slice(index * BATCH, (index + 1) * BATCH),
  );
}
