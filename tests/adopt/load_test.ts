import assert from "node:assert/strict";
import { databaseTest, type Sql } from "../harness/mod.ts";
import { addTarget, isDuplicate, makeUnique, runScript } from "./adopt.ts";
import { createCrm, everything } from "./legacy.ts";

const IDS = 90_000;
const DUPLICATES = 10_000;
const WITHOUT_ID = 5_000;
const WRITERS = 3;

/** The longest that an insert may take. What holds one up is the guard, for half a second, and a busy machine. */
const LONGEST_STALL_MS = 3_000;

for (
  const [how, duplicateEvery, lastSteps] of [
    ["inserts", Infinity, [/^create unique index/]],
    ["inserts a duplicate every third time", 3, [
      // after steps in vain
      /^create index concurrently .*_lookup/,
      /^select adopt.guard/,
      /^call/,
      /^create unique index/,
      /^select adopt.unguard/,
      /^drop index concurrently .*_lookup$/,
    ]],
  ] as const
) {
  databaseTest(`100,000 rows become unique while the CRM ${how}`, async ({ sql, pool }) => {
    await runScript(sql, "duplicates.sql");
    await createLargeCrm(sql);
    await addTarget(sql, "crm.chat_messages", "wa_message_id");
    const firsts =
      await sql`select wa_message_id, min(id) as id from crm.chat_messages where wa_message_id <> '' group by 1`;
    const references = await referencedIds(sql);

    const stopping = new AbortController();
    const writing = Array.from({ length: WRITERS }, (_, n) => write(pool(1), n, duplicateEvery, stopping.signal));
    const steps = await makeUnique(pool(1)).finally(() => stopping.abort());
    const writers = await Promise.all(writing);

    for (const [index, step] of lastSteps.entries()) {
      assert.match(steps.at(index - lastSteps.length) ?? "", step);
    }
    assert.deepEqual(await duplicatedIds(sql), []);
    const [index] = await sql`select detail from adopt.report() where topic = 'unique index'`;
    assert.equal(index?.detail, "valid");

    const stored = new Map(
      (await sql`select id, wa_message_id from crm.chat_messages where wa_message_id <> ''`).map((
        row,
      ) => [row.wa_message_id, row.id]),
    );
    assert.equal(firsts.filter((row) => stored.get(row.wa_message_id) !== row.id).length, 0, "the first is kept");
    const accepted = writers.flatMap((writer) => writer.accepted);
    assert.equal(accepted.filter((id) => !stored.has(id)).length, 0, "every id survives");
    assert.equal(stored.size, IDS + new Set(accepted).size);
    for (const { refused } of writers) {
      assert.equal(refused.filter((id) => !stored.has(id)).length, 0, "only duplicates are refused");
    }

    const [{ kept, removed } = { kept: 0, removed: 0 }] = await sql<{ kept: number; removed: number }[]>`
      select (select count(*) from crm.chat_messages) as kept, (select count(*) from adopt.removed_rows) as removed
    `;
    assert.equal(kept + removed, IDS + DUPLICATES + WITHOUT_ID + accepted.length, "nothing is lost");
    const dangling = await sql`
      select r.removed_key
      from adopt.removed_rows r
      where not exists (select from crm.chat_messages k where k.id = r.kept_key::bigint and k.wa_message_id = r.message_id)
        -- a row that was written earlier may be committed later, and is the first then
        and not exists (select from adopt.removed_rows k where k.removed_key = r.kept_key and k.message_id = r.message_id)
    `;
    assert.equal(dangling.length, 0, "every removed row names the one that was kept");
    assert.deepEqual(await referencedIds(sql), references, "references are intact");

    const longest = Math.max(...writers.map((writer) => writer.longestMs));
    assert.ok(longest < LONGEST_STALL_MS, `an insert took ${Math.round(longest)} ms`);

    const before = await everything(sql);
    assert.deepEqual(await makeUnique(pool(1)), ["call adopt.remove_duplicates()"]);
    assert.deepEqual(await everything(sql), before, "a second run changes nothing");
  });
}

/** Messages of which 10,000 are the second, third … of their id, the worst id being there a hundred times; and what references them. */
async function createLargeCrm(sql: Sql): Promise<void> {
  await createCrm(sql);
  await sql.unsafe(`
    insert into crm.chat_messages (wa_message_id, created_at)
    select case when n <= ${IDS} then 'wamid.' || n when n % 2 = 0 then '' end, timestamptz '2026-01-01' + n * interval '1 second'
    from generate_series(1, ${IDS + WITHOUT_ID}) n;
    insert into crm.chat_messages (wa_message_id, created_at)
    select 'wamid.' || case when n < 100 then 1 else 5 * n end, timestamptz '2026-02-01' + n * interval '1 second'
    from generate_series(1, ${DUPLICATES}) n;
    update crm.chat_messages set reply_to = id - 1 where id % 10 = 0;
    insert into crm.reactions (message_id, user_id) select id, id from crm.chat_messages where id % 3 = 0;
    insert into crm.stars select organization_id, id, id from crm.chat_messages where id % 7 = 0;
    analyze;
  `).simple();
}

async function duplicatedIds(sql: Sql): Promise<unknown[]> {
  return [
    ...await sql`select wa_message_id from crm.chat_messages where wa_message_id <> '' group by wa_message_id having count(*) > 1`,
  ];
}

/** Who reacted to, starred and answered which message, by what does not change when a duplicate goes. */
async function referencedIds(sql: Sql): Promise<unknown> {
  const [row] = await sql`
    select
      md5((select string_agg(m.wa_message_id || r.user_id, ',' order by r.user_id) from crm.reactions r join crm.chat_messages m on m.id = r.message_id)) as reactions,
      md5((select string_agg(m.wa_message_id || s.user_id, ',' order by s.user_id) from crm.stars s join crm.chat_messages m on m.id = s.message_id)) as stars,
      (select count(*) from crm.reactions) as reaction_count,
      (select count(*) from crm.stars) as star_count
  `;
  return row;
}

/** One session of the CRM, which inserts one message after the other until it is told to stop, and then a duplicate. */
async function write(sql: Sql, number: number, duplicateEvery: number, signal: AbortSignal) {
  const accepted: string[] = [];
  const refused: string[] = [];
  let longestMs = 0;
  const insert = async (id: string) => {
    const began = performance.now();
    try {
      await sql`insert into crm.chat_messages (wa_message_id) values (${id})`;
      accepted.push(id);
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      refused.push(id);
    }
    longestMs = Math.max(longestMs, performance.now() - began);
  };
  for (let n = 1; !signal.aborted; n++) {
    // the same for all sessions, at about the same time: as one message that several webhooks report
    await insert(n % duplicateEvery === 0 ? `wamid.all.${n}` : `wamid.${number}.${n}`);
  }
  await insert("wamid.1");
  assert.equal(refused.at(-1), "wamid.1", "with the index a duplicate is refused");
  return { accepted, refused, longestMs };
}
