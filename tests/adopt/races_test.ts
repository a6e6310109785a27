import assert from "node:assert/strict";
import { databaseTest, type Sql } from "../harness/mod.ts";
import { addTarget, kill, makeUnique, removeDuplicates, runScript } from "./adopt.ts";
import { archive, createCrm, everything, insertMessages, messages } from "./legacy.ts";

const COLUMN = ["crm.chat_messages", "wa_message_id"] as const;
const CREATE_INDEX =
  "create unique index concurrently chat_messages_wa_message_id_unique on crm.chat_messages (wa_message_id) where wa_message_id <> ''";

/** A CRM with each of so many ids twice: number n has the keys n and ids + n. */
async function crmWithPairs(sql: Sql, ids: number): Promise<void> {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await sql`
    insert into crm.chat_messages (wa_message_id)
    select 'wamid.' || n
    from generate_series(1, 2) copy, generate_series(1, ${ids}::integer) n
    order by copy, n
  `;
  await addTarget(sql, ...COLUMN);
}

async function nextStep(sql: Sql): Promise<string | null> {
  const [row] = await sql<{ step: string | null }[]>`select adopt.next_step() as step`;
  return row?.step ?? null;
}

for (const [what, id] of [["duplicate", 12], ["kept row", 2]] as const) {
  databaseTest(
    `a ${what} that another session holds is skipped, not waited for, and comes next time`,
    async ({ sql, session }) => {
      await crmWithPairs(sql, 10);
      const crm = await session("crm");
      await crm.begin();
      await crm.sql`update crm.chat_messages set content = '{}' where id = ${id}`;
      await removeDuplicates(sql);
      assert.equal((await archive(sql)).length, 9);
      assert.equal(await nextStep(sql), "call adopt.remove_duplicates(1)");
      await crm.commit();
      await removeDuplicates(sql);
      assert.equal((await archive(sql)).length, 10);
      assert.deepEqual((await messages(sql)).map(([key]) => key), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    },
  );
}

databaseTest(
  "a reference that another session holds is not waited for, and its duplicate comes next time",
  async ({ sql, session }) => {
    await crmWithPairs(sql, 10);
    await sql`insert into crm.reactions (message_id, user_id) values (12, 1), (13, 1)`;
    const crm = await session("crm");
    await crm.begin();
    await crm.sql`update crm.reactions set user_id = 2 where message_id = 12`;
    await removeDuplicates(sql);
    assert.deepEqual((await messages(sql)).filter(([key]) => key > 10), [[12, "wamid.2"]]);
    assert.equal(await nextStep(sql), "call adopt.remove_duplicates(1)");
    await crm.commit();
    await removeDuplicates(sql);
    assert.equal((await archive(sql)).length, 10);
    const reactions = await sql`select message_id, user_id from crm.reactions order by 1`;
    assert.deepEqual(reactions.map((row) => [row.message_id, row.user_id]), [[2, 2], [3, 1]]);
  },
);

databaseTest(
  "a reference that is just being stored keeps its duplicate, and is repointed next time",
  async ({ sql, session }) => {
    await crmWithPairs(sql, 3);
    const crm = await session("crm");
    await crm.begin();
    await crm.sql`insert into crm.reactions (message_id, user_id) values (5, 1)`;
    await removeDuplicates(sql);
    assert.deepEqual((await archive(sql)).map(([removed]) => removed), ["4", "6"]);
    await crm.commit();
    await removeDuplicates(sql);
    assert.deepEqual([...await sql`select message_id from crm.reactions`], [{ message_id: 2 }]);
  },
);

databaseTest(
  "where the CRM and the removal wait for each other, it is the removal that gives way",
  async ({ sql, session }) => {
    await crmWithPairs(sql, 3);
    await sql`insert into crm.reactions (message_id, user_id) values (4, 1)`;
    // the removal stands still when it has its rows and is about to repoint the reaction
    await sql.unsafe(`
      create function crm.wait() returns trigger language plpgsql set lock_timeout = 0 as
        $$ begin perform pg_advisory_xact_lock(1); return new; end $$;
      create trigger wait before update on crm.reactions for each row execute function crm.wait();
    `).simple();
    const [holder, crm, adopt] = [await session("holder"), await session("crm"), await session("adopt")];
    await holder.begin();
    await holder.sql`select pg_advisory_xact_lock(1)`;
    const removal = await adopt.blocked((own) => removeDuplicates(own));
    await crm.begin();
    // what it will wait for, and what waits for it
    await crm.sql`insert into crm.reactions (message_id, user_id) values (1, 1)`;
    const update = await crm.blocked(async (own) =>
      await own`update crm.chat_messages set content = '{}' where id = 4`
    );
    await holder.commit();
    await update.done;
    await crm.commit();
    await removal.done;
    const reactions = await sql`select message_id from crm.reactions order by 1`;
    assert.deepEqual(reactions.map((row) => row.message_id), [1, 4]);
  },
);

databaseTest("rows that changed since they were listed are not removed", async ({ sql }) => {
  await crmWithPairs(sql, 4);
  await sql`select adopt.list_duplicates(1)`;
  await sql`update crm.chat_messages set wa_message_id = 'other' where id = 5`;
  await sql`update crm.chat_messages set wa_message_id = null where id = 2`;
  await sql`delete from crm.chat_messages where id = 3`;
  await sql`select adopt.remove_batch(1, 100, 0)`;
  assert.deepEqual(await archive(sql), [["8", "4"]]);
  await removeDuplicates(sql);
  assert.equal((await archive(sql)).length, 1);
});

databaseTest("a row that went to another tenant since it was listed is not removed", async ({ sql }) => {
  await crmWithPairs(sql, 2);
  await addTarget(sql, ...COLUMN, { scopeColumns: ["organization_id"] });
  await sql`select adopt.list_duplicates(1)`;
  await sql`update crm.chat_messages set organization_id = 2 where id = 3`;
  await sql`select adopt.remove_batch(1, 100, 0)`;
  assert.deepEqual(await archive(sql), [["4", "2"]]);
});

databaseTest("two removals at once share the work and remove each duplicate once", async ({ sql, pool }) => {
  await crmWithPairs(sql, 500);
  await Promise.all([pool(1), pool(1)].map((client) => removeDuplicates(client, 20)));
  await removeDuplicates(sql);
  const removed = await archive(sql);
  assert.equal(removed.length, 500);
  assert.equal(new Set(removed.map(([key]) => key)).size, 500);
  assert.equal((await messages(sql)).length, 500);
});

databaseTest(
  "a removal that is killed half-way has lost nothing, and the next one does the rest",
  async ({ sql, session }) => {
    await crmWithPairs(sql, 100);
    await sql`insert into crm.reactions (message_id, user_id) select id, 1 from crm.chat_messages where id > 100`;
    // stands still in the middle of the sixth batch of ten
    await sql.unsafe(`
    create function crm.wait() returns trigger language plpgsql set lock_timeout = 0 as
      $$ begin perform pg_advisory_xact_lock(1); return old; end $$;
    create trigger wait before delete on crm.chat_messages for each row when (old.wa_message_id = 'wamid.59') execute function crm.wait();
  `).simple();
    const [holder, adopt] = [await session("holder"), await session("adopt")];
    await holder.begin();
    await holder.sql`select pg_advisory_xact_lock(1)`;
    const removal = await adopt.blocked((own) => removeDuplicates(own, 10));
    await kill(sql, adopt);
    await assert.rejects(() => removal.done);
    await holder.rollback();

    const removed = await archive(sql);
    assert.equal(removed.length % 10, 0, "whole batches");
    assert.ok(removed.length > 0 && removed.length < 100);
    const kept = await messages(sql);
    assert.equal(kept.length + removed.length, 200);
    assert.equal(new Set(kept.map(([, id]) => id)).size, 100);
    assert.equal((await sql`select from crm.reactions`).length, 100);
    assert.equal((await sql`select from crm.reactions where message_id <= 100`).length, removed.length);

    await makeUnique(sql);
    assert.equal((await archive(sql)).length, 100);
    assert.deepEqual((await messages(sql)).map(([id]) => id), Array.from({ length: 100 }, (_, n) => n + 1));
    assert.equal((await sql`select from crm.reactions where message_id <= 100`).length, 100);
  },
);

databaseTest("an index that was killed while it was made is dropped and made again", async ({ sql, session }) => {
  await crmWithPairs(sql, 10);
  await removeDuplicates(sql);
  assert.equal(await nextStep(sql), CREATE_INDEX);
  const [crm, adopt] = [await session("crm"), await session("adopt")];
  await crm.begin();
  await crm.sql`insert into crm.chat_messages (wa_message_id) values ('wamid.11')`;
  const making = await adopt.blocked(async (own) => void await own.unsafe(CREATE_INDEX).simple());
  await assert.rejects(() => nextStep(sql), { code: "55006", message: /just making an index on crm\.chat_messages/ });
  await insertMessages(sql, [{ wa_message_id: "wamid.12" }]);
  await kill(sql, adopt);
  await assert.rejects(() => making.done);
  await crm.commit();
  assert.equal(await nextStep(sql), "drop index concurrently crm.chat_messages_wa_message_id_unique");
  await makeUnique(sql);
  await assert.rejects(() => insertMessages(sql, [{ wa_message_id: "wamid.11" }]), { code: "23505" });
  assert.equal((await messages(sql)).length, 12);
});

/** Guards the CRM's table, as make_unique does when duplicates keep coming. */
async function guardedCrm(sql: Sql): Promise<void> {
  await crmWithPairs(sql, 10);
  await sql`update adopt.targets set vain_steps = 3`;
  for (let step = 0; step < 2; step++) await sql.unsafe(await nextStep(sql) ?? "").simple();
  assert.equal((await sql`select from adopt.targets t where adopt.is_guarded(t.id)`).length, 1);
}

databaseTest(
  "from a guarded table a new duplicate goes into the archive, and everything else is stored",
  async ({ sql }) => {
    await guardedCrm(sql);
    await sql`
    insert into crm.chat_messages (wa_message_id, organization_id)
    values ('wamid.1', 7), ('wamid.11', 1), (null, 1), (null, 1), ('', 1), ('', 1), ('wamid.11', 8)
  `;
    const stored = await sql`select wa_message_id from crm.chat_messages where id > 20 order by id`;
    assert.deepEqual(stored.map((row) => row.wa_message_id), ["wamid.11", null, null, "", ""]);
    const diverted = await sql`
    select message_id, removed_row ->> 'organization_id' as organization_id, removed_key <> kept_key as differs from adopt.removed_rows order by id
  `;
    assert.deepEqual([...diverted], [
      { message_id: "wamid.1", organization_id: "7", differs: true },
      { message_id: "wamid.11", organization_id: "8", differs: true },
    ]);
    await sql`insert into crm.chat_messages (id, wa_message_id) values (1, 'wamid.1') on conflict (id) do update set content = '[]'`;
    assert.deepEqual(
      [...await sql`select content from crm.chat_messages where id = 1`],
      [{ content: [] }],
      "an upsert",
    );
  },
);

for (const [how, left] of [["commits", 1], ["rollback", 0]] as const) {
  databaseTest(
    `two sessions store one id in a guarded table at once, the first ${how}: it is there once`,
    async ({ sql, session }) => {
      await guardedCrm(sql);
      // it was there before
      await insertMessages(sql, [{ wa_message_id: "wamid.11" }]);
      await sql`delete from crm.chat_messages where wa_message_id = 'wamid.11'`;
      const [a, b] = [await session("a"), await session("b")];
      await a.begin();
      await insertMessages(a.sql, [{ wa_message_id: "wamid.11" }]);
      const second = await b.blocked((own) => insertMessages(own, [{ wa_message_id: "wamid.11" }]));
      await (how === "commits" ? a.commit() : a.rollback());
      assert.equal((await second.done).length, 1 - left);
      assert.equal((await sql`select from crm.chat_messages where wa_message_id = 'wamid.11'`).length, 1);
      assert.equal((await sql`select from adopt.removed_rows`).length, left);
    },
  );
}

databaseTest("a guard sees an id that another trigger fills in", async ({ sql }) => {
  await guardedCrm(sql);
  await sql.unsafe(`
    create function crm.fill_in() returns trigger language plpgsql as
      $$ begin new.wa_message_id := new.content ->> 'id'; return new; end $$;
    create trigger fill_in before insert on crm.chat_messages for each row execute function crm.fill_in();
  `).simple();
  await sql`insert into crm.chat_messages (content) values ('{"id": "wamid.1"}'), ('{"id": "wamid.11"}')`;
  assert.deepEqual((await messages(sql)).slice(20).map(([, id]) => id), ["wamid.11"]);
});

databaseTest("a guard that would have to wait for a writer gives up, and is tried again", async ({ sql, session }) => {
  await crmWithPairs(sql, 10);
  await sql`update adopt.targets set vain_steps = 3`;
  await sql.unsafe(await nextStep(sql) ?? "").simple();
  const crm = await session("crm");
  await crm.begin();
  await insertMessages(crm.sql, [{ wa_message_id: "wamid.11" }]);
  const guard = await nextStep(sql) ?? "";
  assert.equal(guard, "select adopt.guard(1)");
  await assert.rejects(async () => void await sql.unsafe(guard).simple(), { code: "55P03" });
  await crm.commit();
  await makeUnique(sql);
  assert.equal((await messages(sql)).length, 11);
});

databaseTest("when the index is there, guard and lookup index are gone and a duplicate is refused", async ({ sql }) => {
  await guardedCrm(sql);
  const steps = await makeUnique(sql);
  assert.deepEqual(steps.slice(1), [
    CREATE_INDEX,
    "select adopt.unguard(1)",
    "drop index concurrently crm.chat_messages_wa_message_id_lookup",
  ]);
  assert.equal(
    (await sql`select from pg_catalog.pg_trigger where not tgisinternal and tgrelid = 'crm.chat_messages'::regclass`)
      .length,
    0,
  );
  assert.equal((await sql`select from adopt.guarded_ids`).length, 0);
  await assert.rejects(() => insertMessages(sql, [{ wa_message_id: "wamid.1" }]), { code: "23505" });
  const before = await everything(sql);
  assert.deepEqual(await makeUnique(sql), ["call adopt.remove_duplicates()"]);
  assert.deepEqual(await everything(sql), before);
});
