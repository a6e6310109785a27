import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { connect } from "../../scripts/command/connect.ts";
import { describeError } from "../../scripts/command/describe_error.ts";
import { inTransaction } from "../../scripts/command/in_transaction.ts";
import { replayEvents, type ReplayReport } from "../../scripts/events/replay.ts";
import {
  claim,
  claimOne,
  createCampaign,
  createSession,
  databaseTest,
  journal,
  person,
  receipt,
  recipientRow,
  recordInboundMessages,
  recordReceipts,
  recordSendCallback,
  senderState,
  sentCallback,
  stats,
  type TestDatabase,
} from "../harness/mod.ts";

const COMMAND = fileURLToPath(new URL("../../scripts/events.ts", import.meta.url));
const COMMAND_TIMEOUT_MS = 30_000;
const PHONE_NUMBER_ID = "106540352242922";

/** One row of the report, without the time of the oldest. */
type Row = readonly [source: string, reason: string, tried: number, applied: number, refused: number, left: number];

async function replay(
  { url }: TestDatabase,
  options: { source?: string; dryRun?: boolean; signal?: AbortSignal } = {},
): Promise<ReplayReport> {
  return await replayEvents({ databaseUrl: url, source: null, dryRun: false, ...options });
}

async function replayed(database: TestDatabase, options?: { source?: string; dryRun?: boolean }): Promise<Row[]> {
  return rowsOf(await replay(database, options));
}

function rowsOf({ rows }: ReplayReport): Row[] {
  return rows.map(({ source, reason, tried, applied, refused, left }) =>
    [source, reason, tried, applied, refused, left] as const
  );
}

async function keep({ sql }: TestDatabase, source: string, reason: string, payload: unknown): Promise<void> {
  await sql`select public.journal_webhook_event(${source}, ${reason}, ${JSON.stringify(payload)}::text::jsonb)`;
}

async function keepMalformed(database: TestDatabase, source: string, payload: unknown): Promise<void> {
  await keep(database, source, "malformed", { event: "malformed", reason: "not read by an older version", payload });
}

async function isDone({ sql }: TestDatabase): Promise<boolean[]> {
  return (await journal(sql)).map(({ replayed_at }) => replayed_at !== null);
}

/** A campaign whose only message was claimed and, unless said otherwise, sent as M1. */
async function sentMessage({ sql }: TestDatabase, channel: "whatsapp_group" | "whatsapp" | "sms" = "whatsapp") {
  const campaign = await createCampaign(sql, { channel });
  const claimed = await claimOne(sql);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  return { campaign, claimed, row: () => recipientRow(sql, campaign.only.id) };
}

// ---- unmatched and refused ----

databaseTest("a replay of an empty journal does nothing", async (database) => {
  assert.deepEqual(await replay(database), { rows: [], refusals: [], isComplete: true });
});

databaseTest(
  "a callback that came before its message is applied by the replay after it, and once",
  async (database) => {
    const { sql } = database;
    const early = {
      event: "message_sent",
      sessionId: "wa_1",
      groupJid: "120363000000000001@g.us",
      messageId: "M1",
      error: null,
      timestamp: 1_790_000_000,
    };
    await recordSendCallback(sql, early);
    assert.deepEqual(await replayed(database), [["send_callback", "unmatched", 1, 0, 0, 1]]);
    assert.deepEqual(await isDone(database), [false]);

    const campaign = await createCampaign(sql, { recipients: [{ recipient: early.groupJid }] });
    await claimOne(sql);
    const report = await replay(database);
    assert.deepEqual(rowsOf(report), [["send_callback", "unmatched", 1, 1, 0, 0]]);
    assert.equal(report.rows[0]?.oldest, null);
    assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M1");
    assert.equal((await stats(sql, campaign.id)).sent_count, 1);
    assert.deepEqual(await isDone(database), [true]);
    assert.deepEqual(await replayed(database), []);
  },
);

databaseTest("receipts that waited too long are applied when their message is known, and once", async (database) => {
  const { sql } = database;
  await recordReceipts(sql, [
    receipt("message_delivered", "M1", person(1)),
    receipt("message_read", "M1", person(1)),
    receipt("message_delivered", "M1", null),
  ]);
  await sql`update private.message_ids set parked_at = now() - interval '8 days'`;
  await sql`select public.sweep_webhook_events()`;
  const { campaign, row } = await sentMessage(database, "whatsapp_group");
  assert.equal((await row()).delivered_count, 0);

  const [{ tried, left } = { tried: 0, left: 0 }] = (await replay(database)).rows;
  assert.ok(tried > 0);
  assert.equal(left, 0);
  for (let again = 0; again < 2; again++) {
    const { delivered_count, read_count } = await stats(sql, campaign.id);
    assert.deepEqual([delivered_count, read_count], [1, 1]);
    assert.deepEqual(await replayed(database), []);
  }
});

databaseTest("an anonymous receipt is counted once when two replays meet it at the same time", async (database) => {
  const { sql } = database;
  const { row } = await sentMessage(database, "whatsapp_group");
  for (let number = 1; number <= 5; number++) {
    await keep(database, "receipt", "unmatched", { ...receipt("message_delivered", "M1", null), number });
  }
  const reports = await Promise.all([1, 2, 3].map(() => replay(database)));
  assert.equal((await row()).delivered_count, 5);
  assert.equal(reports.flatMap(rowsOf).reduce((sum, [, , , applied]) => sum + applied, 0), 5);
  assert.equal((await journal(sql)).length, 5);
});

databaseTest("an event that the database refused is named and left, and applied once it is fine", async (database) => {
  const { sql } = database;
  const { row } = await sentMessage(database, "whatsapp_group");
  await sql`alter table public.message_receipts add constraint nobody_reads check (read_at is null)`;
  await keep(database, "receipt", "error", receipt("message_read", "M1", person(1)));
  await keep(database, "receipt", "unmatched", receipt("message_delivered", "M1", person(2)));

  const report = await replay(database);
  assert.deepEqual(rowsOf(report), [["receipt", "error", 1, 0, 1, 1], ["receipt", "unmatched", 1, 1, 0, 0]]);
  const [first] = await sql<{ id: number }[]>`select min(id) as id from private.webhook_events`;
  assert.deepEqual(report.refusals, [{ id: `${first?.id}`, sqlState: "23514" }]);
  assert.equal((await row()).delivered_count, 1);

  await sql`alter table public.message_receipts drop constraint nobody_reads`;
  assert.deepEqual(await replayed(database), [["receipt", "error", 1, 1, 0, 0]]);
  const { delivered_count, read_count } = await row();
  assert.deepEqual([delivered_count, read_count], [2, 1]);
});

databaseTest("an event that the database stumbles over does not stop those around it", async (database) => {
  const { row } = await sentMessage(database, "whatsapp_group");
  const endless = Array.from({ length: 400 }, () => crypto.randomUUID()).join("");
  for (const reader of [person(1), endless, person(2)]) {
    await keep(database, "receipt", "error", receipt("message_delivered", "M1", reader));
  }
  await keepMalformed(database, "receipt", receipt("message_delivered", "M1", person(3)));
  const report = await replay(database);
  assert.deepEqual(rowsOf(report), [["receipt", "error", 3, 2, 1, 1], ["receipt", "malformed", 1, 1, 0, 0]]);
  assert.deepEqual(report.refusals.map(({ sqlState }) => sqlState), ["54000"]);
  assert.equal((await row()).delivered_count, 3);
});

databaseTest(
  "a bundle of events that were refused together is taken apart; what is refused again stays alone",
  async (database) => {
    const { sql } = database;
    const { row } = await sentMessage(database, "whatsapp_group");
    await sql`alter table public.message_receipts add constraint nobody_reads check (read_at is null)`;
    const events = [
      receipt("message_delivered", "M1", person(1)),
      receipt("message_read", "M1", person(2)),
      receipt("message_delivered", "M1", person(3)),
    ];
    await keep(database, "receipt", "error", { event: "refused", events });

    assert.deepEqual(await replayed(database), [["receipt", "error", 2, 1, 1, 1]]);
    assert.equal((await row()).delivered_count, 2);
    assert.deepEqual(await isDone(database), [true, false]);

    await sql`alter table public.message_receipts drop constraint nobody_reads`;
    assert.deepEqual(await replayed(database), [["receipt", "error", 1, 1, 0, 0]]);
    assert.equal((await row()).delivered_count, 3);
  },
);

// ---- read once more ----

databaseTest("a callback that an older version could not read is applied", async (database) => {
  const { sql } = database;
  const campaign = await createCampaign(sql);
  await keepMalformed(database, "send_callback", sentCallback(await claimOne(sql), "M1"));
  assert.deepEqual(await replayed(database), [["send_callback", "malformed", 1, 1, 0, 0]]);
  assert.equal((await recipientRow(sql, campaign.only.id)).message_id, "M1");
  assert.deepEqual(await replayed(database), []);
});

databaseTest("a callback that can be read but whose message is unknown stays as it is", async (database) => {
  await keepMalformed(database, "send_callback", { event: "message_sent", messageId: "M9" });
  for (let again = 0; again < 2; again++) {
    assert.deepEqual(await replayed(database), [["send_callback", "malformed", 1, 0, 0, 1]]);
    const [event, ...more] = await journal(database.sql);
    assert.deepEqual([event?.seen_count, event?.replayed_at, more.length], [1, null, 0]);
  }
});

databaseTest("a receipt that can be read now waits for its message like any other", async (database) => {
  await keepMalformed(database, "receipt", receipt("message_read", "M1", person(1)));
  assert.deepEqual(await replayed(database), [["receipt", "malformed", 1, 1, 0, 0]]);
  const { campaign } = await sentMessage(database, "whatsapp_group");
  assert.equal((await stats(database.sql, campaign.id)).read_count, 1);
});

databaseTest("statuses of Meta's whose kind was unknown are applied", async (database) => {
  const { row } = await sentMessage(database);
  const status = { id: "M1", status: "delivered", timestamp: "1790000100", recipient_id: "919870000001" };
  await keep(database, "receipt", "unknown_event", { event: "meta status", sessionId: PHONE_NUMBER_ID, value: status });
  await keep(database, "receipt", "unknown_event", {
    event: "meta messages",
    entry: "1",
    time: 1_790_000_100,
    value: { metadata: { phone_number_id: PHONE_NUMBER_ID }, statuses: [{ ...status, status: "read" }] },
  });
  assert.deepEqual(await replayed(database), [["receipt", "unknown_event", 2, 2, 0, 0]]);
  const { delivered_count, read_count } = await row();
  assert.deepEqual([delivered_count, read_count], [1, 1]);
});

databaseTest("a post of Meta's that could not be read is recorded with all it holds", async (database) => {
  const { sql } = database;
  const { campaign, row } = await sentMessage(database);
  await createSession(sql, campaign.organizationId, { id: PHONE_NUMBER_ID });
  await keepMalformed(database, "receipt", {
    object: "whatsapp_business_account",
    entry: [{
      id: "1",
      changes: [{
        field: "messages",
        value: {
          messaging_product: "whatsapp",
          metadata: { display_phone_number: "15550001111", phone_number_id: PHONE_NUMBER_ID },
          contacts: [{ wa_id: "919870000001", profile: { name: "Asha" } }],
          statuses: [{ id: "M1", status: "delivered", timestamp: "1790000100" }],
          messages: [{ id: "I1", from: "919870000001", timestamp: "1790000200", type: "text", text: { body: "STOP" } }],
        },
      }],
    }],
  });
  assert.deepEqual(await replayed(database), [["receipt", "malformed", 1, 1, 0, 0]]);
  assert.equal((await row()).delivered_count, 1);
  const messages = await sql`
    select m.wa_message_id, m.content, c.contact, c.contact_name
    from public.chat_messages m join public.conversations c on c.id = m.conversation_id
  `;
  assert.deepEqual([...messages], [{
    wa_message_id: "I1",
    content: "STOP",
    contact: "+919870000001",
    contact_name: "Asha",
  }]);
  assert.equal((await sql`select 1 from public.opt_outs`).length, 1);
  assert.deepEqual(await replayed(database), []);
});

databaseTest(
  "a message of Meta's that could not be read joins the conversation that was kept with it",
  async (database) => {
    const { sql } = database;
    const { organizationId } = await createCampaign(sql);
    await createSession(sql, organizationId, { id: PHONE_NUMBER_ID });
    await keepMalformed(database, "inbound", {
      metadata: { phone_number_id: PHONE_NUMBER_ID },
      messages: [{ id: "I1", from: "919870000001", timestamp: "1790000200", type: "text", text: { body: "Hello" } }],
    });
    assert.deepEqual(await replayed(database), [["inbound", "malformed", 1, 1, 0, 0]]);
    const conversations = await sql`select organization_id, session_id, contact from public.conversations`;
    assert.deepEqual([...conversations], [{
      organization_id: organizationId,
      session_id: PHONE_NUMBER_ID,
      contact: "+919870000001",
    }]);
    assert.deepEqual(await replayed(database), []);
  },
);

databaseTest("a message of Meta's without the number it was sent to is left alone", async (database) => {
  await keepMalformed(database, "inbound", { id: "I1", from: "919870000001", type: "text", text: { body: "Hello" } });
  assert.deepEqual(await replayed(database), [["inbound", "malformed", 1, 0, 0, 1]]);
  assert.equal((await database.sql`select 1 from public.chat_messages`).length, 0);
});

databaseTest("forms of Twilio's are read once more: a status and a message", async (database) => {
  const { sql } = database;
  const { campaign, row } = await sentMessage(database, "sms");
  await keep(database, "sms_delivery", "unknown_event", {
    event: "twilio status",
    clientMessageId: null,
    payload: { MessageSid: "M1", SmsSid: "M1", MessageStatus: "delivered", To: "+919870000001", AccountSid: "AC1" },
  });
  await keepMalformed(database, "inbound", {
    MessageSid: "SM2",
    SmsStatus: "received",
    From: "+919870000001",
    To: campaign.sessionId,
    Body: "STOP",
    AccountSid: "AC1",
  });
  assert.deepEqual(await replayed(database), [
    ["inbound", "malformed", 1, 1, 0, 0],
    ["sms_delivery", "unknown_event", 1, 1, 0, 0],
  ]);
  assert.equal((await row()).delivered_count, 1);
  assert.equal((await sql`select 1 from public.opt_outs where channel = 'sms'`).length, 1);
});

databaseTest("a preference that nobody had a sender for is applied when somebody has", async (database) => {
  const { sql } = database;
  await recordInboundMessages(sql, [{
    event: "preference_changed",
    channel: "whatsapp",
    sessionId: PHONE_NUMBER_ID,
    contact: "919870000001",
    userId: null,
    value: "stop",
    timestamp: 1_790_000_000,
  }]);
  assert.deepEqual(await replayed(database), [["inbound", "unmatched", 1, 0, 0, 1]]);
  const { organizationId } = await createCampaign(sql);
  await createSession(sql, organizationId, { id: PHONE_NUMBER_ID });
  assert.deepEqual(await replayed(database), [["inbound", "unmatched", 1, 1, 0, 0]]);
  assert.equal((await sql`select 1 from public.opt_outs where organization_id = ${organizationId}`).length, 1);
});

databaseTest("what is still unknown, malformed or in conflict is counted and left untouched", async (database) => {
  const { sql } = database;
  const kept: [source: string, reason: string, payload: unknown][] = [
    ["receipt", "unknown_event", { event: "message_reaction", messageId: "M1" }],
    ["receipt", "unknown_event", { event: "message_read (fromMe: false)", messageId: "M1", reader: person(1) }],
    ["receipt", "unknown_event", {
      event: "meta account_update",
      entry: "1",
      time: 1,
      value: { event: "PARTNER_ADDED" },
    }],
    ["receipt", "malformed", { event: "malformed", reason: "malformed JSON", payload: "{" }],
    ["sms_delivery", "malformed", { event: "malformed", reason: "status: must be a text", payload: 7 }],
    ["inbound", "malformed", { event: "malformed", reason: "id: is missing", payload: null }],
    ["send_callback", "message_id_conflict", { messageId: "M1" }],
  ];
  for (const [source, reason, payload] of kept) await keep(database, source, reason, payload);
  const before = await journal(sql);
  const report = await replay(database);
  assert.deepEqual(rowsOf(report), [
    ["inbound", "malformed", 1, 0, 0, 1],
    ["receipt", "malformed", 1, 0, 0, 1],
    ["receipt", "unknown_event", 3, 0, 0, 3],
    ["send_callback", "message_id_conflict", 0, 0, 0, 1],
    ["sms_delivery", "malformed", 1, 0, 0, 1],
  ]);
  assert.ok(report.rows.every(({ oldest }) => oldest !== null));
  assert.deepEqual(await journal(sql), before);
});

// ---- how it is run ----

databaseTest("a dry run says what would be applied, and changes nothing", async (database) => {
  const { sql } = database;
  const { row } = await sentMessage(database, "whatsapp_group");
  await keep(database, "receipt", "unmatched", receipt("message_delivered", "M1", person(1)));
  await keepMalformed(database, "receipt", receipt("message_read", "M1", person(2)));
  const before = [await journal(sql), await row()];
  const expected: Row[] = [["receipt", "malformed", 1, 1, 0, 0], ["receipt", "unmatched", 1, 1, 0, 0]];
  assert.deepEqual(await replayed(database, { dryRun: true }), expected);
  assert.deepEqual([await journal(sql), await row()], before);
  assert.deepEqual(await replayed(database), expected);
});

databaseTest("a replay of one source leaves the others alone, wherever they stand in between", async (database) => {
  const { sql } = database;
  const { campaign, row } = await sentMessage(database, "sms");
  for (let number = 1; number <= 4; number++) {
    await keep(database, "receipt", "unmatched", { ...receipt("message_delivered", "M1", "recipient"), number });
    await keep(database, "sms_delivery", "unmatched", { ...receipt("message_delivered", "M1", "sms"), number });
  }
  assert.deepEqual(await replayed(database, { source: "sms_delivery" }), [["sms_delivery", "unmatched", 4, 4, 0, 0]]);
  assert.deepEqual(await isDone(database), [false, true, false, true, false, true, false, true]);
  assert.equal((await row()).delivered_count, 1);
  const readers = await sql`select reader from public.message_receipts`;
  assert.deepEqual([...readers], [{ reader: "sms" }]);
  assert.equal((await stats(sql, campaign.id)).delivered_count, 1);
});

databaseTest("a replay of several pages that was interrupted goes on where it is run again", async (database) => {
  const { sql } = database;
  const count = 350;
  const campaign = await createCampaign(sql, { recipients: count });
  for (let claimed = 0; claimed < count;) {
    const claims = await claim(sql, { limit: 50 });
    claimed += claims.length;
    await recordSendCallback(sql, claims.map((each) => sentCallback(each, `M-${each.recipient_id}`)));
  }
  await sql`
    insert into private.webhook_events (source, reason, payload)
    select 'receipt', 'unmatched', jsonb_build_object('event', 'message_delivered', 'messageId', r.message_id, 'reader', 'r')
    from public.notification_campaign_recipients r
    where r.campaign_id = ${campaign.id}
  `;
  const interruption = new AbortController();
  const { rows: [first], isComplete } = await replayEvents({
    databaseUrl: database.url,
    source: null,
    dryRun: false,
    signal: interruption.signal,
    onProgress: ({ tried, of }) => {
      assert.equal(of, count);
      if (tried === 1) interruption.abort();
    },
  });
  assert.equal(isComplete, false);
  assert.ok(first !== undefined && first.applied > 0 && first.applied < count);
  assert.equal((await stats(sql, campaign.id)).delivered_count, first.applied);

  assert.deepEqual(await replayed(database), [[
    "receipt",
    "unmatched",
    count - first.applied,
    count - first.applied,
    0,
    0,
  ]]);
  assert.equal((await stats(sql, campaign.id)).delivered_count, count);
});

databaseTest("what waited for an event further on in the journal is applied in the same replay", async (database) => {
  const { sql } = database;
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  await keep(database, "receipt", "unmatched", receipt("message_delivered", "M1", person(1)));
  await keepMalformed(database, "send_callback", sentCallback(claimed, "M1"));
  assert.deepEqual(await replayed(database), [
    ["receipt", "unmatched", 1, 1, 0, 0],
    ["send_callback", "malformed", 1, 1, 0, 0],
  ]);
  assert.equal((await stats(sql, campaign.id)).delivered_count, 1);
});

databaseTest("a replay that lost a race tries again, and gives up on any other error", async ({ url }) => {
  const sql = connect(url);
  async function triesUntilDone(sqlState: string, failures: number): Promise<number> {
    let tries = 0;
    await inTransaction(sql, async (transaction) => {
      if (++tries <= failures) {
        await transaction.unsafe(
          `do $$ begin raise exception 'to +919870000001' using errcode = '${sqlState}'; end $$`,
        );
      }
      return { keep: true, value: undefined };
    });
    return tries;
  }
  try {
    assert.equal(await triesUntilDone("40P01", 2), 3);
    assert.equal(await triesUntilDone("40001", 1), 2);
    await assert.rejects(triesUntilDone("40P01", 100), { code: "40P01" });
    const error: unknown = await triesUntilDone("P0001", 1).catch((thrown: unknown) => thrown);
    assert.equal(describeError(error), "SQLSTATE P0001");
  } finally {
    await sql.end({ timeout: 1 });
  }
});

// ---- the command ----

const jsonSchema = z.object({
  dryRun: z.boolean(),
  isComplete: z.boolean(),
  tried: z.number(),
  applied: z.number(),
  refused: z.number(),
  left: z.number(),
  rows: z.array(z.record(z.string(), z.unknown())),
  refusals: z.array(z.object({ id: z.string(), sqlState: z.string().nullable() })),
});

async function run(...args: string[]): Promise<{ code: number; output: string; errors: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-lock", COMMAND, "replay", ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS),
  }).output();
  return { code, output: new TextDecoder().decode(stdout), errors: new TextDecoder().decode(stderr) };
}

databaseTest(
  "events:replay ends with 0, and with 1 when an event was refused, and never shows what events say",
  async (database) => {
    const { sql } = database;
    await sentMessage(database, "whatsapp_group");
    await sql`alter table public.message_receipts add constraint nobody_plays check (session_id <> '919870000001')`;
    await keep(
      database,
      "receipt",
      "error",
      receipt("message_delivered", "M1", person(1), { sessionId: "919870000001" }),
    );
    await keepMalformed(database, "receipt", { messageId: "secret words" });

    const refused = await run("--database-url", database.url, "--json");
    assert.equal(refused.code, 1, refused.errors);
    const report = jsonSchema.parse(JSON.parse(refused.output));
    assert.deepEqual(report.refusals.map(({ sqlState }) => sqlState), ["23514"]);
    const { tried, applied, refused: refusedCount, left } = report;
    assert.deepEqual([tried, applied, refusedCount, left], [2, 0, 1, 2]);

    const table = await run("--database-url", database.url);
    assert.equal(table.code, 1);
    for (const { output, errors } of [refused, table]) {
      for (const said of ["91987", "secret words", "M1"]) assert.ok(!`${output}${errors}`.includes(said), output);
    }

    await sql`alter table public.message_receipts drop constraint nobody_plays`;
    const dry = await run("--database-url", database.url, "--json", "--dry-run", "--source", "receipt");
    assert.deepEqual([dry.code, jsonSchema.parse(JSON.parse(dry.output)).applied], [0, 1]);
    const fine = await run("--database-url", database.url);
    assert.equal(fine.code, 0, fine.errors);
    assert.match(fine.output, /receipt\W+error\W+1\W+1\W+0\W+0/);
  },
);

databaseTest("events:replay says where it could not replay, and knows no other source", async () => {
  const away = await run("--database-url", "postgresql://postgres:a-password@127.0.0.1:1/postgres");
  assert.equal(away.code, 1);
  assert.match(away.errors, /127\.0\.0\.1:1/);
  assert.ok(!away.errors.includes("a-password"));
  const unknown = await run("--source", "elsewhere");
  assert.equal(unknown.code, 1);
  assert.match(unknown.errors, /elsewhere/);
});

databaseTest(
  "what was said of a sender before anybody knew what it means stops it at the replay, once",
  async (database) => {
    const { sql } = database;
    const campaign = await createCampaign(sql);
    await sql`update public.gateway_sessions set account_id = '102' where id = ${campaign.sessionId}`;
    const value = { event: "ACCOUNT_RESTRICTION", restriction_info: [] };
    await keep(database, "receipt", "unknown_event", {
      event: "meta account_update",
      entry: "102",
      time: 1_790_000_000,
      value,
    });
    await keep(database, "send_callback", "unknown_event", { event: "session_restored", sessionId: "wa_nobody" });
    assert.deepEqual(await replayed(database), [
      ["receipt", "unknown_event", 1, 1, 0, 0],
      ["send_callback", "unknown_event", 1, 0, 0, 1],
    ]);
    assert.equal((await senderState(sql, campaign.sessionId)).status, "restricted");
    await sql`update public.gateway_sessions set status = 'active' where id = ${campaign.sessionId}`;
    await replayed(database);
    assert.equal((await senderState(sql, campaign.sessionId)).status, "active");
  },
);
