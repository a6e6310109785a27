import assert from "node:assert/strict";
import {
  atOnce,
  claim,
  createContactCampaign,
  createOrganization,
  createSession,
  databaseTest,
  optedOut,
  phone,
  phoneNumberId,
  preference,
  recordInboundMessages,
  recordReceipts,
  recordWhatsAppEvents,
  sendOne,
  shuffled,
  type Sql,
  stats,
  statusOf,
  written,
} from "../harness/mod.ts";

const NUMBER = "+919876543210";
const USER = "US.13491208655302741918";
const ROUNDS = 30;

async function sender(sql: Sql): Promise<{ organizationId: string; sessionId: string }> {
  const organizationId = await createOrganization(sql);
  return { organizationId, sessionId: await createSession(sql, organizationId, { id: phoneNumberId() }) };
}

async function count(sql: Sql, table: "conversations" | "chat_messages" | "opt_outs"): Promise<number> {
  const [row] = await sql<{ count: number }[]>`select count(*) as count from public.${sql(table)}`;
  return row?.count ?? 0;
}

databaseTest(
  "fifty copies of one inbound message from fifty connections are one row and 49 duplicates",
  async ({ sql, pool }) => {
    const { sessionId } = await sender(sql);
    const fifty = pool(50);
    const connections = await Promise.all(Array.from({ length: 50 }, () => fifty.reserve()));
    for (const [round, text] of ["Hello", "STOP"].entries()) {
      const message = written({ sessionId, contact: NUMBER, userId: USER }, `wamid.${round}`, text);
      const answers = await atOnce(connections.map((own) => () => recordInboundMessages(own, [message])));
      const sum = (name: "stored" | "duplicates" | "journaled" | "opted_out") =>
        answers.reduce((total, answer) => total + answer[name], 0);
      assert.deepEqual([sum("stored"), sum("duplicates"), sum("journaled")], [1, 49, 0]);
      assert.equal(sum("opted_out"), round);
      assert.equal(await count(sql, "chat_messages"), round + 1);
      assert.equal(await count(sql, "conversations"), 1);
      assert.equal(await count(sql, "opt_outs"), round);
    }
    for (const own of connections) own.release();
  },
);

databaseTest("a copy of a message that is not committed yet waits and is a duplicate", async ({ sql, session }) => {
  const { sessionId } = await sender(sql);
  const message = written({ sessionId, contact: NUMBER }, "wamid.1", "Hello");
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  assert.equal((await recordInboundMessages(a.sql, [message])).stored, 1);
  const copy = await b.blocked((own) => recordInboundMessages(own, [message]));
  await a.commit();
  assert.deepEqual(await copy.done, { stored: 0, duplicates: 1, journaled: 0, opted_out: 0, opted_in: 0 });
  assert.equal(await count(sql, "conversations"), 1);
});

databaseTest("a copy of a message that is rolled back is stored", async ({ sql, session }) => {
  const { organizationId, sessionId } = await sender(sql);
  const message = written({ sessionId, contact: NUMBER }, "wamid.1", "STOP");
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  await recordInboundMessages(a.sql, [message]);
  const copy = await b.blocked((own) => recordInboundMessages(own, [message]));
  await a.rollback();
  assert.deepEqual(await copy.done, { stored: 1, duplicates: 0, journaled: 0, opted_out: 1, opted_in: 0 });
  assert.deepEqual(await optedOut(sql, organizationId), [NUMBER]);
});

databaseTest("two messages of one new contact at the same moment are one conversation", async ({ sql, pool }) => {
  const work = pool(6);
  const { sessionId } = await sender(sql);
  for (let round = 0; round < ROUNDS; round++) {
    const contact = phone();
    const answers = await atOnce(
      shuffled(Array.from({ length: 4 }, (_, index) => () =>
        recordInboundMessages(work, [
          written({ sessionId, contact, userId: `US.${round}` }, `wamid.${round}.${index}`, "Hello"),
        ]))),
    );
    assert.deepEqual(answers.map(({ stored }) => stored), [1, 1, 1, 1], `round ${round}`);
    const stored = await sql`
      select from public.chat_messages m join public.conversations c on c.id = m.conversation_id where c.contact = ${contact}
    `;
    assert.equal(stored.length, 4);
  }
  assert.equal(await count(sql, "conversations"), ROUNDS);
});

databaseTest(
  "one new person by number, by user id and by both at the same moment loses no message",
  async ({ sql, pool }) => {
    const work = pool(6);
    const { sessionId } = await sender(sql);
    for (let round = 0; round < ROUNDS; round++) {
      const [contact, userId] = [phone(), `US.${round}`];
      const posts = [{ contact }, { userId }, { contact, userId }].map((who, index) =>
        written({ sessionId, ...who }, `wamid.${round}.${index}`, "Hello")
      );
      const answers = await atOnce(
        shuffled([...posts, ...posts]).map((post) => () => recordInboundMessages(work, [post])),
      );
      assert.equal(answers.reduce((sum, { stored }) => sum + stored, 0), 3, `round ${round}`);
      assert.equal(answers.reduce((sum, { duplicates }) => sum + duplicates, 0), 3, `round ${round}`);
      const after = await recordInboundMessages(sql, [
        written({ sessionId, contact, userId }, `wamid.${round}.after`, "Hello"),
      ]);
      assert.equal(after.stored, 1);
    }
    assert.equal(await count(sql, "chat_messages"), ROUNDS * 4);
  },
);

databaseTest(
  "overlapping posts of many contacts from eight sessions deadlock never, and store each message once",
  async ({ sql, pool }) => {
    const work = pool(8);
    const { sessionId } = await sender(sql);
    const other = await sender(sql);
    const numbers = Array.from({ length: 200 }, phone);
    const all = numbers.flatMap((contact, person) => [
      written({ sessionId, contact, userId: `US.${person}` }, `wamid.a${person}`, "Hello"),
      written({ sessionId, userId: `US.${person}` }, `wamid.b${person}`, "STOP", { timestamp: 1_790_000_000 + person }),
      written({ sessionId: other.sessionId, contact }, `wamid.c${person}`, "START", {
        contactName: `Person ${person}`,
      }),
      preference({ sessionId: other.sessionId, contact }, person % 2 === 0 ? "stop" : "resume", 1_790_000_010),
    ]);
    const answers = await atOnce(Array.from({ length: 8 }, () => async () => {
      let stored = 0;
      for (let posts = 0; posts < 30; posts++) {
        stored += (await recordInboundMessages(work, shuffled(all).slice(0, 40))).stored;
      }
      return stored;
    }));
    const last = await recordInboundMessages(sql, all);
    assert.equal(answers.reduce((sum, stored) => sum + stored, last.stored), 600);
    assert.equal(await count(sql, "chat_messages"), 600);
    assert.equal((await optedOut(sql, other.organizationId)).length, 100);
  },
);

databaseTest(
  "a stop and the start that followed it at the same moment end as the start says, and the other way round",
  async ({ sql, pool }) => {
    const work = pool(4);
    const { organizationId, sessionId } = await sender(sql);
    for (let round = 0; round < ROUNDS; round++) {
      const contact = phone();
      const last = round % 2 === 0 ? "START" : "STOP";
      const first = last === "START" ? "STOP" : "START";
      const posts = [first, last].map((text, index) =>
        written({ sessionId, contact }, `wamid.${round}.${index}`, text, { timestamp: 1_790_000_000 + index })
      );
      await atOnce(shuffled([...posts, ...posts]).map((post) => () => recordInboundMessages(work, [post])));
      assert.equal((await optedOut(sql, organizationId)).includes(contact), last === "STOP", `round ${round}`);
    }
  },
);

databaseTest(
  "a stop and claims of many messages at the same moment: what is claimed after it is nobody who said stop",
  async ({ sql, pool }) => {
    const work = pool(6);
    const { organizationId, sessionId } = await sender(sql);
    const numbers = Array.from({ length: 60 }, phone);
    const campaign = await createContactCampaign(sql, { organizationId, sessionId, recipients: numbers });
    const stops = numbers.map((contact, index) => written({ sessionId, contact }, `wamid.${index}`, "STOP"));
    await atOnce<unknown>(shuffled([
      ...Array.from({ length: 4 }, () => () => claim(work, { limit: 5 })),
      ...[0, 20, 40].map((from) => () => recordInboundMessages(work, stops.slice(from, from + 20))),
    ]));
    assert.deepEqual(await claim(sql), []);
    const { processing_count, skipped_count } = await stats(sql, campaign.id);
    assert.equal(processing_count + skipped_count, 60);
    assert.ok(processing_count <= 20);
  },
);

databaseTest(
  "what is written while its sender is being added is the organization's, with the next message at the latest",
  async ({ sql, session }) => {
    const sessionId = phoneNumberId();
    const organizationId = await createOrganization(sql);
    const a = await session("writes");
    await a.begin();
    await recordInboundMessages(a.sql, [written({ sessionId, contact: NUMBER }, "wamid.1", "Hello")]);
    await createSession(sql, organizationId, { id: sessionId });
    await a.commit();
    await recordInboundMessages(sql, [written({ sessionId, contact: NUMBER }, "wamid.2", "Hello again")]);
    const found = await sql<{ organization_id: string | null }[]>`select organization_id from public.conversations`;
    assert.deepEqual(found.map(({ organization_id }) => organization_id), [organizationId]);
  },
);

databaseTest(
  "posts of Meta's that hold statuses and messages do not deadlock with one another",
  async ({ sql, pool }) => {
    const work = pool(6);
    const { organizationId, sessionId } = await sender(sql);
    const numbers = Array.from({ length: 12 }, phone);
    for (const [index, number] of numbers.entries()) {
      await createContactCampaign(sql, { organizationId, sessionId, recipients: [number] });
      await sendOne(sql, `M${index}`);
    }
    const statuses = numbers.map((_, index) => statusOf("failed", `M${index}`, { errorCode: "131050" }));
    const stops = numbers.map((contact, index) => written({ sessionId, contact }, `wamid.${index}`, "STOP"));
    await atOnce<unknown>(Array.from({ length: 6 }, () => async () => {
      for (let posts = 0; posts < 8; posts++) {
        const [from, to] = [Math.floor(Math.random() * 6), 6 + Math.floor(Math.random() * 6)];
        await recordWhatsAppEvents(work, shuffled(statuses).slice(from, to), shuffled(stops).slice(from, to));
      }
    }));
    await recordReceipts(sql, statuses);
    await recordInboundMessages(sql, stops);
    assert.deepEqual(await optedOut(sql, organizationId), numbers.toSorted());
    assert.equal(await count(sql, "opt_outs"), 12);
  },
);

databaseTest(
  "a post whose connection dies before it is committed leaves nothing, and counts once when it comes again",
  async ({ sql, session }) => {
    const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
    await sendOne(sql, "M1");
    const statuses = [statusOf("read", "M1", { cost: 0.05, currency: "EUR" }), statusOf("delivered", "M2")];
    const messages = [written({ sessionId: campaign.sessionId, contact: NUMBER, userId: USER }, "wamid.1", "STOP")];
    const a = await session("dies");
    await a.begin();
    await recordWhatsAppEvents(a.sql, statuses, messages);
    await sql`select pg_terminate_backend(${a.pid}, 5000)`;
    const counts = {
      recorded: 1,
      stored: 1,
      duplicates: 0,
      parked: 1,
      journaled: 0,
      opted_out: 1,
      opted_in: 0,
      applied: 0,
      ignored: 0,
      unmatched: 0,
    };
    assert.deepEqual(await recordWhatsAppEvents(sql, statuses, messages), counts);
    const { read_count, cost } = await stats(sql, campaign.id);
    assert.deepEqual({ read_count, cost }, { read_count: 1, cost: 0.05 });
  },
);
