import assert from "node:assert/strict";
import {
  asRole,
  claimOne,
  createContactCampaign,
  createMember,
  createOrganization,
  createSession,
  databaseTest,
  journal,
  phoneNumberId,
  preference,
  recipientRow,
  recordInboundMessages,
  recordReceipts,
  recordWhatsAppEvents,
  replayWebhookEvents,
  sendOne,
  type Sql,
  stats,
  statusOf,
  written,
} from "../harness/mod.ts";

const NUMBER = "+919876543210";
const USER = "US.13491208655302741918";

interface Conversation {
  readonly id: string;
  readonly organization_id: string | null;
  readonly channel: string;
  readonly session_id: string;
  readonly contact: string;
  readonly user_id: string | null;
  readonly contact_name: string | null;
  readonly last_message_at: Date;
  readonly messages: string[];
}

/** The conversations with the ids of their messages, the oldest first. */
async function conversations(sql: Sql): Promise<Conversation[]> {
  return [
    ...await sql<Conversation[]>`
      select
        c.*,
        array(select m.wa_message_id from public.chat_messages m where m.conversation_id = c.id order by m.id) as messages
      from public.conversations c
      order by c.created_at, c.id
    `,
  ];
}

/** A sender of the Cloud API that belongs to an organization of its own. */
async function sender(sql: Sql): Promise<{ organizationId: string; sessionId: string }> {
  const organizationId = await createOrganization(sql);
  return { organizationId, sessionId: await createSession(sql, organizationId, { id: phoneNumberId() }) };
}

const nothing = { stored: 0, duplicates: 0, journaled: 0, opted_out: 0, opted_in: 0 } as const;

// ---- storing ----

databaseTest(
  "a message is stored in the conversation of its contact, with all that was said of it",
  async ({ sql }) => {
    const { organizationId, sessionId } = await sender(sql);
    const message = written({ sessionId, contact: "919876543210", userId: USER }, "wamid.1", "Hello", {
      contactName: "Ana",
      contextMessageId: "wamid.0",
      timestamp: "1790000000",
      payload: { id: "wamid.1", text: { body: "Hello" }, type: "text" },
    });
    assert.deepEqual(await recordInboundMessages(sql, [message]), { ...nothing, stored: 1 });
    const [conversation, ...others] = await conversations(sql);
    assert.ok(conversation);
    assert.deepEqual(others, []);
    const { organization_id, channel, session_id, contact, user_id, contact_name, last_message_at } = conversation;
    assert.deepEqual({ organization_id, channel, session_id, contact, user_id, contact_name, last_message_at }, {
      organization_id: organizationId,
      channel: "whatsapp",
      session_id: sessionId,
      contact: NUMBER,
      user_id: USER,
      contact_name: "Ana",
      last_message_at: new Date(1_790_000_000_000),
    });
    const [stored] = await sql`
    select wa_message_id, direction, message_type, content, payload, context_message_id, occurred_at from public.chat_messages
  `;
    assert.deepEqual({ ...stored }, {
      wa_message_id: "wamid.1",
      direction: "inbound",
      message_type: "text",
      content: "Hello",
      payload: message.payload,
      context_message_id: "wamid.0",
      occurred_at: new Date(1_790_000_000_000),
    });
  },
);

databaseTest("a message that comes again is a duplicate, within its post as in a later one", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  const message = written({ sessionId, contact: "919876543210" }, "wamid.1", "Hello");
  assert.deepEqual(await recordInboundMessages(sql, [message, message, message]), {
    ...nothing,
    stored: 1,
    duplicates: 2,
  });
  assert.deepEqual(await recordInboundMessages(sql, [message]), { ...nothing, duplicates: 1 });
  const other = written({ sessionId, contact: "919876543210" }, "wamid.2", "Hello");
  assert.deepEqual(await recordInboundMessages(sql, [message, other]), { ...nothing, stored: 1, duplicates: 1 });
  assert.deepEqual((await conversations(sql)).map(({ messages }) => messages), [["wamid.1", "wamid.2"]]);
});

databaseTest("a post without messages stores nothing", async ({ sql }) => {
  assert.deepEqual(await recordInboundMessages(sql, []), nothing);
});

databaseTest("a message in other words under a known id stays as it was", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  await recordInboundMessages(sql, [written({ sessionId, contact: "919876543210" }, "wamid.1", "Hello")]);
  await recordInboundMessages(sql, [written({ sessionId, contact: "14155550123" }, "wamid.1", "Good bye")]);
  const [stored] = await sql`select content from public.chat_messages`;
  assert.equal(stored?.content, "Hello");
});

databaseTest("a contact has one conversation with each sender, however the number is written", async ({ sql }) => {
  const [one, two] = [await sender(sql), await sender(sql)];
  const spellings = ["919876543210", "+919876543210", "+91 98765 43210", "919876543210@s.whatsapp.net"];
  for (const [index, contact] of spellings.entries()) {
    await recordInboundMessages(sql, [written({ sessionId: one.sessionId, contact }, `wamid.1${index}`, "Hello")]);
  }
  await recordInboundMessages(sql, [written({ sessionId: two.sessionId, contact: NUMBER }, "wamid.2", "Hello")]);
  assert.deepEqual(
    (await conversations(sql)).map((
      { organization_id, contact, messages },
    ) => [organization_id, contact, messages.length]),
    [[one.organizationId, NUMBER, 4], [two.organizationId, NUMBER, 1]],
  );
});

databaseTest("one post holds many contacts of many senders", async ({ sql }) => {
  const [one, two] = [await sender(sql), await sender(sql)];
  const post = [one, two].flatMap(({ sessionId }, place) =>
    Array.from(
      { length: 20 },
      (_, index) => written({ sessionId, contact: `9198765000${10 + index % 10}` }, `wamid.${place}.${index}`, "Hello"),
    )
  );
  assert.deepEqual(await recordInboundMessages(sql, post.toReversed()), { ...nothing, stored: 40 });
  const stored = await conversations(sql);
  assert.equal(stored.length, 20);
  assert.ok(stored.every(({ messages }) => messages.length === 2));
});

databaseTest(
  "the name and the time of a conversation are the newest, whatever order the messages come in",
  async ({ sql }) => {
    const { sessionId } = await sender(sql);
    const say = (id: string, timestamp: number, contactName: string | null) =>
      recordInboundMessages(sql, [written({ sessionId, contact: NUMBER }, id, "Hello", { timestamp, contactName })]);
    await say("wamid.2", 1_790_000_200, "Ana");
    await say("wamid.1", 1_790_000_100, null);
    await say("wamid.1", 1_799_999_999, "Somebody");
    const [conversation] = await conversations(sql);
    assert.deepEqual(
      [conversation?.contact_name, conversation?.last_message_at],
      ["Ana", new Date(1_790_000_200_000)],
    );
    await say("wamid.3", 1_790_000_300, "Ana Maria");
    assert.equal((await conversations(sql))[0]?.contact_name, "Ana Maria");
  },
);

// ---- people who hide their number ----

databaseTest("a person is one conversation by number, then by user id, then by number", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  const posts = [
    { contact: "919876543210", userId: null },
    { contact: "919876543210", userId: USER },
    { contact: null, userId: USER },
    { contact: "919876543210", userId: null },
    { contact: "919876543210", userId: USER },
  ];
  for (const [index, who] of posts.entries()) {
    await recordInboundMessages(sql, [written({ sessionId, ...who }, `wamid.${index}`, "Hello")]);
  }
  const found = await conversations(sql);
  assert.deepEqual(found.map(({ contact, user_id, messages }) => [contact, user_id, messages.length]), [[
    NUMBER,
    USER,
    5,
  ]]);
});

databaseTest("a person who never shows a number is known by the user id", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  for (const id of ["wamid.1", "wamid.2"]) {
    await recordInboundMessages(sql, [written({ sessionId, userId: USER }, id, "Hello")]);
  }
  const found = await conversations(sql);
  assert.deepEqual(found.map(({ contact, user_id, messages }) => [contact, user_id, messages.length]), [[
    USER,
    USER,
    2,
  ]]);
});

databaseTest(
  "a person who hid the number at first is one conversation once it is shown, under the number",
  async ({ sql }) => {
    const { sessionId } = await sender(sql);
    const posts = [{ contact: null, userId: USER }, { contact: "919876543210", userId: USER }, {
      contact: "919876543210",
      userId: null,
    }];
    for (const [index, who] of posts.entries()) {
      await recordInboundMessages(sql, [written({ sessionId, ...who }, `wamid.${index}`, "Hello")]);
    }
    const found = await conversations(sql);
    assert.deepEqual(found.map(({ contact, user_id, messages }) => [contact, user_id, messages.length]), [[
      NUMBER,
      USER,
      3,
    ]]);
  },
);

databaseTest("a post in which a new person writes by number and by user id is stored whole", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  const post = [
    written({ sessionId, userId: USER }, "wamid.1", "Hello"),
    written({ sessionId, contact: "919876543210", userId: USER }, "wamid.2", "Hello"),
    written({ sessionId, contact: "919876543210" }, "wamid.3", "Hello"),
  ];
  assert.deepEqual(await recordInboundMessages(sql, post), { ...nothing, stored: 3 });
  assert.deepEqual(await recordInboundMessages(sql, post), { ...nothing, duplicates: 3 });
});

databaseTest("two people whose numbers change hands are stored, each message once", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  const post = [
    written({ sessionId, contact: "919876543210", userId: "A" }, "wamid.1", "Hello"),
    written({ sessionId, contact: "14155550123", userId: "B" }, "wamid.2", "Hello"),
    written({ sessionId, contact: "14155550123", userId: "A" }, "wamid.3", "Hello"),
    written({ sessionId, contact: "919876543210", userId: "B" }, "wamid.4", "Hello"),
  ];
  for (const message of post) assert.equal((await recordInboundMessages(sql, [message])).stored, 1);
  assert.equal((await recordInboundMessages(sql, post)).duplicates, 4);
  assert.equal((await conversations(sql)).length, 2);
});

// ---- whose sender it is ----

databaseTest(
  "what is written to a sender that nobody has is kept, and is its organization's when the sender is added",
  async ({ sql }) => {
    const sessionId = phoneNumberId();
    await recordInboundMessages(sql, [written({ sessionId, contact: NUMBER }, "wamid.1", "Hello")]);
    assert.equal((await conversations(sql))[0]?.organization_id, null);
    const organizationId = await createOrganization(sql);
    await createSession(sql, organizationId, { id: phoneNumberId() });
    assert.equal((await conversations(sql))[0]?.organization_id, null, "another sender was added");
    await createSession(sql, organizationId, { id: sessionId });
    assert.equal((await conversations(sql))[0]?.organization_id, organizationId);
    await recordInboundMessages(sql, [written({ sessionId, contact: NUMBER }, "wamid.2", "Hello again")]);
    assert.deepEqual((await conversations(sql)).map(({ messages }) => messages.length), [2]);
  },
);

databaseTest(
  "members see their organization's conversations, nobody else's, and none of a sender that nobody has",
  async ({ sql }) => {
    const own = await sender(sql);
    const foreign = await sender(sql);
    for (const [index, sessionId] of [own.sessionId, foreign.sessionId, "unknown"].entries()) {
      await recordInboundMessages(sql, [written({ sessionId, contact: NUMBER }, `wamid.${index}`, "Hello")]);
    }
    const viewer = await createMember(sql, own.organizationId, "viewer");
    const seen = await asRole(
      sql,
      "authenticated",
      viewer,
      async (api) => ({
        conversations: await api<{ session_id: string }[]>`select session_id from public.conversations`,
        messages: await api<{ wa_message_id: string }[]>`select wa_message_id from public.chat_messages`,
      }),
    );
    assert.deepEqual(seen.conversations.map(({ session_id }) => session_id), [own.sessionId]);
    assert.deepEqual(seen.messages.map(({ wa_message_id }) => wa_message_id), ["wamid.0"]);
    for (
      const statement of [
        "insert into public.chat_messages (conversation_id) select id from public.conversations",
        "update public.conversations set contact_name = 'x'",
        "delete from public.chat_messages",
        "select public.record_inbound_messages('[]')",
      ]
    ) {
      await assert.rejects(
        () => asRole(sql, "authenticated", viewer, (api) => api.unsafe(statement)),
        { code: "42501" },
        statement,
      );
    }
  },
);

databaseTest(
  "an answer to a message of an installation's sender is for the organization that sent it",
  async ({ sql }) => {
    const sessionId = phoneNumberId();
    const campaigns = [];
    for (const id of ["M1", "M2"]) {
      campaigns.push(await createContactCampaign(sql, { sessionId: null }));
      const [claimed] = await sql<{ client_message_id: string }[]>`
      select client_message_id from public.claim_recipients(p_default_senders => ${
        sql.json({ "cloud-api": sessionId })
      })
    `;
      await recordReceipts(sql, [statusOf("sent", id, { clientMessageId: claimed?.client_message_id })]);
    }
    const [first, second] = campaigns;
    await recordInboundMessages(sql, [
      written({ sessionId, contact: NUMBER }, "wamid.1", "Yes", { contextMessageId: "M1" }),
    ]);
    await recordInboundMessages(sql, [written({ sessionId, contact: "14155550123" }, "wamid.2", "Hello")]);
    assert.deepEqual(
      (await conversations(sql)).map(({ organization_id }) => organization_id),
      [first?.organizationId, second?.organizationId],
    );
  },
);

databaseTest(
  "what is written to a sender that changed hands is seen by the new organization, and not by the old",
  async ({ sql }) => {
    const before = await sender(sql);
    await recordInboundMessages(sql, [written({ sessionId: before.sessionId, contact: NUMBER }, "wamid.1", "Hello")]);
    await sql`delete from public.gateway_sessions where id = ${before.sessionId}`;
    const organizationId = await createOrganization(sql);
    await createSession(sql, organizationId, { id: before.sessionId });
    await recordInboundMessages(sql, [
      written({ sessionId: before.sessionId, contact: NUMBER }, "wamid.2", "Hello, new owner"),
    ]);
    assert.deepEqual(await seenBy(sql, before.organizationId), ["wamid.1"]);
    assert.deepEqual(await seenBy(sql, organizationId), ["wamid.2"]);
  },
);

databaseTest(
  "an answer to one organization is not seen by another that sends through the same installation's sender",
  async ({ sql }) => {
    const sessionId = phoneNumberId();
    const organizations = [];
    for (const id of ["M1", "M2"]) {
      const campaign = await createContactCampaign(sql, { sessionId: null, recipients: [NUMBER] });
      organizations.push(campaign.organizationId);
      const claimed = await claimOne(sql, { defaultSenders: { "cloud-api": sessionId } });
      await recordReceipts(sql, [statusOf("sent", id, { clientMessageId: claimed.client_message_id })]);
      await recordInboundMessages(sql, [
        written({ sessionId, contact: NUMBER }, `wamid.${id}`, "Yes", { contextMessageId: id }),
      ]);
    }
    const [one = "", two = ""] = organizations;
    assert.deepEqual(await seenBy(sql, one), ["wamid.M1"]);
    assert.deepEqual(await seenBy(sql, two), ["wamid.M2"]);
  },
);

/** The messages that a viewer of an organization sees. */
async function seenBy(sql: Sql, organizationId: string): Promise<string[]> {
  const viewer = await createMember(sql, organizationId, "viewer");
  const seen = await asRole(
    sql,
    "authenticated",
    viewer,
    async (api) => await api<{ id: string }[]>`select wa_message_id as id from public.chat_messages order by id`,
  );
  return seen.map(({ id }) => id);
}

// ---- what is no new text ----

databaseTest(
  "our own message, echoed from a phone, is stored as outbound in the contact's conversation",
  async ({ sql }) => {
    const { sessionId, organizationId } = await sender(sql);
    await recordInboundMessages(sql, [
      written({ sessionId, contact: NUMBER }, "wamid.1", "Hello"),
      written({ sessionId, contact: NUMBER }, "wamid.2", "STOP", { direction: "outbound" }),
    ]);
    const directions = await sql<
      { direction: string }[]
    >`select direction from public.chat_messages order by wa_message_id`;
    assert.deepEqual(directions.map(({ direction }) => direction), ["inbound", "outbound"]);
    assert.equal((await conversations(sql)).length, 1);
    const optOuts = await sql`select from public.opt_outs where organization_id = ${organizationId}`;
    assert.equal(optOuts.length, 0, "what we write is nobody's wish");
  },
);

databaseTest("reactions, edits and revokes are stored, and move no counter", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1")]);
  const before = { ...await recipientRow(sql, campaign.only.id), ...await stats(sql, campaign.id) };
  const { sessionId } = campaign;
  const kinds = ["reaction", "edit", "revoke", "unsupported", "order", "system"];
  const post = kinds.map((type) =>
    written({ sessionId, contact: NUMBER }, `wamid.${type}`, null, {
      type,
      contextMessageId: "M1",
      payload: { type, [type]: { message_id: "M1", emoji: "👍" } },
    })
  );
  assert.deepEqual(await recordWhatsAppEvents(sql, [], post), {
    ...nothing,
    stored: kinds.length,
    recorded: 0,
    parked: 0,
    applied: 0,
    ignored: 0,
    unmatched: 0,
  });
  const types = await sql<{ message_type: string }[]>`select message_type from public.chat_messages order by id`;
  assert.deepEqual(types.map(({ message_type }) => message_type).sort(), kinds.toSorted());
  assert.deepEqual({ ...await recipientRow(sql, campaign.only.id), ...await stats(sql, campaign.id) }, before);
});

databaseTest(
  "an inbound message under the id of one that was sent changes nothing about the sent one",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
    await sendOne(sql, "M1");
    await recordInboundMessages(sql, [
      written({ sessionId: campaign.sessionId, contact: NUMBER }, "M1", "Hello", { direction: "outbound" }),
    ]);
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "sent");
    assert.deepEqual((await recordReceipts(sql, [statusOf("read", "M1")])).recorded, 1);
  },
);

// ---- what cannot be stored ----

databaseTest("elements that are no messages are journaled beside the good ones of their post", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  const good = written({ sessionId, contact: NUMBER }, "wamid.1", "Hello");
  const odd = [
    7,
    "text",
    null,
    true,
    [],
    [good],
    {},
    { ...good, messageId: "" },
    { ...good, messageId: null },
    { ...good, contact: null, userId: null },
    { ...good, contact: " ", userId: "" },
    { ...good, event: "message_exploded" },
    { event: "malformed", reason: "no id", payload: {} },
    { ...preference({ sessionId, contact: NUMBER }, "stop", 1_790_000_000), contact: null },
    preference({ sessionId, contact: NUMBER }, "snooze", 1_790_000_000),
  ];
  assert.deepEqual(await recordInboundMessages(sql, [...odd, good]), { ...nothing, stored: 1, journaled: odd.length });
  const kept = await journal(sql);
  assert.equal(kept.length, odd.length);
  assert.deepEqual(new Set(kept.map(({ source }) => source)), new Set(["inbound"]));
  assert.deepEqual(new Set(kept.map(({ reason }) => reason)), new Set(["malformed", "unknown_event"]));
});

databaseTest("odd fields of a message are stored as they are or left out", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  const odd = [
    { timestamp: "yesterday", type: "", contactName: "  " },
    { timestamp: {}, direction: "sideways", channel: "pigeon" },
    { payload: null, contextMessageId: "" },
    { payload: ["a", 1], text: "x".repeat(200_000) },
    { text: { body: "Hello" }, contactName: ["Ana"] },
    { event: undefined, userId: 12 },
  ].map((fields, index) => written({ sessionId, contact: `14155550${100 + index}` }, `odd ${index}`, "Hello", fields));
  const good = written({ sessionId, contact: NUMBER }, "good", "Hello");
  assert.deepEqual(await recordInboundMessages(sql, [...odd, good]), { ...nothing, stored: odd.length + 1 });
});

/** Longer than an index can hold, and not to be compressed. */
const long = Array.from({ length: 300 }, () => crypto.randomUUID()).join("");
for (
  const [what, fields] of [
    ["id", { messageId: long }],
    ["contact", { contact: long }],
    ["user id", { userId: long }],
    ["sender", { sessionId: long }],
  ] as const
) {
  databaseTest(`a message whose ${what} is longer than an index can hold sinks no other`, async ({ sql }) => {
    const { sessionId } = await sender(sql);
    const good = written({ sessionId, contact: NUMBER }, "good", "Hello");
    const bad = { ...written({ sessionId, contact: "14155550123" }, "bad", "Hello"), ...fields };
    // stored, journaled or refused for the caller to narrow down: in the end the good one is stored
    await recordInboundMessages(sql, [bad, good]).catch(async (error: unknown) => {
      assert.ok(error instanceof Error && "code" in error);
      assert.equal(error.code, "54000");
      await recordInboundMessages(sql, [good]);
      // what was refused is journaled, and tried again without standing in anybody's way
      await sql`select public.journal_webhook_event('inbound', 'error', ${JSON.stringify(bad)}::text::jsonb)`;
      await sql`select public.journal_webhook_event('inbound', 'error', ${
        JSON.stringify(written({ sessionId, contact: NUMBER }, "later", "Hello"))
      }::text::jsonb)`;
      const { tried, matched } = await replayWebhookEvents(sql);
      assert.deepEqual([tried, matched], [2, 1]);
    });
    const stored = await sql`select from public.chat_messages where wa_message_id = 'good'`;
    assert.equal(stored.length, 1);
  });
}

databaseTest("anything but an array is refused with what it was", async ({ sql }) => {
  for (const [type, value] of [["object", {}], ["string", "x"], ["null", null], ["number", 7]] as const) {
    await assert.rejects(() => recordInboundMessages(sql, value), {
      code: "22023",
      message: `p_messages must be an array of messages, not ${type}`,
    });
  }
  await assert.rejects(async () => await sql`select public.record_inbound_messages(null)`, { code: "22023" });
});

databaseTest("a message stored by hand has no id, and any number of them may be", async ({ sql }) => {
  const { sessionId } = await sender(sql);
  await recordInboundMessages(sql, [written({ sessionId, contact: NUMBER }, "wamid.1", "Hello")]);
  for (const content of ["One", "Two"]) {
    await sql`
      insert into public.chat_messages (conversation_id, direction, content) select id, 'outbound', ${content} from public.conversations
    `;
  }
  assert.equal((await sql`select from public.chat_messages where wa_message_id is null`).length, 2);
  await assert.rejects(
    async () =>
      await sql`
        insert into public.chat_messages (conversation_id, wa_message_id) select id, 'wamid.1' from public.conversations
      `,
    { code: "23505" },
  );
});

// ---- statuses and messages of one post ----

databaseTest("a post with statuses and messages is recorded with the counts of both", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
  await sendOne(sql, "M1");
  const { sessionId } = campaign;
  const statuses = [statusOf("delivered", "M1"), statusOf("delivered", "M1"), statusOf("read", "M9"), { event: "odd" }];
  const messages = [
    written({ sessionId, contact: NUMBER }, "wamid.1", "STOP"),
    written({ sessionId, contact: NUMBER }, "wamid.1", "STOP"),
    { event: "odd too" },
    preference({ sessionId, contact: "14155550123" }, "stop", 1_790_000_000),
  ];
  assert.deepEqual(await recordWhatsAppEvents(sql, statuses, messages), {
    recorded: 1,
    stored: 1,
    duplicates: 2,
    parked: 1,
    journaled: 2,
    opted_out: 2,
    opted_in: 0,
    applied: 0,
    ignored: 0,
    unmatched: 0,
  });
  assert.deepEqual((await journal(sql)).map(({ source }) => source).sort(), ["inbound", "receipt"]);
});

databaseTest("a post is recorded whole or not at all", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [NUMBER] });
  await sendOne(sql, "M1");
  const status = statusOf("delivered", "M1");
  const message = written({ sessionId: campaign.sessionId, contact: NUMBER }, "wamid.1", "STOP");
  await assert.rejects(() => recordWhatsAppEvents(sql, [status], { not: "an array" }), { code: "22023" });
  await assert.rejects(() => recordWhatsAppEvents(sql, { not: "an array" }, [message]), { code: "22023" });
  // a failure in the very last step, too
  await sql.unsafe(`
    create function private.refuse() returns trigger language plpgsql as $$ begin raise exception 'the disk is full'; end $$;
    create trigger refuse before insert on public.opt_outs for each row execute function private.refuse();
  `);
  await assert.rejects(() => recordWhatsAppEvents(sql, [status, { event: "odd" }], [message]), /the disk is full/);
  for (const table of ["chat_messages", "conversations", "opt_outs", "message_receipts"]) {
    assert.equal((await sql`select from public.${sql(table)}`).length, 0, table);
  }
  assert.deepEqual(await journal(sql), []);
  assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 0);
  await sql`drop trigger refuse on public.opt_outs`;
  const again = await recordWhatsAppEvents(sql, [status], [message]);
  assert.deepEqual([again.recorded, again.stored, again.opted_out], [1, 1, 1]);
});
