import assert from "node:assert/strict";
import {
  claim,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  receipt,
  recipientRow,
  recordReceipts,
  type Sql,
  stats,
} from "../harness/mod.ts";
import { kill, moveChatMessages, moveSendQueue, runScript } from "./adopt.ts";

/** A row of a CRM's send queue. */
interface LegacySend {
  readonly campaign_id: string;
  readonly phone: string | null;
  readonly status: string | null;
  readonly whatsapp_message_id?: string | null;
  readonly actual_sent_at?: string | null;
  readonly delivered_at?: string | null;
  readonly read_at?: string | null;
  readonly error_message?: string | null;
}

/** A row of a CRM's messages, with its conversation. */
interface LegacyMessage {
  readonly session_id?: string | null;
  readonly contact?: string | null;
  readonly contact_name?: string | null;
  readonly direction?: string;
  readonly wa_message_id?: string | null;
  readonly content?: string;
  readonly created_at?: string;
  readonly organization_id?: string | null;
  readonly channel?: string;
}

async function createLegacyQueue(sql: Sql, rows: readonly LegacySend[]): Promise<void> {
  await runScript(sql, "moving.sql");
  await sql.unsafe(`
    create schema legacy;
    create table legacy.send_queue (
      id bigint generated always as identity primary key,
      campaign_id text,
      phone text,
      status text,
      whatsapp_message_id text,
      actual_sent_at timestamptz,
      delivered_at timestamptz,
      read_at timestamptz,
      error_message text,
      created_at timestamptz not null default '2026-01-01'
    )
  `).simple();
  for (const row of rows) await sql`insert into legacy.send_queue ${sql({ ...row })}`;
}

async function createLegacyMessages(sql: Sql, rows: readonly LegacyMessage[]): Promise<void> {
  await runScript(sql, "moving.sql");
  await sql.unsafe(`
    create schema legacy;
    create table legacy.messages (
      id uuid primary key default gen_random_uuid(),
      organization_id text,
      channel text,
      session_id text,
      contact text,
      contact_name text,
      direction text,
      wa_message_id text,
      content text,
      created_at timestamptz not null
    )
  `).simple();
  for (const [number, row] of rows.entries()) {
    const defaults = {
      session_id: "wa_1",
      contact: "919870000001",
      direction: "in",
      created_at: new Date(Date.UTC(2026, 0, 1, 0, number)).toISOString(),
    };
    await sql`insert into legacy.messages ${sql({ ...defaults, ...row })}`;
  }
}

async function unmoved(sql: Sql): Promise<[id: string, problem: string][]> {
  const rows = await sql<{ legacy_id: string; problem: string }[]>`select * from adopt.unmoved_rows order by legacy_id`;
  return rows.map((row) => [row.legacy_id, row.problem]);
}

async function recipientsOf(sql: Sql, campaignId: string) {
  return [
    ...await sql`
      select recipient, status, skip_reason, message_id, sent_at, error_message, delivered_count, read_count
      from public.notification_campaign_recipients where campaign_id = ${campaignId} order by recipient
    `,
  ];
}

/** What moving must not change when it is done again. */
async function moved(sql: Sql): Promise<unknown[]> {
  const all: unknown[] = [];
  for (
    const table of [
      "public.notification_campaigns",
      "public.notification_campaign_recipients",
      "public.send_attempts",
      "public.conversations",
      "public.chat_messages",
      "adopt.moved_rows",
    ]
  ) {
    all.push([...await sql.unsafe(`select xmin::text as written_by, t.* from ${table} t order by t::text`)]);
  }
  return all;
}

databaseTest("a send queue keeps status, message id, time and what is known of delivery", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
  const row = (n: number, status: string, more: Partial<LegacySend> = {}) => (
    { campaign_id: campaign.id, phone: `+91987000000${n}`, status, ...more }
  );
  await createLegacyQueue(sql, [
    row(1, "sent", { whatsapp_message_id: "wamid.1", actual_sent_at: "2026-02-01T10:00:00Z" }),
    row(2, "read", { whatsapp_message_id: "wamid.2", actual_sent_at: "2026-02-01T11:00:00Z" }),
    row(3, "processing", { whatsapp_message_id: "wamid.3", delivered_at: "2026-02-02" }),
    row(4, "failed", { error_message: "not on WhatsApp" }),
    row(5, "processing"),
    row(6, "ready"),
    row(7, "cancelled"),
    row(8, "Sent "),
  ]);
  await moveSendQueue(sql, "legacy.send_queue");
  const nothing = {
    skip_reason: null,
    message_id: null,
    sent_at: null,
    error_message: null,
    delivered_count: 0,
    read_count: 0,
  };
  const at = (text: string) => new Date(text);
  assert.deepEqual(await recipientsOf(sql, campaign.id), [
    {
      ...nothing,
      recipient: "+919870000001",
      status: "sent",
      message_id: "wamid.1",
      sent_at: at("2026-02-01T10:00:00Z"),
    },
    {
      ...nothing,
      recipient: "+919870000002",
      status: "sent",
      message_id: "wamid.2",
      sent_at: at("2026-02-01T11:00:00Z"),
      delivered_count: 1,
      read_count: 1,
    },
    {
      ...nothing,
      recipient: "+919870000003",
      status: "sent",
      message_id: "wamid.3",
      sent_at: at("2026-01-01T00:00:00Z"),
      delivered_count: 1,
    },
    { ...nothing, recipient: "+919870000004", status: "failed", error_message: "not on WhatsApp" },
    { ...nothing, recipient: "+919870000005", status: "unconfirmed" },
    { ...nothing, recipient: "+919870000006", status: "pending" },
    { ...nothing, recipient: "+919870000007", status: "skipped", skip_reason: "cancelled" },
    { ...nothing, recipient: "+919870000008", status: "sent", sent_at: at("2026-01-01T00:00:00Z") },
  ]);
  assert.deepEqual(await unmoved(sql), []);
  const { total_count, sent_count, pending_count, delivered_count } = await stats(sql, campaign.id);
  assert.deepEqual([total_count, sent_count, pending_count, delivered_count], [8, 4, 1, 2]);
});

databaseTest("a contact that was queued several times is one recipient, and gets nothing again", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
  const row = (status: string, phone: string, more: Partial<LegacySend> = {}) => ({
    campaign_id: campaign.id,
    phone,
    status,
    ...more,
  });
  await createLegacyQueue(sql, [
    row("ready", "919870000001"),
    row("sent", "+91 98700-00001", { whatsapp_message_id: "wamid.b", actual_sent_at: "2026-02-02" }),
    row("failed", "919870000001", {
      whatsapp_message_id: "wamid.a",
      actual_sent_at: "2026-02-01",
      error_message: "later",
    }),
    row("ready", "+919870000002"),
    row("failed", "919870000002", { error_message: "no" }),
  ]);
  await moveSendQueue(sql, "legacy.send_queue");
  const [first, second] = await sql<{ id: string; address: string }[]>`
    select id, address from public.notification_campaign_recipients order by address
  `;
  assert.ok(first !== undefined && second !== undefined);
  const recipient = await recipientRow(sql, first.id);
  assert.deepEqual([recipient.status, recipient.message_id, recipient.attempt_count, recipient.error_message], [
    "sent",
    "wamid.a",
    2,
    null,
  ]);
  assert.equal((await recipientRow(sql, second.id)).status, "failed");
  const [seen] = await sql`select message_ids, send_count from public.duplicate_sends`;
  assert.deepEqual({ ...seen }, { message_ids: ["wamid.a", "wamid.b"], send_count: 2 });
  const rows = await sql`select legacy_id, new_id from adopt.moved_rows order by legacy_id::integer`;
  assert.deepEqual(rows.map((one) => [one.legacy_id, one.new_id]), [
    ["1", first.id],
    ["2", first.id],
    ["3", first.id],
    ["4", second.id],
    ["5", second.id],
  ]);
  await recordReceipts(sql, [receipt("message_read", "wamid.b", "recipient")]);
  assert.equal((await recipientRow(sql, first.id)).read_count, 1, "a receipt of the second message");
  await sql`update public.notification_campaigns set status = 'processing' where id = ${campaign.id}`;
  assert.deepEqual(await claim(sql), []);
});

for (const status of ["completed", "cancelled", "failed"] as const) {
  databaseTest(`nothing of a campaign that is ${status} is sent because it was moved`, async ({ sql }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp", status, recipients: 0 });
    await createLegacyQueue(
      sql,
      ["ready", "processing", "sent"].map((said, n) => ({
        campaign_id: campaign.id,
        phone: `+91987000000${n}`,
        status: said,
      })),
    );
    await moveSendQueue(sql, "legacy.send_queue");
    const rows = await recipientsOf(sql, campaign.id);
    assert.deepEqual(rows.map((row) => [row.status, row.skip_reason]), [
      ["skipped", "open_when_moved"],
      ["skipped", "open_when_moved"],
      ["sent", null],
    ]);
    const [row] = await sql`select status from public.notification_campaigns`;
    assert.equal(row?.status, status);
    assert.deepEqual(await claim(sql), []);
  });
}

databaseTest("rows that cannot be moved stay, with the reason", async ({ sql }) => {
  const paused = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
  const running = await createCampaign(sql, { channel: "whatsapp", status: "processing", recipients: 0 });
  const groups = await createCampaign(sql, { status: "paused", recipients: 0 });
  await sql`insert into public.notification_campaign_recipients (campaign_id, recipient) values (${paused.id}, '919870000009')`;
  const phone = "+919870000001";
  await createLegacyQueue(sql, [
    { campaign_id: crypto.randomUUID(), phone, status: "sent" },
    { campaign_id: "17", phone, status: "sent" },
    { campaign_id: running.id, phone, status: "ready" },
    { campaign_id: groups.id, phone, status: "sent" },
    { campaign_id: paused.id, phone: " ", status: "sent" },
    { campaign_id: paused.id, phone: null, status: "sent" },
    { campaign_id: paused.id, phone, status: "hm" },
    { campaign_id: paused.id, phone: "+919870000009", status: "sent" },
    { campaign_id: paused.id, phone: "+919870000002", status: "sent" },
  ]);
  await moveSendQueue(sql, "legacy.send_queue");
  assert.deepEqual(await unmoved(sql), [
    ["1", "its campaign is not in notification_campaigns"],
    ["2", "its campaign is not in notification_campaigns"],
    ["3", "its campaign is running: pause it and call again"],
    ["4", "its campaign is one to groups"],
    ["5", "it has no phone"],
    ["6", "it has no phone"],
    ["7", "its status hm is unknown"],
    ["8", "the campaign has this contact already"],
  ]);
  assert.equal((await sql`select from adopt.moved_rows`).length, 1);
});

databaseTest(
  "a message id goes to one recipient: the first that has it, and none that Truetick knows",
  async ({ sql }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
    await sql`
    insert into public.notification_campaign_recipients (campaign_id, recipient, status, message_id)
    values (${campaign.id}, '+919870000009', 'sent', 'wamid.known')
  `;
    const row = (n: number, id: string, day: number) => (
      {
        campaign_id: campaign.id,
        phone: `+91987000000${n}`,
        status: "sent",
        whatsapp_message_id: id,
        actual_sent_at: `2026-02-0${day}`,
      }
    );
    await createLegacyQueue(sql, [row(1, "wamid.1", 2), row(2, "wamid.1", 1), row(3, "wamid.known", 1), row(4, "", 1)]);
    await moveSendQueue(sql, "legacy.send_queue");
    const rows = await recipientsOf(sql, campaign.id);
    assert.deepEqual(rows.map((one) => [one.recipient.slice(-1), one.status, one.message_id]), [
      ["1", "sent", null],
      ["2", "sent", "wamid.1"],
      ["3", "sent", null],
      ["4", "sent", null],
      ["9", "sent", "wamid.known"],
    ]);
  },
);

databaseTest("receipts that came before a send queue was moved find their recipients", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "completed", recipients: 0 });
  await recordReceipts(sql, [receipt("message_read", "wamid.1", "recipient")]);
  await createLegacyQueue(sql, [
    { campaign_id: campaign.id, phone: "+919870000001", status: "sent", whatsapp_message_id: "wamid.1" },
  ]);
  await moveSendQueue(sql, "legacy.send_queue");
  assert.equal((await stats(sql, campaign.id)).read_count, 1);
});

databaseTest(
  "messages go into conversations by sender and contact, in the order in which they were written",
  async ({ sql }) => {
    const organizationId = await createOrganization(sql);
    await createSession(sql, organizationId, { id: "wa_1" });
    await createLegacyMessages(sql, [
      { contact: "919870000001", wa_message_id: "b", content: "second", created_at: "2026-01-02T00:00:00Z" },
      {
        contact: "+91 98700 00001",
        wa_message_id: "a",
        content: "first",
        created_at: "2026-01-01T00:00:00Z",
        contact_name: "Asha",
      },
      {
        contact: "919870000001@s.whatsapp.net",
        direction: "outgoing",
        content: "typed in",
        created_at: "2026-01-03T00:00:00Z",
      },
      { contact: "919870000002", wa_message_id: "c", content: "another", organization_id: organizationId },
      { session_id: "wa_unknown", wa_message_id: "d", content: "nobody's sender" },
      {
        session_id: "wa_2",
        wa_message_id: "e",
        channel: "sms",
        content: "a sender without a session",
        organization_id: organizationId,
      },
    ]);
    await moveChatMessages(sql, "legacy.messages");
    const conversations = await sql`
    select session_id, contact, contact_name, organization_id, channel, last_message_at from public.conversations order by session_id, contact
  `;
    assert.deepEqual(
      conversations.map((row) => [row.session_id, row.contact, row.contact_name, row.organization_id, row.channel]),
      [
        ["wa_1", "+919870000001", "Asha", organizationId, "whatsapp"],
        ["wa_1", "+919870000002", null, organizationId, "whatsapp"],
        ["wa_2", "+919870000001", null, organizationId, "sms"],
        ["wa_unknown", "+919870000001", null, null, "whatsapp"],
      ],
    );
    assert.equal(conversations[0]?.last_message_at.toISOString(), "2026-01-03T00:00:00.000Z");
    const messages = await sql`
    select m.content, m.direction, m.wa_message_id, m.message_type
    from public.chat_messages m
    join public.conversations c on c.id = m.conversation_id
    where c.session_id = 'wa_1' and c.contact = '+919870000001'
    order by m.id
  `;
    assert.deepEqual([...messages], [
      { content: "first", direction: "inbound", wa_message_id: "a", message_type: "text" },
      { content: "second", direction: "inbound", wa_message_id: "b", message_type: "text" },
      { content: "typed in", direction: "outbound", wa_message_id: null, message_type: "text" },
    ]);
    assert.deepEqual(await unmoved(sql), []);
    assert.equal((await sql`select from adopt.moved_rows`).length, 6);
  },
);

databaseTest(
  "a message that is there already, or twice in the CRM, is stored once and every row of it has its place",
  async ({ sql }) => {
    const posted = {
      event: "message_received",
      messageId: "a",
      channel: "whatsapp",
      sessionId: "wa_1",
      contact: "919870000001",
      text: "new",
    };
    await sql`select public.record_inbound_messages(${JSON.stringify([posted])}::text::jsonb)`;
    await createLegacyMessages(sql, [
      { wa_message_id: "a", content: "old" },
      { wa_message_id: "b", content: "first" },
      { wa_message_id: "b", content: "again" },
      { wa_message_id: "", content: "no id" },
      { wa_message_id: null, content: "no id" },
    ]);
    await moveChatMessages(sql, "legacy.messages");
    const messages = await sql`select wa_message_id, content from public.chat_messages order by id`;
    assert.deepEqual(messages.map((row) => [row.wa_message_id, row.content]), [["a", "new"], ["b", "first"], [
      null,
      "no id",
    ], [null, "no id"]]);
    const places = await sql`
    select count(*) as rows, count(distinct m.new_id) as messages from adopt.moved_rows m join public.chat_messages c on c.id = m.new_id::bigint
  `;
    assert.deepEqual({ ...places[0] }, { rows: 5, messages: 4 });
  },
);

databaseTest("messages that cannot be moved stay, with the reason", async ({ sql }) => {
  await createLegacyMessages(sql, [
    { session_id: " " },
    { contact: null },
    { direction: "sideways" },
    { organization_id: crypto.randomUUID() },
  ]);
  await moveChatMessages(sql, "legacy.messages");
  assert.deepEqual((await unmoved(sql)).map(([, problem]) => problem).sort(), [
    "it has no contact",
    "it has no session_id",
    "its direction sideways is unknown",
    "its organization is not in organizations",
  ]);
  assert.equal((await sql`select from public.conversations`).length, 0);
});

databaseTest("a word that means stop opts nobody out when it is moved", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  await createSession(sql, organizationId, { id: "wa_1" });
  await createLegacyMessages(sql, [{ wa_message_id: "a", content: "STOP" }]);
  await moveChatMessages(sql, "legacy.messages");
  assert.equal((await sql`select from public.opt_outs`).length, 0);
});

databaseTest("moving again changes nothing, and brings what is new", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
  await createLegacyQueue(sql, [
    { campaign_id: campaign.id, phone: "+919870000001", status: "sent", whatsapp_message_id: "wamid.1" },
    { campaign_id: campaign.id, phone: "+919870000001", status: "sent", whatsapp_message_id: "wamid.2" },
    { campaign_id: campaign.id, phone: "+919870000002", status: "ready" },
  ]);
  await sql`
    create table legacy.messages as
    select gen_random_uuid() as id, 'wa_1' as session_id, '919870000001' as contact, 'in' as direction, i as wa_message_id, 'text' as content,
      timestamptz '2026-01-01' as created_at
    from unnest(array['a', null, null]) i
  `;
  const moveAll = async () => {
    await moveSendQueue(sql, "legacy.send_queue");
    await moveChatMessages(sql, "legacy.messages");
  };
  await moveAll();
  const before = await moved(sql);
  await moveAll();
  assert.deepEqual(await moved(sql), before);
  await sql`insert into legacy.send_queue (campaign_id, phone, status) values (${campaign.id}, '+919870000003', 'ready')`;
  await sql`insert into legacy.messages values (gen_random_uuid(), 'wa_1', '919870000001', 'in', 'z', 'later', '2026-03-01')`;
  await moveAll();
  assert.equal((await recipientsOf(sql, campaign.id)).length, 3);
  const [conversation] = await sql`select last_message_at from public.conversations`;
  assert.equal(conversation?.last_message_at.toISOString(), "2026-03-01T00:00:00.000Z");
  assert.equal((await sql`select from public.chat_messages`).length, 4);
});

databaseTest(
  "moving that is killed half-way is taken up again, and nothing is there twice",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
    await createLegacyQueue(sql, []);
    await sql`
    insert into legacy.send_queue (campaign_id, phone, status, whatsapp_message_id)
    select ${campaign.id}, '+9198700' || 10000 + n % 100, 'sent', 'wamid.' || n from generate_series(1, 120) n
  `;
    const [holder, mover] = [await session("holder"), await session("mover")];
    // the 55th contact is just being added by somebody else
    await holder.begin();
    await holder
      .sql`insert into public.notification_campaign_recipients (campaign_id, recipient) values (${campaign.id}, '+919870010055')`;
    const moving = await mover.blocked((own) => moveSendQueue(own, "legacy.send_queue", 10));
    await kill(sql, mover);
    await assert.rejects(() => moving.done);
    await holder.rollback();
    const halfWay = await recipientsOf(sql, campaign.id);
    assert.equal(halfWay.length, 50, "the chunks before");

    await moveSendQueue(sql, "legacy.send_queue", 10);
    const rows = await recipientsOf(sql, campaign.id);
    assert.equal(rows.length, 100);
    assert.ok(rows.every((row) => row.status === "sent" && row.message_id !== null));
    assert.equal((await sql`select from adopt.moved_rows`).length, 120);
    assert.equal((await sql`select from public.duplicate_sends`).length, 20);
  },
);

databaseTest("what moving reads does not grow with what was moved", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
  await createLegacyQueue(sql, []);
  await sql`
    insert into legacy.send_queue (campaign_id, phone, status)
    select ${campaign.id}, '+9198700' || 10000 + n, case when n % 9 = 0 then 'skipped' else 'sent' end from generate_series(1, 3000) n
  `;
  // one session, whose plans were made when the tables were empty
  const mover = await session("mover");
  for (const most of [20, 4]) {
    await moveSendQueue(mover.sql, "legacy.send_queue", 100);
    await mover.sql`select pg_stat_force_next_flush()`;
    const [read] = await sql<{ rows: number }[]>`
      select idx_tup_fetch + seq_tup_read as rows
      from pg_catalog.pg_stat_user_tables where relname = 'notification_campaign_recipients'
    `;
    assert.ok(read !== undefined && read.rows < most * 3_000, `${read?.rows} rows read`);
    await sql`select pg_stat_reset()`;
  }
  assert.equal((await recipientsOf(sql, campaign.id)).length, 3_000);
});

databaseTest("a relation without the columns is refused by name, and a view gives them", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "paused", recipients: 0 });
  await runScript(sql, "moving.sql");
  await sql.unsafe(`
    create schema legacy;
    create table legacy.queue (nr integer primary key, campaign uuid, mobile text, state text, wamid text);
    insert into legacy.queue values (1, '${campaign.id}', '+919870000001', 'S', 'wamid.1');
  `).simple();
  await assert.rejects(() => moveSendQueue(sql, "legacy.queue"), {
    code: "42703",
    message: /legacy\.queue has no column id, campaign_id, phone, status, whatsapp_message_id/,
  });
  await sql`
    create view legacy.queue_to_move as
    select nr as id, campaign as campaign_id, mobile as phone, case state when 'S' then 'sent' end as status, wamid as whatsapp_message_id
    from legacy.queue
  `;
  await moveSendQueue(sql, "legacy.queue_to_move");
  assert.equal((await recipientsOf(sql, campaign.id))[0]?.message_id, "wamid.1");
});
