import assert from "node:assert/strict";
import {
  atOnce,
  campaignRow,
  claim,
  createCampaign,
  databaseTest,
  recordSendCallback,
  sentCallback,
  shuffled,
  type Sql,
  stats,
} from "../harness/mod.ts";

interface Answer {
  readonly added: number;
  readonly duplicates: number;
  readonly skipped: number;
}

async function add(sql: Sql, campaignId: string, recipients: readonly string[]): Promise<Answer> {
  const [row] = await sql<{ answer: Answer }[]>`
    select public.add_recipients(${campaignId}, ${JSON.stringify(recipients)}::text::jsonb) as answer
  `;
  return row?.answer ?? assert.fail("add_recipients answered nothing");
}

const numbers = (count: number) => Array.from({ length: count }, (_, number) => `${4_915_100_000_000 + number}`);
const sum = (answers: readonly Answer[], name: keyof Answer) =>
  answers.reduce((total, answer) => total + answer[name], 0);

databaseTest(
  "four imports of the same list in different orders deadlock never and add each once",
  async ({ sql, pool }) => {
    const work = pool(4);
    const list = numbers(400).map((number) => `+${number}`);
    for (let round = 0; round < 15; round++) {
      const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
      const answers = await atOnce(Array.from({ length: 4 }, () => () => add(work, campaign.id, shuffled(list))));
      assert.equal(sum(answers, "added"), 400, `round ${round}`);
      assert.equal(sum(answers, "duplicates"), 1200);
      assert.equal((await stats(sql, campaign.id)).total_count, 400);
    }
  },
);

databaseTest(
  "imports of the same people in other spellings deadlock never, and each person stays one message",
  async ({ sql, pool }) => {
    const work = pool(4);
    const people = numbers(150);
    const spellings = [
      (number: string) => `+${number}`,
      (number: string) => number,
      (number: string) => `00${number}`,
      (number: string) => `${number}@s.whatsapp.net`,
    ];
    for (let round = 0; round < 15; round++) {
      const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
      // every import spells every person its own way, and no two the same
      const answers = await atOnce(Array.from({ length: 4 }, (_, turn) => () =>
        add(
          work,
          campaign.id,
          shuffled(people.map((number, place) => spellings[(place + turn) % 4]?.(number) ?? number)),
        )));
      assert.equal(sum(answers, "added"), 150, `round ${round}`);
      assert.equal(sum(answers, "skipped"), 450, "each other spelling is stored, and seen");
      const { pending_count, skipped_count } = await stats(sql, campaign.id);
      assert.deepEqual([pending_count, skipped_count], [150, 450]);
    }
  },
);

databaseTest(
  "a spelling that waits for another import's spelling of the same person is stored as skipped",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
    const first = await session("first");
    const second = await session("second");
    await first.begin();
    assert.equal((await add(first.sql, campaign.id, ["+4915112345678"])).added, 1);
    const { done } = await second.blocked((work) => add(work, campaign.id, ["4915112345678", "+4915112345679"]));
    await first.commit();
    const { added, skipped } = await done;
    assert.deepEqual([added, skipped], [1, 1]);
  },
);

databaseTest(
  "recipients that are added while a campaign is cancelled are refused or skipped, and none stays pending",
  async ({ sql, pool }) => {
    const work = pool(3);
    for (let round = 0; round < 40; round++) {
      const campaign = await createCampaign(sql, { channel: "whatsapp", recipients: 2 });
      const refusals: unknown[] = [];
      await atOnce<unknown>(shuffled([
        async () => await work`select public.cancel_campaign(${campaign.id})`,
        ...[numbers(20), numbers(40)].map((list) => () =>
          add(work, campaign.id, list).catch((error) => refusals.push(error.code))
        ),
      ]));
      assert.ok(refusals.every((code) => code === "PT409"), `round ${round}: ${refusals}`);
      assert.equal((await campaignRow(sql, campaign.id)).status, "cancelled");
      assert.equal((await stats(sql, campaign.id)).pending_count, 0, `round ${round}`);
    }
  },
);

databaseTest(
  "a cancellation waits for an import that is about to commit, and skips what it added",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp", recipients: 0 });
    const importer = await session("importer");
    const person = await session("person");
    await importer.begin();
    await add(importer.sql, campaign.id, numbers(3));
    const { done } = await person.blocked(async (work) => await work`select public.cancel_campaign(${campaign.id})`);
    await importer.commit();
    await done;
    const { pending_count, skipped_count } = await stats(sql, campaign.id);
    assert.deepEqual([pending_count, skipped_count], [0, 3]);
  },
);

databaseTest(
  "imports, claims and the last callbacks at the same moment deadlock never and leave the campaign as its rows are",
  async ({ sql, pool }) => {
    const work = pool(6);
    for (let round = 0; round < 20; round++) {
      const campaign = await createCampaign(sql, {
        channel: "whatsapp",
        recipients: [{ recipient: "+4915199999999" }],
      });
      const claims = await claim(sql);
      await atOnce<unknown>(shuffled([
        ...claims.map((claimed, place) => () => recordSendCallback(work, sentCallback(claimed, `M${round}-${place}`))),
        () => add(work, campaign.id, numbers(30)),
        () => add(work, campaign.id, numbers(30).toReversed()),
        () => claim(work, { limit: 10 }),
      ]));
      const { total_count } = await stats(sql, campaign.id);
      assert.equal(total_count, 31, `round ${round}`);
      assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
      await sql`select public.cancel_campaign(${campaign.id})`;
    }
  },
);
