import assert from "node:assert/strict";
import {
  ageCampaigns,
  ageSends,
  asRole,
  checkAlarms,
  claim,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  endLeases,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  snapshotOf,
} from "../harness/mod.ts";

databaseTest("health_snapshot of an installation that has done nothing yet is all zeros", async ({ sql }) => {
  const { checked_at, audit, ...snapshot } = await snapshotOf(sql);
  assert.ok(Math.abs(Date.parse(checked_at) - Date.now()) < 60_000);
  assert.deepEqual(snapshot, {
    silence_seconds: 900,
    alarms: [],
    queue: {
      processing_campaigns: 0,
      pending: 0,
      processing: 0,
      due: 0,
      oldest_due_at: null,
      oldest_due_seconds: null,
      past_lease: 0,
      unconfirmed: 0,
    },
    campaigns_with_due: {
      quiet: 0,
      gateway_not_ready: 0,
      no_sender: 0,
      sender_stopped: 0,
      sender_paused: 0,
      paced: 0,
      stalled: 0,
      sending: 0,
    },
    receipts: { parked_messages: 0, oldest_parked_at: null, oldest_parked_seconds: null },
    journal: [],
    senders: [],
    processor: { last_run_at: null, last_run_seconds: null, gateways: null },
    discrepancies: 0,
  });
  const { campaigns_waiting, ...audited } = audit;
  assert.deepEqual(audited, { last_audit_at: null, last_audit_seconds: null, has_changes: false });
  // null where the audit does not say
  assert.ok(campaigns_waiting === null || campaigns_waiting === 0);
});

databaseTest("health_snapshot tells what is owed, what is under way and what waits", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 10 });
  // of a campaign that does not run: neither owed nor due
  await createCampaign(sql, { recipients: 10, status: "paused" });
  const [sent, ...open] = await claim(sql, { limit: 4 });
  if (sent === undefined) assert.fail("nothing was claimed");
  await recordSendCallback(sql, sentCallback(sent, "M1"));
  await endLeases(sql);
  await sql`
    update public.notification_campaign_recipients set status = 'unconfirmed' where id = ${open[0]?.recipient_id ?? ""}
  `;
  await sql`
    update public.notification_campaign_recipients set next_attempt_at = now() + interval '1 hour'
    where id = (select id from public.notification_campaign_recipients where status = 'pending' and campaign_id = ${campaign.id} limit 1)
  `;
  await ageCampaigns(sql, "10 minutes");
  const { queue, campaigns_with_due } = await snapshotOf(sql);
  const { oldest_due_at, oldest_due_seconds, ...counts } = queue;
  assert.deepEqual(counts, {
    processing_campaigns: 1,
    pending: 6,
    processing: 2,
    due: 5,
    past_lease: 2,
    unconfirmed: 1,
  });
  assert.ok(oldest_due_at !== null && oldest_due_seconds !== null && oldest_due_seconds >= 600);
  assert.equal(campaigns_with_due.sending, 1);
});

databaseTest("health_snapshot tells what was heard and could not be used, by reason and age", async ({ sql }) => {
  await recordReceipts(sql, [
    { event: "message_delivered", messageId: "unknown", reader: "1@s" },
    { event: "message_read", messageId: "unknown", reader: "2@s" },
  ]);
  await sql`update private.message_ids set parked_at = now() - interval '2 hours'`;
  await sql`
    insert into private.webhook_events (source, reason, payload, received_at, replayed_at)
    values
      ('receipt', 'unmatched', '{"id": 1}', now() - interval '3 days', null),
      ('receipt', 'unmatched', '{"id": 2}', now(), null),
      ('receipt', 'unmatched', '{"id": 3}', now() - interval '9 days', now()),
      ('inbound', 'malformed', '{"id": 4}', now() - interval '2 hours', null)
  `;
  const { receipts, journal } = await snapshotOf(sql);
  assert.equal(receipts.parked_messages, 1);
  assert.equal(Math.round((receipts.oldest_parked_seconds ?? 0) / 3600), 2);
  assert.deepEqual(journal.map(({ reason, count, last_hour_count }) => [reason, count, last_hour_count]), [
    ["malformed", 1, 0],
    ["unmatched", 2, 1],
  ]);
  assert.equal(Math.round((journal[1]?.oldest_seconds ?? 0) / 86_400), 3);
});

databaseTest("health_snapshot lists every sender with what it does and why it does not", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const busy = await createSession(sql, organizationId, { id: "wa_busy", messagesPerMinute: 60 });
  await sql`update public.gateway_sessions set daily_limit = 500 where id = ${busy}`;
  await createSession(sql, organizationId, { id: "wa_paused", status: "paused" });
  await sql`insert into private.held_senders (session_id, reason) values ('100200300', 'auth: token of +4915112345678')`;
  await sql`insert into private.held_senders (session_id, reason, expires_at) values ('expired', 'auth', now())`;
  await createCampaign(sql, { organizationId, sessionId: busy, recipients: 5 });
  await claim(sql, { limit: 2 });
  await ageSends(sql, busy, "2 hours");
  await claim(sql, { limit: 1 });
  await sql`
    update private.session_states
    set hold_expires_at = now() + interval '1 minute', hold_reason = 'rate_limited' where session_id = ${busy}
  `;
  const { senders } = await snapshotOf(sql);
  assert.deepEqual(senders.map(({ session_id, status }) => [session_id, status]), [
    ["100200300", "held"],
    ["wa_busy", "active"],
    ["wa_paused", "paused"],
  ]);
  const [held, active, paused] = senders;
  assert.equal(held?.reason, "auth: token of +49…78");
  assert.equal(held?.organization_id, null);
  assert.ok(held?.is_stopped_automatically && held.hold_expires_at !== null);
  assert.deepEqual(
    [active?.attempts_last_minute, active?.attempts_last_day, active?.daily_allowance, active?.reason],
    [1, 3, 500, "rate_limited"],
  );
  assert.ok(active !== undefined && active.last_claimed_at !== null && active.hold_expires_at !== null);
  assert.deepEqual([paused?.attempts_last_minute, paused?.last_claimed_at, paused?.is_deaf], [null, null, false]);
});

databaseTest("health_snapshot stops counting at 10,001", async ({ sql }) => {
  await sql`insert into private.message_ids (message_id, parked_at) select 'P' || i, now() from generate_series(1, 10500) i`;
  await sql`
    insert into private.webhook_events (source, reason, payload)
    select 'receipt', 'unmatched', jsonb_build_object('id', i) from generate_series(1, 10500) i
  `;
  const campaign = await createCampaign(sql, { recipients: 0 });
  await sql`
    insert into public.notification_campaign_recipients (campaign_id, recipient)
    select ${campaign.id}, i || '@g.us' from generate_series(1, 10500) i
  `;
  const { receipts, journal, queue } = await snapshotOf(sql);
  assert.equal(receipts.parked_messages, 10_001);
  assert.equal(journal[0]?.count, 10_001);
  assert.equal(queue.due, 10_001);
  // a counter is not counted
  assert.equal(queue.pending, 10_500);
});

databaseTest(
  "health_snapshot shows the alarms that are open, and says itself when the processor falls silent",
  async ({ sql }) => {
    const session = await createSession(sql, await createOrganization(sql));
    await sql`
    update public.gateway_sessions set status = 'paused', status_reason = 'auth', is_stopped_automatically = true where id = ${session}
  `;
    await checkAlarms(sql, { gateways: ["vps", "sms"] });
    const snapshot = await snapshotOf(sql);
    assert.deepEqual(snapshot.alarms.map(({ cause, subject }) => [cause, subject]), [["sender_stopped", session]]);
    assert.deepEqual(snapshot.processor.gateways, ["vps", "sms"]);
    assert.ok((snapshot.processor.last_run_seconds ?? 99) < 60);
    await sql`update private.processor_state set last_run_at = now() - interval '3 hours'`;
    const { alarms } = await snapshotOf(sql);
    assert.deepEqual(alarms.map(({ cause }) => cause).sort(), ["processor_silent", "sender_stopped"]);
    assert.match(alarms.find(({ cause }) => cause === "processor_silent")?.message ?? "", /not run for 3 hours/);
    await sql`update private.processor_state set last_run_at = null, installed_at = now() - interval '6 minutes'`;
    assert.match((await snapshotOf(sql)).alarms.map(({ message }) => message).join(), /never run/);
    await sql`update public.gateway_sessions set status = 'active' where id = ${session}`;
    await checkAlarms(sql, { settle: "0" });
    assert.deepEqual((await snapshotOf(sql)).alarms, []);
  },
);

databaseTest("health_snapshot writes nothing, waits for nobody, and answers service_role", async ({ sql, session }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const writer = await session("writer");
  await writer.begin();
  // everything that sending locks
  await claim(writer.sql);
  await checkAlarms(writer.sql);
  await writer.sql`update public.gateway_sessions set name = 'x' where id = ${campaign.sessionId}`;
  await sql.begin("read only", async (transaction) => {
    await transaction`set local lock_timeout = '1ms'`;
    assert.equal((await snapshotOf(transaction)).queue.pending, 3);
  });
  await writer.commit();
  const { queue } = await asRole(sql, "service_role", null, (own) => snapshotOf(own));
  assert.equal(queue.processing, 3);
});

databaseTest("health_snapshot refuses a silence that is none", async ({ sql }) => {
  await assert.rejects(snapshotOf(sql, "0"), /p_silence/);
  await assert.rejects(sql`select public.health_snapshot(null)`, /p_silence/);
});
