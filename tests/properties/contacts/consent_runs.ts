import fc from "fast-check";
import { randomFor } from "../../../local/simulator/random.ts";
import {
  createOrganization,
  createSession,
  optedOut,
  phone,
  phoneNumberId,
  preference,
  recordInboundMessages,
  type Sql,
  written,
} from "../../harness/mod.ts";

/** One word of a person: a message, or a setting in the app; `at`: seconds after the beginning. */
interface Word {
  readonly says: "stop" | "start";
  readonly how: "message" | "preference";
  readonly at: number;
  /** What the person shows: the number, a user id that hides it, or both. */
  readonly shows: "number" | "id" | "both";
}

/** What one person says, in no order. A word that stands twice is posted twice. */
export type Speech = readonly Word[];

const BEGINNING = 1_790_000_000;

/** What people may say of being written to. */
export const speech: fc.Arbitrary<Speech> = speechOf(["number"]);

/** What people may say who hide their number now and then. */
export const hiddenSpeech: fc.Arbitrary<Speech> = speechOf(["number", "id", "both"]);

function speechOf(shows: readonly Word["shows"][]): fc.Arbitrary<Speech> {
  const word: fc.Arbitrary<Word> = fc.record({
    says: fc.constantFrom("stop", "start"),
    how: fc.constantFrom("message", "message", "preference"),
    at: fc.nat({ max: 4 }),
    shows: fc.constantFrom(...shows),
  }).map((each): Word =>
    // what shows both is a message: that a setting does makes nobody known
    each.how === "preference" && each.shows === "both" ? { ...each, shows: "number" } : each
  );
  return fc.array(word, { minLength: 1, maxLength: 6 }).chain((words) =>
    fc.subarray(words).map((again) => [...words, ...again])
  );
}

/**
 * Whether the number is opted out. The last word counts, whatever order the words come in; in one second, stop does. What
 * was said under the user id alone is the number's, too, once a message showed both.
 */
export function isOptedOut(words: Speech): boolean {
  const isOnePerson = words.some(({ shows }) => shows === "both");
  const own = isOnePerson ? words : words.filter(({ shows }) => shows !== "id");
  const last = Math.max(...own.map(({ at }) => at));
  return own.some(({ at, says }) => at === last && says === "stop");
}

/** Posts all words in an order and in batches of chance; answers the speeches that ended other than their last word says. */
export async function wrongSpeeches(
  sql: Sql,
  speeches: readonly Speech[],
  seed: number,
  largest: number,
): Promise<string[]> {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: phoneNumberId() });
  const people = speeches.map((words) => ({ words, contact: phone() }));
  const events = people.flatMap(({ words, contact }) =>
    words.map((each) => {
      const by = {
        sessionId,
        ...each.shows === "id" ? {} : { contact },
        ...each.shows === "number" ? {} : { userId: `US.${contact.slice(1)}` },
      };
      const index = words.indexOf(each);
      return each.how === "message"
        ? written(by, `${contact}.${index}`, each.says, { timestamp: BEGINNING + each.at })
        : preference(by, each.says === "stop" ? "stop" : "resume", BEGINNING + each.at);
    })
  );
  const random = randomFor(seed, "words");
  const rest = random.shuffle(events);
  while (rest.length > 0) await recordInboundMessages(sql, rest.splice(0, random.int(1, largest)));
  const out = new Set(await optedOut(sql, organizationId));
  return people.filter(({ words, contact }) => out.has(contact) !== isOptedOut(words)).map(({ words }) =>
    words.map(({ says, how, at, shows }) => `${says} by ${how} at ${at} showing ${shows}`).join(", ")
  );
}
