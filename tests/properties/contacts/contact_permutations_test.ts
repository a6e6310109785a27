import { databaseTest } from "../../harness/mod.ts";
import type { ContactDelivery } from "./contact_deliver.ts";
import type { ContactEvent, ContactHistory } from "./contact_history.ts";
import { contactDifferences } from "./contact_differences.ts";
import { assertContactsAreRight, runContactBatches } from "./contact_runs.ts";
import { type ContactSubject, makeContacts } from "./contact_subjects.ts";

const BATCH = 400;

const taken: ContactEvent = { type: "answer", attempt: "newest", outcome: "sent", message: "new1" };
const kinds = {
  whatsapp: ["sent", "delivered", "read", "played", "failed"],
  sms: ["sent", "delivered", "read", "failed"],
} as const;

for (const channel of ["whatsapp", "sms"] as const) {
  for (const carries of ["newest", null] as const) {
    const which = carries === null ? "that carry nothing" : "that carry the attempt";
    databaseTest(`every order of the answer and of statuses ${which} ends alike over ${channel}`, async ({ sql }) => {
      const letters: ContactEvent[] = [
        taken,
        ...kinds[channel].map((kind): ContactEvent => ({
          type: "status",
          kind,
          message: "new1",
          carries,
          hasCost: kind === "delivered" || kind === "read",
        })),
      ];
      const subjects = await makeContacts(
        sql,
        everyOrder(letters).map((events): ContactHistory => ({ channel, claims: 1, events })),
      );
      // the first event of every word, then the second of every word, and so on
      const batches = letters.flatMap((_, place) => slices(subjects.flatMap((subject) => eventAt(subject, place))));
      await assertContactsAreRight(sql, await runContactBatches(sql, subjects, batches), batches, "this test");
      // and all of it once more: nothing is news
      await runContactBatches(
        sql,
        subjects,
        slices(subjects.flatMap((subject) => subject.history.events.flatMap((_, place) => eventAt(subject, place)))),
      );
      await assertContactsAreRight(
        sql,
        await contactDifferences(sql, subjects),
        batches,
        "this test, repeating every event,",
      );

      // and every set of statuses in one post: before the answer, after it, and without one
      const sets = everySet(letters.filter((letter) => letter !== taken)).flatMap((statuses) => [
        [...statuses],
        [...statuses, taken],
        [taken, ...statuses],
      ]);
      const together = await makeContacts(sql, sets.map((events): ContactHistory => ({ channel, claims: 1, events })));
      const posts = together.map((subject) => subject.history.events.flatMap((_, place) => eventAt(subject, place)));
      const whole = [0, 1].flatMap((turn) => slices(posts.flatMap((post) => turns(post)[turn] ?? [])));
      await assertContactsAreRight(sql, await runContactBatches(sql, together, whole), whole, "this test");
    }, { timeoutMs: 120_000 });
  }
}

/** Every order of every set of some of the letters, the empty one left out. */
function everyOrder<Letter>(letters: readonly Letter[]): Letter[][] {
  return letters.flatMap((letter) => [
    [letter],
    ...everyOrder(letters.filter((other) => other !== letter)).map((rest) => [letter, ...rest]),
  ]);
}

/** Every set of some of the letters, the empty one left out. */
function everySet<Letter>(letters: readonly Letter[]): Letter[][] {
  const [first, ...rest] = letters;
  if (first === undefined) return [];
  const without = everySet(rest);
  return [[first], ...without.map((set) => [first, ...set]), ...without];
}

function eventAt(subject: ContactSubject, place: number): ContactDelivery[] {
  const event = subject.history.events[place];
  return event === undefined ? [] : [{ subject, event }];
}

/** What is heard in the first call and what in the second: statuses go together, an answer alone. */
function turns(post: readonly ContactDelivery[]): [ContactDelivery[], ContactDelivery[]] {
  const [first] = post;
  const isFirst = (delivery: ContactDelivery) => delivery.event.type === first?.event.type;
  return [post.filter(isFirst), post.filter((delivery) => !isFirst(delivery))];
}

function slices(deliveries: readonly ContactDelivery[]): ContactDelivery[][] {
  return Array.from(
    { length: Math.ceil(deliveries.length / BATCH) },
    (_, index) => deliveries.slice(index * BATCH, (index + 1) * BATCH),
  );
}
