import assert from "node:assert/strict";
import { databaseTest, type Sql } from "../harness/mod.ts";
import { addTarget, makeUnique, removeDuplicates, runScript } from "./adopt.ts";
import { archive, createCrm, everything, insertMessages, left, messages } from "./legacy.ts";

const COLUMN = ["crm.chat_messages", "wa_message_id"] as const;

/** A CRM in which A is there three times and B twice; C once, and twice each nothing and an empty text. */
async function crmWithDuplicates(sql: Sql): Promise<void> {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await insertMessages(sql, ["A", "B", "A", null, "", "B", "C", "A", null, ""].map((id) => ({ wa_message_id: id })));
}

databaseTest("remove_duplicates keeps the first of each id, and no id is no duplicate", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await addTarget(sql, ...COLUMN);
  await removeDuplicates(sql);
  assert.deepEqual(await messages(sql), [[1, "A"], [2, "B"], [4, null], [5, ""], [7, "C"], [9, null], [10, ""]]);
  assert.deepEqual(await archive(sql), [["3", "1"], ["6", "2"], ["8", "1"]]);
  assert.deepEqual(await left(sql), []);
});

databaseTest("the first is the oldest by created_at, and of the same time the lowest key", async ({ sql }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await insertMessages(sql, [
    { wa_message_id: "A", created_at: "2026-03-01" },
    { wa_message_id: "A", created_at: "2026-01-01" },
    { wa_message_id: "A", created_at: "2026-01-01" },
  ]);
  await addTarget(sql, ...COLUMN);
  await removeDuplicates(sql);
  assert.deepEqual(await messages(sql), [[2, "A"]]);
});

databaseTest("the first is by another column where add_target says so", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await sql`update crm.chat_messages set organization_id = -id`;
  await addTarget(sql, ...COLUMN, { firstBy: "organization_id" });
  await removeDuplicates(sql);
  assert.deepEqual((await messages(sql)).filter(([, id]) => id === "A" || id === "B"), [[6, "B"], [8, "A"]]);
});

databaseTest("a table with uuid keys and another column is as good", async ({ sql }) => {
  await runScript(sql, "duplicates.sql");
  await sql.unsafe(`
    create table public.legacy_send_queue (
      id uuid primary key,
      whatsapp_message_id varchar(100),
      created_at timestamptz not null
    )
  `).simple();
  const ids = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
  for (const [number, id] of ids.entries()) {
    await sql`
      insert into public.legacy_send_queue
      values (${id}, 'wamid.1', ${sql`timestamptz '2026-01-01'`} - ${number}::integer * interval '1 day')
    `;
  }
  await addTarget(sql, "public.legacy_send_queue", "whatsapp_message_id");
  await makeUnique(sql);
  assert.deepEqual([...await sql`select id from public.legacy_send_queue`], [{ id: ids[2] }]);
});

databaseTest("within a scope an id may be there once for each, null being one of them", async ({ sql }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await sql`alter table crm.chat_messages alter column organization_id drop not null`;
  await sql`
    insert into crm.chat_messages (wa_message_id, organization_id)
    values ('A', 1), ('A', 2), ('A', 1), ('A', null), ('A', null), ('B', 2)
  `;
  await addTarget(sql, ...COLUMN, { scopeColumns: ["organization_id"] });
  await makeUnique(sql);
  assert.deepEqual((await messages(sql)).map(([id]) => id), [1, 2, 4, 6]);
  await sql`insert into crm.chat_messages (wa_message_id, organization_id) values ('B', 1)`;
  for (const organization of [2, null]) {
    await assert.rejects(
      async () =>
        await sql`insert into crm.chat_messages (wa_message_id, organization_id) values ('A', ${organization})`,
      { code: "23505" },
    );
  }
});

databaseTest(
  "what references a duplicate references the kept row afterwards, whatever a delete would do",
  async ({ sql }) => {
    await crmWithDuplicates(sql);
    await insertMessages(sql, [{ wa_message_id: "D", reply_to: 3 }, { wa_message_id: "E", reply_to: 7 }]);
    await sql`update crm.chat_messages set reply_to = 3 where id = 6`;
    await sql`insert into crm.reactions (message_id, user_id) values (1, 1), (3, 2), (6, 1), (7, 1)`;
    await sql`insert into crm.attachments (message_id, url) values (1, 'a'), (3, 'b'), (8, 'c'), (null, 'd')`;
    await sql`insert into crm.stars values (1, 1, 1), (1, 3, 2), (1, 8, 3)`;
    await addTarget(sql, ...COLUMN);
    await removeDuplicates(sql);
    const replies = await sql`select id, reply_to from crm.chat_messages where reply_to is not null order by id`;
    assert.deepEqual([...replies], [{ id: 11, reply_to: 1 }, { id: 12, reply_to: 7 }]);
    const reactions = await sql`select message_id, user_id from crm.reactions order by 1, 2`;
    assert.deepEqual(reactions.map((row) => [row.message_id, row.user_id]), [[1, 1], [1, 2], [2, 1], [7, 1]]);
    const attachments = await sql`select message_id from crm.attachments order by url`;
    assert.deepEqual(attachments.map((row) => row.message_id), [1, 1, 1, null]);
    const stars = await sql`select message_id, user_id from crm.stars order by 1, 2`;
    assert.deepEqual(stars.map((row) => [row.message_id, row.user_id]), [[1, 1], [1, 2], [1, 3]]);
    const repointed = await sql`
    select table_name, removed_key, kept_key, row_key from adopt.repointed_rows where table_name <> 'crm.reactions'
    order by table_name, removed_key, row_key ->> 'id'
  `;
    assert.deepEqual([...repointed], [
      { table_name: "crm.attachments", removed_key: "3", kept_key: "1", row_key: { url: "b", message_id: 1 } },
      { table_name: "crm.attachments", removed_key: "8", kept_key: "1", row_key: { url: "c", message_id: 1 } },
      { table_name: "crm.chat_messages", removed_key: "3", kept_key: "1", row_key: { id: 11 } },
      { table_name: "crm.chat_messages", removed_key: "3", kept_key: "1", row_key: { id: 6 } },
      {
        table_name: "crm.stars",
        removed_key: "3",
        kept_key: "1",
        row_key: { organization_id: 1, message_id: 1, user_id: 2 },
      },
      {
        table_name: "crm.stars",
        removed_key: "8",
        kept_key: "1",
        row_key: { organization_id: 1, message_id: 1, user_id: 3 },
      },
    ]);
  },
);

databaseTest("from the archive every removed row comes back as it was", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await sql`update crm.chat_messages set content = '{"n": 1.50, "text": "é \\" 😀"}', reply_to = 1 where id = 3`;
  const before = [...await sql`select * from crm.chat_messages order by id`];
  await addTarget(sql, ...COLUMN);
  await removeDuplicates(sql);
  await sql`
    insert into crm.chat_messages
    select (jsonb_populate_record(null::crm.chat_messages, r.removed_row)).* from adopt.removed_rows r
  `;
  assert.deepEqual([...await sql`select * from crm.chat_messages order by id`], before);
});

databaseTest(
  "a duplicate whose reference a unique constraint forbids is left, reported, and removed once that is mended",
  async ({ sql }) => {
    await crmWithDuplicates(sql);
    await sql`insert into crm.reactions (message_id, user_id) values (1, 7), (3, 7), (3, 8), (8, 9)`;
    await addTarget(sql, ...COLUMN);
    await assert.rejects(() => makeUnique(sql), {
      code: "23505",
      message: /1 of the duplicates of crm\.chat_messages\.wa_message_id cannot be removed/,
    });
    assert.deepEqual((await messages(sql)).filter(([, id]) => id === "A" || id === "B"), [[1, "A"], [2, "B"], [
      3,
      "A",
    ]]);
    const [[key, because] = []] = await left(sql);
    assert.equal(key, "3");
    assert.match(because ?? "", /reactions_message_id_user_id_key/);
    const [reported] = await sql`select figure, item from adopt.report() where topic = 'left'`;
    assert.deepEqual({ ...reported }, { figure: 1, item: because });
    const reactions = await sql`select message_id, user_id from crm.reactions order by user_id, message_id`;
    assert.deepEqual(
      reactions.map((row) => [row.message_id, row.user_id]),
      [[1, 7], [3, 7], [3, 8], [1, 9]],
      "all of the left one's references are left too",
    );

    await sql`delete from crm.reactions where message_id = 3 and user_id = 7`;
    await makeUnique(sql);
    assert.deepEqual((await messages(sql)).filter(([, id]) => id === "A"), [[1, "A"]]);
    assert.deepEqual(await left(sql), []);
  },
);

databaseTest(
  "of two duplicates whose references exclude each other one is removed and one is left",
  async ({ sql }) => {
    await crmWithDuplicates(sql);
    await sql`insert into crm.reactions (message_id, user_id) values (3, 7), (8, 7)`;
    await addTarget(sql, ...COLUMN);
    await removeDuplicates(sql);
    assert.equal((await left(sql)).length, 1);
    assert.equal((await messages(sql)).filter(([, id]) => id === "A").length, 2);
    assert.equal((await sql`select from crm.reactions`).length, 2);
  },
);

databaseTest(
  "a reference that a trigger does not let go keeps its duplicate: nothing is deleted in cascade",
  async ({ sql }) => {
    await crmWithDuplicates(sql);
    await sql`insert into crm.reactions (message_id, user_id) values (3, 7)`;
    await sql.unsafe(`
    create function crm.refuse() returns trigger language plpgsql as 'begin return null; end';
    create trigger refuse before update on crm.reactions for each row execute function crm.refuse();
  `).simple();
    await addTarget(sql, ...COLUMN);
    await removeDuplicates(sql);
    assert.deepEqual(await left(sql), [[
      "3",
      "still referenced by crm.reactions, constraint reactions_message_id_fkey",
    ]]);
    assert.deepEqual([...await sql`select message_id from crm.reactions`], [{ message_id: 3 }]);
    assert.deepEqual(await archive(sql), [["6", "2"], ["8", "1"]]);
  },
);

databaseTest("a duplicate that a trigger does not let go is left, and not in the archive", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await sql.unsafe(`
    create function crm.keep() returns trigger language plpgsql as 'begin return case when old.id = 3 then null else old end; end';
    create trigger keep before delete on crm.chat_messages for each row execute function crm.keep();
  `).simple();
  await addTarget(sql, ...COLUMN);
  await removeDuplicates(sql);
  assert.deepEqual(await left(sql), [["3", "a trigger or a rule prevents that it is deleted"]]);
  assert.deepEqual(await archive(sql), [["6", "2"], ["8", "1"]]);
});

databaseTest(
  "a constraint that is checked at commit leaves its duplicate, and does not sink the batch",
  async ({ sql }) => {
    await crmWithDuplicates(sql);
    await sql.unsafe(`
    create function crm.complain() returns trigger language plpgsql as
      $$ begin if old.id = 3 then raise check_violation using message = 'not this one'; end if; return null; end $$;
    create constraint trigger complain after delete on crm.chat_messages deferrable initially deferred
      for each row execute function crm.complain();
  `).simple();
    await addTarget(sql, ...COLUMN);
    await removeDuplicates(sql);
    assert.deepEqual(await left(sql), [["3", "not this one"]]);
    assert.deepEqual(await archive(sql), [["6", "2"], ["8", "1"]]);
  },
);

databaseTest(
  "make_unique ends with a valid index that refuses an id again, and takes no ids as often as they come",
  async ({ sql }) => {
    await crmWithDuplicates(sql);
    await addTarget(sql, ...COLUMN);
    const steps = await makeUnique(sql);
    assert.deepEqual(steps, [
      "call adopt.remove_duplicates()",
      "create unique index concurrently chat_messages_wa_message_id_unique on crm.chat_messages (wa_message_id) where wa_message_id <> ''",
    ]);
    await assert.rejects(() => insertMessages(sql, [{ wa_message_id: "A" }]), { code: "23505" });
    await insertMessages(sql, [{ wa_message_id: "" }, { wa_message_id: null }, { wa_message_id: "D" }]);
    await sql`insert into crm.chat_messages (wa_message_id) values ('A') on conflict do nothing`;
  },
);

databaseTest("a second run changes nothing", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await sql`insert into crm.reactions (message_id, user_id) values (3, 7)`;
  await addTarget(sql, ...COLUMN);
  await makeUnique(sql);
  const before = await everything(sql);
  await runScript(sql, "duplicates.sql");
  await addTarget(sql, ...COLUMN);
  assert.deepEqual(await makeUnique(sql), ["call adopt.remove_duplicates()"], "no step");
  assert.deepEqual(await everything(sql), before);
});

databaseTest("a second run without an index in between changes nothing either", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await addTarget(sql, ...COLUMN);
  await removeDuplicates(sql);
  const before = await everything(sql);
  await removeDuplicates(sql);
  assert.deepEqual(await everything(sql), before);
});

databaseTest(
  "a duplicate that comes between the removal and the index makes the try fail, and the next succeeds",
  async ({ sql }) => {
    await crmWithDuplicates(sql);
    await addTarget(sql, ...COLUMN);
    await removeDuplicates(sql);
    const [row] = await sql<{ step: string }[]>`select adopt.next_step() as step`;
    assert.ok(row);
    await insertMessages(sql, [{ wa_message_id: "C" }]);
    await assert.rejects(async () => void await sql.unsafe(row.step).simple(), { code: "23505" });
    const [reported] = await sql`select detail from adopt.report() where topic = 'unique index'`;
    assert.equal(reported?.detail, "invalid");
    assert.equal((await makeUnique(sql))[1], "drop index concurrently crm.chat_messages_wa_message_id_unique");
    assert.deepEqual((await messages(sql)).filter(([, id]) => id === "C"), [[7, "C"]]);
  },
);

databaseTest("a table that has such an index of its own needs nothing", async ({ sql }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await sql`create unique index mine on crm.chat_messages (wa_message_id)`;
  await addTarget(sql, ...COLUMN);
  assert.deepEqual(await makeUnique(sql), ["call adopt.remove_duplicates()"]);
  const indexes = await sql`select from pg_catalog.pg_indexes where tablename = 'chat_messages' and schemaname = 'crm'`;
  assert.equal(indexes.length, 4);
});

databaseTest("several targets are made unique one after the other", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await sql`insert into crm.attachments (url) values ('a'), ('a')`;
  await sql`alter table crm.attachments add column id integer generated always as identity primary key`;
  await addTarget(sql, ...COLUMN);
  await addTarget(sql, "crm.attachments", "url");
  await makeUnique(sql);
  assert.equal((await sql`select from crm.attachments`).length, 1);
  assert.equal((await sql`select from adopt.report() where topic = 'unique index' and detail = 'valid'`).length, 2);
});

databaseTest("report reads only, and says beforehand what remove_duplicates then does", async ({ sql }) => {
  await crmWithDuplicates(sql);
  await sql`update crm.chat_messages set organization_id = 2 where id = 6`;
  await sql`insert into crm.reactions (message_id, user_id) values (1, 1), (3, 2), (6, 1), (7, 1)`;
  await sql`insert into crm.attachments (message_id, url) values (8, 'a')`;
  await sql`create function crm.note() returns trigger language plpgsql as 'begin return null; end'`;
  await sql`create trigger note after delete on crm.chat_messages for each row execute function crm.note()`;
  await addTarget(sql, ...COLUMN);
  const before = await everything(sql);
  const figures = await sql.begin("read only", async (tx) => [
    ...await tx<{ topic: string; item: string; figure: number; detail: string }[]>`
      select topic, item, figure, detail from adopt.report() where target = 'crm.chat_messages.wa_message_id'
    `,
  ]);
  const of = (topic: string) =>
    figures.filter((line) => line.topic === topic).map((line) => [line.item, line.figure, line.detail]);
  assert.deepEqual(of("rows"), [
    ["all", 10, null],
    ["with an id", 6, null],
    ["duplicates, to be removed", 3, "select * from adopt.duplicate_rows(1)"],
    ["firsts of them, to be kept", 2, "by created_at"],
    ["removed already", 0, "in adopt.removed_rows"],
  ]);
  assert.deepEqual(of("worst"), [["A", 3, "keeps 1, removes 3, 8"], ["B", 2, "keeps 2, removes 6"]]);
  assert.deepEqual(of("differs from the kept row").map(([item, figure]) => [item, figure]), [
    ["created_at", 3],
    ["organization_id", 1],
  ]);
  assert.deepEqual(of("references to duplicates"), [
    [
      "crm.attachments (message_id)",
      1,
      "on delete restrict; make this first, or every batch reads the whole table: create index concurrently on crm.attachments (message_id)",
    ],
    ["crm.chat_messages (reply_to)", 0, "on delete set null"],
    ["crm.reactions (message_id)", 2, "on delete cascade"],
    ["crm.stars (organization_id, message_id)", 0, "on delete cascade"],
  ]);
  assert.deepEqual(of("trigger that will fire"), [["note on crm.chat_messages", null, "when a duplicate is deleted"]]);
  assert.deepEqual(of("unique index"), [["chat_messages_wa_message_id_unique", null, "missing"]]);
  assert.deepEqual(await everything(sql), before);
  const announced = await sql`select duplicate_key, kept_key from adopt.duplicate_rows(1) order by duplicate_key`;
  await removeDuplicates(sql);
  assert.deepEqual(await archive(sql), announced.map((row) => [row.duplicate_key, row.kept_key]));
});

databaseTest("add_target refuses what cannot be made unique, and says why", async ({ sql }) => {
  await runScript(sql, "duplicates.sql");
  await createCrm(sql);
  await sql`create view crm.view as select * from crm.chat_messages`;
  await sql`create table crm.parts (id integer, day date) partition by range (day)`;
  await assert.rejects(() => addTarget(sql, "crm.view", "wa_message_id"), {
    code: "42809",
    message: /crm\.view is not an ordinary table/,
  });
  await assert.rejects(() => addTarget(sql, "crm.parts", "id"), { code: "42809" });
  await assert.rejects(() => addTarget(sql, "crm.chat_messages", "wamid"), {
    code: "42703",
    message: /has no column wamid/,
  });
  await assert.rejects(() => addTarget(sql, ...COLUMN, { scopeColumns: ["tenant"] }), { code: "42703" });
  await assert.rejects(() => addTarget(sql, ...COLUMN, { firstBy: "sent_at" }), { code: "42703" });
  await assert.rejects(() => addTarget(sql, "crm.chat_messages", "content"), {
    code: "0A000",
    message: /content is jsonb/,
  });
  await assert.rejects(() => addTarget(sql, "crm.attachments", "url"), {
    code: "42P16",
    message: /no key of one column/,
  });
  assert.equal((await sql`select from adopt.targets`).length, 0);
});
