import fc from "fast-check";
import assert from "node:assert/strict";
import { randomFor } from "../../local/simulator/random.ts";
import { claim, databaseTest, foldCounters, makeDue, recoverStale, type Sql } from "../harness/mod.ts";
import { history } from "./arbitraries.ts";
import { deliver, shuffledBatches } from "./deliver.ts";
import { describe, type Evidence } from "./history.ts";
import { outcomeOf } from "./model.ts";
import { differencesOf, readRows } from "./observe.ts";
import { propertyRuns, propertySeed } from "./settings.ts";
import { makeSubjects, type Subject } from "./subjects.ts";

const HISTORIES = 800;
const LARGEST_BATCH = 60;
const MAX_TOLD = 5;

databaseTest("no lost lease, new claim or retry between the events changes what they prove", async ({ sql }) => {
  const seed = propertySeed();
  const histories = fc.sample(history.filter(({ situation }) => situation.claims > 0), {
    seed,
    numRuns: propertyRuns(HISTORIES),
  });
  const subjects = await makeSubjects(sql, histories);
  const campaigns = [...new Set(subjects.map(({ campaignId }) => campaignId))];
  await sql`update public.notification_campaigns set status = 'processing' where id = any (${campaigns}::uuid[])`;

  const byRecipient = new Map(subjects.map((subject) => [subject.recipientId, subject]));
  const heard = new Map<Subject, Evidence[]>(subjects.map((subject) => [subject, []]));
  const wrong: string[] = [];
  const complain = (subject: Subject, what: string) => {
    const events = (heard.get(subject) ?? []).map(describe).join(", ");
    wrong.push(`a recipient that was ${subject.history.situation.name} ${what}; so far it heard: ${events}`);
  };

  const random = randomFor(seed, "steps");
  for (const batch of shuffledBatches(subjects, seed, "interleaved", LARGEST_BATCH)) {
    for (const { error, subject } of await deliver(sql, batch)) complain(subject, error);
    for (const { subject, event } of batch) heard.get(subject)?.push(event);
    if (random.chance(0.3)) await loseLeases(sql, random.int(2, 5));
    if (random.chance(0.1)) await retryFailed(sql, random.pick([campaigns[0] ?? "", ...campaigns]));
    if (random.chance(0.2)) await foldCounters(sql);
    if (random.chance(0.3)) {
      await makeDue(sql);
      for (const { recipient_id } of await claim(sql, { limit: random.int(1, 300) })) {
        const subject = byRecipient.get(recipient_id);
        if (subject === undefined) continue;
        const { status } = outcomeOf({ ...subject.history, events: heard.get(subject) ?? [] });
        if (status === "sent") complain(subject, "was claimed, to be sent once more, after it was proved to be sent");
      }
    }
  }

  const rows = await readRows(sql, subjects);
  for (const subject of subjects) {
    const row = rows.get(subject.recipientId);
    const isProved = outcomeOf(subject.history).status === "sent";
    if (row !== undefined && (row.status === "sent") !== isProved) complain(subject, `is ${row.status}`);
    // where nothing is proved, the status is what the last claim and the last failure made of it
    const differences = differencesOf(subject, row).filter((difference) =>
      isProved || !difference.startsWith("status is")
    );
    for (const difference of differences) complain(subject, difference);
  }
  assert.deepEqual(wrong.slice(0, MAX_TOLD), [], `${wrong.length} in all; FAST_CHECK_SEED=${seed} repeats it`);
  assert.deepEqual(await openButCompleted(sql), []);
});

/** Every so-and-so-many-th row that is being sent. */
async function loseLeases(sql: Sql, every: number): Promise<void> {
  await sql`
    update public.notification_campaign_recipients set lease_expires_at = now() - interval '1 second'
    where id in (
      select d.id
      from (
        select r.id, row_number() over (order by r.recipient) as place
        from public.notification_campaign_recipients r
        where r.status = 'processing'
      ) as d
      where d.place % ${every} = 0
    )
  `;
  await recoverStale(sql);
}

async function retryFailed(sql: Sql, campaignId: string): Promise<void> {
  await sql`select public.retry_failed_recipients(${campaignId})`;
}

/** Campaigns whose status is not what their rows say. */
async function openButCompleted(sql: Sql): Promise<string[]> {
  const rows = await sql<{ complaint: string }[]>`
    select c.id || ' is ' || c.status || ' with ' || s.pending_count + s.processing_count + s.unconfirmed_count || ' open rows'
      as complaint
    from public.notification_campaigns c
    join public.notification_campaign_stats s on s.campaign_id = c.id
    where (c.status = 'completed') <> (s.pending_count + s.processing_count + s.unconfirmed_count = 0)
  `;
  return rows.map(({ complaint }) => complaint);
}
