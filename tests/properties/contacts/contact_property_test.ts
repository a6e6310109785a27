import fc from "fast-check";
import assert from "node:assert/strict";
import { randomFor } from "../../../local/simulator/random.ts";
import { claim, createContactCampaign, databaseTest, type Sql, stats, statusOf } from "../../harness/mod.ts";
import { propertyRuns, propertySeed } from "../settings.ts";
import { oneMessage, twoAttempts, twoMessages } from "./contact_arbitraries.ts";
import { MESSAGE_COST } from "./contact_history.ts";
import { contactOutcomeOf } from "./contact_model.ts";
import { assertContactsAreRight, runContactBatches, shuffledContactBatches } from "./contact_runs.ts";
import { type ContactSubject, makeContacts } from "./contact_subjects.ts";

const HISTORIES = 700;
const LARGEST_BATCH = 120;

const properties = {
  "one message to a contact": oneMessage,
  "two messages of one attempt to a contact": twoMessages,
  "messages of a lost attempt and of the one under way": twoAttempts,
} as const;

for (const [what, histories] of Object.entries(properties)) {
  databaseTest(
    `${what}: any statuses and answers in any order and batches leave what their set says`,
    async ({ sql }) => {
      const seed = propertySeed();
      const sample = fc.sample(histories, { seed, numRuns: propertyRuns(HISTORIES) });
      const one = await makeContacts(sql, sample);
      const other = await makeContacts(sql, sample);
      const repeat = `FAST_CHECK_SEED=${seed} TRUETICK_PROPERTY_RUNS=${sample.length}`;
      // at the same moment, from two sessions
      const runs = await Promise.all([one, other].map(async (subjects, index) => {
        const batches = shuffledContactBatches(subjects, seed, `order ${index}`, LARGEST_BATCH);
        return { subjects, batches, failures: await runContactBatches(sql, subjects, batches) };
      }));
      for (const { subjects, batches, failures } of runs) {
        await assertContactsAreRight(sql, failures, batches, repeat);
        await assertCounters(sql, subjects, repeat);
      }
    },
    { timeoutMs: 120_000 },
  );
}

databaseTest("the letters that tell what became of each status of a post add up to its counts", async ({ sql }) => {
  const seed = propertySeed();
  const random = randomFor(seed, "posts");
  await createContactCampaign(sql, { recipients: 30 });
  const attempts = (await claim(sql)).map(({ client_message_id }) => client_message_id);
  const one = (): unknown => {
    const place = random.int(0, 35);
    if (random.chance(0.1)) {
      return random.pick<unknown>([7, null, "text", {}, { event: "odd" }, { event: "message_read" }]);
    }
    return statusOf(random.pick(["sent", "delivered", "read", "played", "failed"] as const), `M${place}`, {
      reader: random.pick(["recipient", "recipient", "recipient", null, "somebody"]),
      ...random.chance(0.5) ? { clientMessageId: attempts[place] ?? "garbage" } : {},
      ...random.chance(0.3) ? { cost: MESSAGE_COST, currency: "EUR" } : {},
    });
  };
  const letters = { r: "recorded", d: "duplicates", p: "parked", j: "journaled" } as const;
  for (let post = 0; post < 40; post++) {
    const events = Array.from({ length: random.int(1, 25) }, one);
    const [row] = await sql<{ answer: Record<string, unknown> }[]>`
      select public.record_receipts_with_verdicts(${JSON.stringify(events)}::text::jsonb) as answer
    `;
    const { verdicts, ...counts } = row?.answer ?? {};
    assert.ok(typeof verdicts === "string" && verdicts.length === events.length, `FAST_CHECK_SEED=${seed}`);
    const counted = Object.entries(letters).map(([letter, name]) => [name, verdicts.split(letter).length - 1]);
    assert.deepEqual(
      Object.fromEntries(counted),
      counts,
      `FAST_CHECK_SEED=${seed}, post ${post}: ${JSON.stringify(events)}`,
    );
  }
});

/** The counters of every campaign are sums over what the model says of its contacts. */
async function assertCounters(sql: Sql, subjects: readonly ContactSubject[], repeat: string): Promise<void> {
  for (const [campaignId, own] of Map.groupBy(subjects, (subject) => subject.campaignId)) {
    const outcomes = own.map(({ history }) => contactOutcomeOf(history));
    const count = (status: string) => outcomes.filter((outcome) => outcome.status === status).length;
    const delivered = outcomes.filter((outcome) => outcome.delivered > 0).length;
    assert.deepEqual(await stats(sql, campaignId), {
      total_count: own.length,
      pending_count: 0,
      processing_count: count("processing"),
      unconfirmed_count: 0,
      sent_count: count("sent"),
      failed_count: count("failed"),
      skipped_count: 0,
      audience_count: own.length,
      reached_count: delivered,
      delivered_count: delivered,
      read_count: outcomes.filter(({ read }) => read > 0).length,
      cost: Math.round(outcomes.reduce((sum, { cost }) => sum + cost, 0) * 1e6) / 1e6,
      progress: Math.floor((100 * (count("sent") + count("failed"))) / own.length),
    }, repeat);
  }
}
