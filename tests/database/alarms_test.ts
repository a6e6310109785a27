import assert from "node:assert/strict";
import {
  ageAlarms,
  ageCampaigns,
  ageSends,
  alarmRows,
  asRole,
  checkAlarms,
  type CheckOptions,
  claim,
  claimOne,
  createCampaign,
  createContactCampaign,
  createOrganization,
  createSession,
  databaseTest,
  type HandedOut,
  recordAlarmsPosted,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  sentCallback,
  snapshotOf,
  type Sql,
  statusOf,
} from "../harness/mod.ts";

/** A way to get an alarm, and to get rid of it. */
interface Trouble {
  readonly cause: string;
  /** Where one cause has several ways. */
  readonly way?: string;
  readonly options?: CheckOptions;
  /** Makes it and answers what it is about, and how it is mended. */
  raise(sql: Sql): Promise<{ readonly subject: string; readonly mend: () => Promise<unknown> }>;
  readonly message: RegExp;
}

const troubles: readonly Trouble[] = [
  {
    cause: "counter_discrepancies",
    async raise(sql) {
      const { id } = await createCampaign(sql);
      await sql`
        insert into public.counter_discrepancies (campaign_id, counter, stored, actual)
        values (${id}, 'sent_count', 5, 0), (${id}, 'read_count', 1, 0)
      `;
      return { subject: "", mend: () => sql`update public.counter_discrepancies set repaired_at = now()` };
    },
    message: /: 2, .*counters:repair/,
  },
  {
    cause: "sender_stopped",
    async raise(sql) {
      const session = await createSession(sql, await createOrganization(sql));
      await stop(sql, session, "sender_restricted, code 131048: spam to +4915112345678");
      return {
        subject: session,
        mend: () => sql`update public.gateway_sessions set status = 'active' where id = ${session}`,
      };
    },
    // whoever the message was for stays cut
    message: /stopped automatically and is restricted: sender_restricted, code 131048: spam to \+49…78\. Mend/,
  },
  {
    cause: "sender_stopped",
    way: "a default sender that is held",
    async raise(sql) {
      await sql`insert into private.held_senders (session_id, reason) values ('100200300', 'auth, code 190: expired')`;
      return { subject: "100200300", mend: () => sql`delete from private.held_senders` };
    },
    message: /default sender 100200300 is held back: auth, code 190: expired/,
  },
  {
    cause: "sender_deaf",
    async raise(sql) {
      const { sessionId } = await createCampaign(sql);
      const claimed = await claimOne(sql);
      await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "accepted" }]);
      await ageSends(sql, sessionId, "20 minutes");
      return { subject: sessionId, mend: () => recordSendCallback(sql, sentCallback(claimed, "M1")) };
    },
    message: /has been sending for 20 minutes without anything being heard back/,
  },
  {
    cause: "no_sender",
    async raise(sql) {
      const { organizationId } = await createCampaign(sql, { sessionId: null });
      return {
        subject: `${organizationId} whatsapp_group`,
        mend: () => createSession(sql, organizationId, { channel: "whatsapp_group" }),
      };
    },
    message: /has no sender for its running whatsapp_group campaigns: 1\./,
  },
  {
    cause: "no_sender",
    way: "a gateway that is not ready",
    options: { gateways: ["sms"] },
    async raise(sql) {
      const { id } = await createCampaign(sql);
      return {
        subject: "vps",
        mend: () => sql`update public.notification_campaigns set status = 'paused' where id = ${id}`,
      };
    },
    message: /The gateway vps is not ready.*: 1\./,
  },
  {
    cause: "stalled",
    async raise(sql) {
      await createCampaign(sql);
      await ageCampaigns(sql, "40 minutes");
      return { subject: "", mend: () => claimOne(sql) };
    },
    message: /Nothing has been claimed for 40 minutes.*campaigns: 1\./,
  },
  {
    cause: "refused_events",
    async raise(sql) {
      await sql`select public.journal_webhook_event('receipt', 'error', ${sql.json({ event: "x" })})`;
      return { subject: "", mend: () => sql`update private.webhook_events set replayed_at = now()` };
    },
    message: /refused: 1, .*events:replay/,
  },
  {
    cause: "unmatched_signals",
    async raise(sql) {
      const signal = { event: "sender_restricted", accountId: "102", cause: "restriction" };
      await sql`select public.journal_webhook_event('signal', 'unmatched', ${sql.json(signal)})`;
      return { subject: "", mend: () => sql`update private.webhook_events set replayed_at = now()` };
    },
    message: /nobody knows: 1, .*account_id.*events:replay/,
  },
  {
    cause: "parked_receipts",
    async raise(sql) {
      await sql`
        insert into private.message_ids (message_id, parked_at)
        select 'P' || i, now() - interval '61 minutes' from generate_series(1, 10000) i
      `;
      return { subject: "", mend: () => sql`delete from private.message_ids where message_id = 'P1'` };
    },
    message: /10,000 messages or more have waited/,
  },
  {
    cause: "unconfirmed",
    async raise(sql) {
      const { only } = await createCampaign(sql);
      await sql`update public.notification_campaign_recipients set status = 'unconfirmed' where id = ${only.id}`;
      return {
        subject: "",
        mend: () => sql`update public.notification_campaign_recipients set status = 'sent' where id = ${only.id}`,
      };
    },
    message: /: 1\. .*confirm_recipient/,
  },
  {
    cause: "audit_overdue",
    async raise(sql) {
      await createCampaign(sql);
      await claimOne(sql);
      await setLastAudit(sql, "27 hours");
      return { subject: "", mend: () => setLastAudit(sql, "1 minute") };
    },
    message: /last audited 27 hours ago/,
  },
];

for (const { cause, way, raise, options = {}, message } of troubles) {
  databaseTest(
    `alarm ${cause}${way === undefined ? "" : ` (${way})`} opens once, is refreshed, and recovers once`,
    async ({ sql }) => {
      assert.deepEqual(await checkAlarms(sql, options), []);
      assert.deepEqual(await alarmRows(sql), []);
      const { subject, mend } = await raise(sql);
      const opened = await opening(sql, options);
      assert.deepEqual(opened.map(named), [["opened", cause, subject]]);
      assert.match(opened[0]?.message ?? "", message);

      // still there: neither a second alarm nor a second post
      assert.equal(await recordAlarmsPosted(sql, opened), 1);
      await ageAlarms(sql, "1 hour");
      const [before] = await alarmRows(sql);
      assert.deepEqual(await checkAlarms(sql, options), []);
      const [refreshed, ...others] = await alarmRows(sql);
      assert.deepEqual(others, []);
      assert.ok(before !== undefined && refreshed !== undefined && refreshed.last_seen_at > before.last_seen_at);

      // gone, but perhaps not for long
      await mend();
      assert.deepEqual(await checkAlarms(sql, options), []);
      assert.equal((await alarmRows(sql))[0]?.resolved_at, null);
      await ageAlarms(sql, "61 seconds");
      const resolved = await checkAlarms(sql, options);
      assert.deepEqual(resolved.map(named), [["resolved", cause, subject]]);
      assert.ok(resolved[0]?.resolved_at instanceof Date);
      assert.equal(await recordAlarmsPosted(sql, resolved), 1);
      await ageAlarms(sql, "1 hour");
      assert.deepEqual(await checkAlarms(sql, options), []);
      assert.equal((await alarmRows(sql)).length, 1);
    },
    // a recount may mend what was noted by hand, or find what was set by hand
    { leavesDiscrepancies: true },
  );
}

databaseTest("an alarm that comes back after it recovered is another one", async ({ sql }) => {
  const session = await createSession(sql, await createOrganization(sql));
  for (let round = 1; round <= 2; round++) {
    await stop(sql, session, "again");
    await recordAlarmsPosted(sql, await checkAlarms(sql));
    await sql`update public.gateway_sessions set status = 'active' where id = ${session}`;
    const resolved = await checkAlarms(sql, { settle: "0" });
    assert.deepEqual(resolved.map(named), [["resolved", "sender_stopped", session]]);
    await recordAlarmsPosted(sql, resolved);
    assert.equal((await alarmRows(sql)).length, round);
  }
});

databaseTest("an alarm that comes and goes within a minute is one", async ({ sql }) => {
  const session = await createSession(sql, await createOrganization(sql));
  await stop(sql, session, "flapping");
  await recordAlarmsPosted(sql, await checkAlarms(sql));
  for (let round = 0; round < 3; round++) {
    await sql`update public.gateway_sessions set status = 'active' where id = ${session}`;
    assert.deepEqual(await checkAlarms(sql), []);
    await ageAlarms(sql, "50 seconds");
    await stop(sql, session, "flapping");
    assert.deepEqual(await checkAlarms(sql), []);
    await ageAlarms(sql, "50 seconds");
  }
  assert.equal((await alarmRows(sql)).length, 1);
});

databaseTest("what could pass by itself is an alarm only when it lasts", async ({ sql }) => {
  const { organizationId } = await createCampaign(sql, { sessionId: null });
  assert.deepEqual(await checkAlarms(sql), []);
  assert.deepEqual((await alarmRows(sql)).map(({ opened_at }) => opened_at), [null]);
  assert.deepEqual((await snapshotOf(sql)).alarms, []);
  await createSession(sql, organizationId, { channel: "whatsapp_group" });
  assert.deepEqual(await checkAlarms(sql), []);
  assert.deepEqual(await alarmRows(sql), []);
});

// -- what is no alarm ---------------------------------------------------------------------------------------------------

databaseTest("a sender that a person pauses is no alarm, nor are the messages that wait for it", async ({ sql }) => {
  const { sessionId } = await createCampaign(sql);
  await sql`
    update public.gateway_sessions set status = 'paused', status_reason = 'a person' where id = ${sessionId}
  `;
  await ageCampaigns(sql, "2 days");
  assert.deepEqual(await opening(sql), []);
  assert.equal((await snapshotOf(sql)).campaigns_with_due.sender_paused, 1);
});

databaseTest("messages of a sender that was stopped automatically are one alarm, the sender's", async ({ sql }) => {
  const { sessionId } = await createCampaign(sql);
  await stop(sql, sessionId, "restricted");
  await ageCampaigns(sql, "2 days");
  assert.deepEqual((await opening(sql)).map(named), [["opened", "sender_stopped", sessionId]]);
});

databaseTest(
  "messages that wait for the morning, for their pace, for a hold or for tomorrow are no alarm",
  async ({ sql }) => {
    const waits: Record<string, (campaign: { organizationId: string; sessionId: string }) => Promise<unknown>> = {
      quiet: ({ organizationId }) =>
        sql`
        update public.organizations
        set quiet_from = (timezone('UTC', now()) - interval '1 hour')::time, quiet_until = (timezone('UTC', now()) + interval '1 hour')::time
        where id = ${organizationId}
      `,
      paced: ({ sessionId }) =>
        sql`update private.session_states set next_send_at = now() + interval '1 minute' where session_id = ${sessionId}`,
      "paced, by a hold": ({ sessionId }) =>
        sql`
        update private.session_states set hold_expires_at = now() + interval '1 hour' where session_id = ${sessionId}
      `,
      "paced, by a full day": ({ sessionId }) =>
        sql`update public.gateway_sessions set daily_limit = 2 where id = ${sessionId}`,
      sending: ({ sessionId }) =>
        sql`update private.session_states set last_claimed_at = now() where session_id = ${sessionId}`,
    };
    for (const [state, make] of Object.entries(waits)) {
      const campaign = await createCampaign(sql, { recipients: 3 });
      const claims = await claim(sql, { limit: 2 });
      await recordSendCallback(sql, claims.map((claimed) => sentCallback(claimed, claimed.client_message_id)));
      await ageSends(sql, campaign.sessionId, "3 hours");
      await ageCampaigns(sql, "4 hours");
      await make(campaign);
      assert.deepEqual(await opening(sql), [], state);
      assert.equal((await snapshotOf(sql)).campaigns_with_due[state.split(",")[0] ?? ""], 1, state);
      await sql`update public.notification_campaigns set status = 'paused' where id = ${campaign.id}`;
    }
  },
);

databaseTest("messages that cannot wait for the morning are an alarm when nobody sends them", async ({ sql }) => {
  const { organizationId, id } = await createCampaign(sql);
  await sql`update public.organizations set quiet_from = '00:00', quiet_until = '23:59:59' where id = ${organizationId}`;
  await sql`update public.notification_campaigns set ignores_quiet_hours = true where id = ${id}`;
  await ageCampaigns(sql, "1 hour");
  assert.deepEqual((await opening(sql)).map(named), [["opened", "stalled", ""]]);
});

databaseTest("messages that have just become due, or could just be sent, are not stalled", async ({ sql }) => {
  const { id, sessionId } = await createCampaign(sql);
  await ageCampaigns(sql, "1 hour");
  // resumed; and a sender that may send again
  await sql`update public.notification_campaigns set status = 'paused' where id = ${id}`;
  await sql`update public.notification_campaigns set status = 'processing' where id = ${id}`;
  assert.deepEqual(await opening(sql), []);
  await ageCampaigns(sql, "1 hour");
  await sql`update public.gateway_sessions set status = 'paused' where id = ${sessionId}`;
  await sql`update public.gateway_sessions set status = 'active' where id = ${sessionId}`;
  assert.deepEqual(await opening(sql), []);
});

databaseTest("campaigns go through the default sender of the installation where there is one", async ({ sql }) => {
  await createContactCampaign(sql, { sessionId: null });
  const defaultSenders = { "cloud-api": "100200300" };
  assert.deepEqual(await opening(sql, { defaultSenders, gateways: ["cloud-api"] }), []);
  await sql`insert into private.held_senders (session_id, reason) values ('100200300', 'auth')`;
  const opened = await opening(sql, { defaultSenders, gateways: ["cloud-api"] });
  assert.deepEqual(opened.map(named), [["opened", "sender_stopped", "100200300"]]);
  const without = await opening(sql, { gateways: ["cloud-api"] });
  assert.deepEqual(without.map(({ cause }) => cause), ["no_sender"]);
});

// -- deafness -----------------------------------------------------------------------------------------------------------

databaseTest("a sender that sent nothing, or whose messages no gateway took, is not deaf", async ({ sql }) => {
  const { sessionId } = await createCampaign(sql, { recipients: 3, onTransientError: "retry" });
  assert.equal((await sender(sql, sessionId)).deaf_since, null);
  const [rejected, deferred] = await claim(sql, { limit: 2 });
  await recordSendResults(sql, [
    { clientMessageId: rejected?.client_message_id ?? "", outcome: "failed", errorMessage: "not a participant" },
    { clientMessageId: deferred?.client_message_id ?? "", outcome: "deferred", errorCode: "connection_refused" },
  ]);
  await ageSends(sql, sessionId, "1 hour");
  assert.equal((await sender(sql, sessionId)).deaf_since, null);
});

databaseTest(
  "a sender is deaf since the first message taken after it was last heard, and no longer when it is heard",
  async ({ sql }) => {
    const { sessionId } = await createCampaign(sql, { recipients: 4 });
    const first = await claimOne(sql, { limit: 1 });
    await recordSendCallback(sql, sentCallback(first, "M1"));
    await ageSends(sql, sessionId, "1 hour");
    assert.equal((await sender(sql, sessionId)).deaf_since, null);
    for (let number = 0; number < 2; number++) {
      const { client_message_id: clientMessageId } = await claimOne(sql, { limit: 1 });
      await recordSendResults(sql, [{ clientMessageId, outcome: "accepted" }]);
      if (number === 0) await ageSends(sql, sessionId, "10 minutes");
    }
    const silent = await sender(sql, sessionId);
    assert.equal(Math.round((silent.deaf_seconds ?? 0) / 60), 10);
    assert.equal(silent.is_deaf, false);
    assert.equal((await sender(sql, sessionId, "5 minutes")).is_deaf, true);
    // any report of it will do
    await recordReceipts(sql, [{ event: "message_delivered", messageId: "M1", reader: "1@s", sessionId }]);
    assert.equal((await sender(sql, sessionId)).deaf_since, null);
  },
);

databaseTest(
  "a sender is not deaf for what was heard within the ten seconds that are not written down",
  async ({ sql }) => {
    const { sessionId } = await createCampaign(sql, { recipients: 2 });
    await claim(sql);
    await sql`update public.send_attempts set outcome = 'accepted', claimed_at = now() - interval '1 hour', accepted_at = now() - interval '1 hour'`;
    const heard = (seconds: number) =>
      sql`
      update private.session_states
      set last_claimed_at = now() - interval '1 hour', last_heard_at = now() - interval '1 hour' - ${seconds} * interval '1 second'
    `;
    await heard(9);
    assert.equal((await sender(sql, sessionId)).deaf_since, null);
    await heard(11);
    assert.notEqual((await sender(sql, sessionId)).deaf_since, null);
  },
);

databaseTest(
  "a sender whose reports come under another name is not deaf; what we asked for ourselves proves nothing",
  async ({ sql }) => {
    const { sessionId } = await createContactCampaign(sql, { channel: "sms", recipients: 2 });
    for (const claimed of await claim(sql)) {
      const { client_message_id: clientMessageId } = claimed;
      await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: `SM${clientMessageId}` }]);
    }
    await ageSends(sql, sessionId, "1 hour");
    assert.equal((await sender(sql, sessionId)).is_deaf, true);
    const [attempt] = await sql<{ id: string; message_id: string }[]>`
    select id, message_id from public.send_attempts order by claimed_at desc, id desc limit 1
  `;
    await recordReceipts(sql, [statusOf("delivered", attempt?.message_id ?? "", { sessionId: "+15005550000" })]);
    assert.equal((await sender(sql, sessionId)).is_deaf, false);
    await sql`update public.send_attempts set asked_at = now()`;
    assert.equal((await sender(sql, sessionId)).is_deaf, true);
  },
);

databaseTest("a default sender that hears nothing back is deaf as any other", async ({ sql }) => {
  await createContactCampaign(sql, { sessionId: null });
  const defaultSenders = { "cloud-api": "100200300" };
  const { client_message_id: clientMessageId } = await claimOne(sql, { defaultSenders });
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "wamid.1" }]);
  await ageSends(sql, "100200300", "1 hour");
  assert.deepEqual((await opening(sql, { defaultSenders })).map(named), [["opened", "sender_deaf", "100200300"]]);
});

// -- posting ------------------------------------------------------------------------------------------------------------

databaseTest(
  "an alarm is handed to one poster, and again, later each time, while nobody says that it is posted",
  async ({ sql }) => {
    const session = await createSession(sql, await createOrganization(sql));
    await stop(sql, session, "x");
    assert.equal((await checkAlarms(sql)).length, 1);
    for (const wait of [30, 60, 120, 240, 480, 600, 600]) {
      await ageAlarms(sql, `${wait - 2} seconds`);
      assert.deepEqual(await checkAlarms(sql), [], `before ${wait} s`);
      await ageAlarms(sql, "2 seconds");
      assert.equal((await checkAlarms(sql)).length, 1, `after ${wait} s`);
    }
  },
);

databaseTest("an alarm that resolved before it was posted is never posted", async ({ sql }) => {
  const session = await createSession(sql, await createOrganization(sql));
  await stop(sql, session, "x");
  assert.deepEqual(await checkAlarms(sql, { limit: 0 }), []);
  await sql`update public.gateway_sessions set status = 'active' where id = ${session}`;
  assert.deepEqual(await checkAlarms(sql, { settle: "0" }), []);
  assert.equal((await alarmRows(sql)).length, 1);
});

databaseTest("an alarm that resolves while its opening is being posted recovers all the same", async ({ sql }) => {
  const session = await createSession(sql, await createOrganization(sql));
  await stop(sql, session, "x");
  const opened = await checkAlarms(sql);
  await sql`update public.gateway_sessions set status = 'active' where id = ${session}`;
  assert.deepEqual(await checkAlarms(sql, { settle: "0" }), []);
  assert.equal(await recordAlarmsPosted(sql, opened), 1);
  // a second poster that was late says the same, which is no recovery
  assert.equal(await recordAlarmsPosted(sql, opened), 0);
  assert.deepEqual((await checkAlarms(sql)).map(named), [["resolved", "sender_stopped", session]]);
});

databaseTest("alarms are handed out no more at once than asked for, and none is lost", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  for (let number = 0; number < 5; number++) await stop(sql, await createSession(sql, organizationId), "x");
  const seen = new Set<string>();
  for (const expected of [2, 2, 1, 0]) {
    const handed = await checkAlarms(sql, { limit: 2 });
    assert.equal(handed.length, expected);
    for (const { subject } of handed) seen.add(subject);
  }
  assert.equal(seen.size, 5);
});

databaseTest("alarms that resolved 90 days ago are forgotten, open ones never", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const [old, open] = [await createSession(sql, organizationId), await createSession(sql, organizationId)];
  await stop(sql, old, "x");
  await stop(sql, open, "x");
  await checkAlarms(sql);
  await sql`update public.gateway_sessions set status = 'active' where id = ${old}`;
  await checkAlarms(sql, { settle: "0" });
  await ageAlarms(sql, "89 days 23 hours");
  await checkAlarms(sql);
  assert.equal((await alarmRows(sql)).length, 2);
  await ageAlarms(sql, "2 hours");
  await checkAlarms(sql);
  assert.deepEqual((await alarmRows(sql)).map(({ subject }) => subject), [open]);
});

databaseTest(
  "check_alarms and record_alarms_posted refuse what makes no sense, and name the argument",
  async ({ sql }) => {
    await assert.rejects(checkAlarms(sql, { silence: null }), /p_silence/);
    await assert.rejects(checkAlarms(sql, { silence: "-1 minute" }), /p_silence/);
    await assert.rejects(checkAlarms(sql, { limit: 101 }), /p_limit/);
    await assert.rejects(checkAlarms(sql, { limit: -1 }), /p_limit/);
    await assert.rejects(checkAlarms(sql, { settle: "-1 s" }), /p_settle/);
    await assert.rejects(sql`select public.check_alarms(p_default_senders => '[]')`, /p_default_senders/);
    await assert.rejects(sql`select public.record_alarms_posted(null)`, /p_opened/);
    assert.equal(await recordAlarmsPosted(sql, [{ id: 404, kind: "opened" }]), 0);
  },
);

databaseTest("alarms are checked and recorded by service_role, and denied to everybody else", async ({ sql }) => {
  await stop(sql, await createSession(sql, await createOrganization(sql)), "x");
  await createCampaign(sql, { sessionId: null });
  const handed = await asRole(sql, "service_role", null, (own) => checkAlarms(own));
  assert.equal(handed.length, 1);
  assert.equal(await asRole(sql, "service_role", null, (own) => recordAlarmsPosted(own, handed)), 1);
  for (const role of ["anon", "authenticated"] as const) {
    await assert.rejects(asRole(sql, role, crypto.randomUUID(), (own) => checkAlarms(own)), /permission denied/);
    await assert.rejects(
      asRole(sql, role, crypto.randomUUID(), (own) => recordAlarmsPosted(own, handed)),
      /permission denied/,
    );
    await assert.rejects(asRole(sql, role, crypto.randomUUID(), (own) => snapshotOf(own)), /permission denied/);
  }
});

databaseTest(
  "an audit is not overdue while nothing was sent or heard since, nor before there was time for one",
  async ({ sql }) => {
    await setLastAudit(sql, "27 hours");
    assert.deepEqual(await opening(sql), []);
    await setLastAudit(sql, null);
    await createCampaign(sql);
    await claimOne(sql);
    assert.deepEqual(await opening(sql), []);
    await sql`update private.processor_state set installed_at = now() - interval '27 hours'`;
    assert.deepEqual((await opening(sql)).map(({ message }) => /never been audited/.test(message)), [true]);
  },
);

/** Checks, and checks again when whatever could pass by itself has lasted. */
async function opening(sql: Sql, options: CheckOptions = {}): Promise<HandedOut[]> {
  const atOnce = await checkAlarms(sql, options);
  await ageAlarms(sql, "2 minutes");
  // what was handed out is on its way
  await sql`update private.alarms set next_post_at = now() + interval '1 hour' where opened_at is not null`;
  return [...atOnce, ...await checkAlarms(sql, options)];
}

function named({ kind, cause, subject }: HandedOut): [string, string, string] {
  return [kind, cause, subject];
}

/** As a signal of the provider does. */
async function stop(sql: Sql, sessionId: string, reason: string): Promise<void> {
  await sql`
    update public.gateway_sessions
    set status = 'restricted', status_reason = ${reason}, is_stopped_automatically = true
    where id = ${sessionId}
  `;
}

async function sender(sql: Sql, sessionId: string, silence = "15 minutes") {
  const { senders } = await snapshotOf(sql, silence);
  return senders.find(({ session_id }) => session_id === sessionId) ?? assert.fail(`no sender ${sessionId}`);
}

/** As if the audit had last been through so long ago; null: never. */
async function setLastAudit(sql: Sql, ago: string | null): Promise<void> {
  const answer = ago === null ? "null::timestamptz" : `now() - interval '${ago}'`;
  await sql.unsafe(`
    create or replace function private.last_audit_at() returns timestamptz language sql stable set search_path = '' as $$
      select ${answer}
    $$
  `);
}
