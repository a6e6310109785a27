import assert from "node:assert/strict";
import {
  campaignRow,
  claim,
  claimOne,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  person,
  receipt,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  sentCallback,
  type Sql,
} from "../harness/mod.ts";

/** A minute from slot to slot at the slowest, as paced claims say it: 5 to 15 % more than the limit allows. */
const [LEAST_GAP, MOST_GAP] = [1.05, 1.15];

async function milliseconds(sql: Sql): Promise<number | null> {
  const [row] = await sql<{ wait: number | null }[]>`select public.milliseconds_until_next_send() as wait`;
  return row?.wait ?? null;
}

/** Lets time pass for everything that pacing looks at. */
async function pass(sql: Sql, interval: string): Promise<void> {
  await sql`update public.send_attempts set claimed_at = claimed_at - ${interval}::interval`;
  await sql`
    update private.session_states
    set next_send_at = next_send_at - ${interval}::interval, hold_expires_at = hold_expires_at - ${interval}::interval,
      last_claimed_at = last_claimed_at - ${interval}::interval, last_heard_at = last_heard_at - ${interval}::interval
  `;
  await sql`update private.recipient_paces set next_send_at = next_send_at - ${interval}::interval`;
  await sql`
    update public.notification_campaign_recipients set next_attempt_at = next_attempt_at - ${interval}::interval
    where status = 'pending'
  `;
}

async function limitedCampaign(sql: Sql, messagesPerMinute: number, recipients: number) {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute });
  return await createCampaign(sql, { organizationId, sessionId, recipients });
}

// ---- the pace ----

databaseTest("a paced claim takes what has its turn, with the time to send it at", async ({ sql }) => {
  await limitedCampaign(sql, 60, 20);
  const claims = await claim(sql, { paceAhead: "5 seconds" });
  assert.equal(claims.length, 5);
  const turns = claims.map((one) => one.send_after_ms ?? -1);
  assert.equal(turns[0], 0);
  for (const [i, turn] of turns.slice(1).entries()) {
    const gap = turn - (turns[i] ?? 0);
    assert.ok(gap >= 1000 * LEAST_GAP - 1 && gap <= 1000 * MOST_GAP + 1, `${turns.join(", ")}`);
  }
  assert.ok(new Set(turns.slice(1).map((turn, i) => turn - (turns[i] ?? 0))).size > 1, "no two gaps are alike");
});

databaseTest("a paced claim before the next turn takes nothing, and says how long it is", async ({ sql }) => {
  await limitedCampaign(sql, 60, 20);
  assert.equal(await milliseconds(sql), null, "nobody waits yet");
  assert.equal((await claim(sql, { paceAhead: "1 second" })).length, 1);
  assert.deepEqual(await claim(sql, { paceAhead: "0.5 seconds" }), []);
  const wait = await milliseconds(sql) ?? -1;
  assert.ok(wait > 500 && wait <= 1000 * MOST_GAP, `${wait}`);
  await pass(sql, "1.2 seconds");
  assert.equal((await claim(sql, { paceAhead: "0.5 seconds" })).length, 1);
});

databaseTest("a minute of paced claims is one of the limit at most", async ({ sql }) => {
  await limitedCampaign(sql, 30, 60);
  const slots: number[] = [];
  for (let second = 0; second < 90; second++) {
    for (const one of await claim(sql, { paceAhead: "1 second" })) slots.push(second * 1000 + (one.send_after_ms ?? 0));
    await pass(sql, "1 second");
  }
  for (const [i, slot] of slots.entries()) {
    const inMinute = slots.filter((other) => other >= slot && other < slot + 60_000).length;
    assert.ok(inMinute <= 30, `${inMinute} in the minute of the ${i}th`);
  }
  assert.ok(slots.length >= 36 && slots.length <= 44, `${slots.length} in 90 seconds`);
});

databaseTest("campaigns on one sender share its turns", async ({ sql }) => {
  const one = await limitedCampaign(sql, 60, 40);
  const two = await createCampaign(sql, {
    organizationId: one.organizationId,
    sessionId: one.sessionId,
    recipients: 40,
  });
  const claims = await claim(sql, { paceAhead: "20 seconds" });
  const ofTwo = claims.filter(({ campaign_id }) => campaign_id === two.id).length;
  assert.ok(Math.abs(ofTwo * 2 - claims.length) <= 1, `${ofTwo} of ${claims.length}`);
});

databaseTest("a sender without a limit has no turns", async ({ sql }) => {
  await createCampaign(sql, { recipients: 20 });
  const claims = await claim(sql, { paceAhead: "1 second" });
  assert.deepEqual([claims.length, new Set(claims.map((one) => one.send_after_ms))], [20, new Set([null])]);
  assert.equal(await milliseconds(sql), null);
});

databaseTest("a campaign that names no sender goes through the one whose turn comes first", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  for (const id of ["wa_a", "wa_b", "wa_c"]) await createSession(sql, organizationId, { id, messagesPerMinute: 1 });
  await createCampaign(sql, { organizationId, sessionId: null, recipients: 5 });
  const used: string[] = [];
  for (let tries = 0; tries < 4; tries++) {
    used.push(...(await claim(sql, { paceAhead: "1 second" })).map(({ session_id }) => session_id));
  }
  assert.deepEqual(used.sort(), ["wa_a", "wa_b", "wa_c"]);
});

// ---- days ----

databaseTest("a sender with a daily limit of 3 sends 3 in any 24 hours", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { dailyLimit: 3 });
  await createCampaign(sql, { organizationId, sessionId, recipients: 10 });
  assert.equal((await claim(sql, { limit: 2 })).length, 2);
  await pass(sql, "10 hours");
  assert.equal((await claim(sql)).length, 1);
  assert.deepEqual(await claim(sql), []);
  const wait = await milliseconds(sql) ?? -1;
  assert.ok(Math.abs(wait - 14 * 3_600_000) < 60_000, `${wait}`);
  await pass(sql, "13 hours 59 minutes");
  assert.deepEqual(await claim(sql), []);
  await pass(sql, "2 minutes");
  assert.equal((await claim(sql)).length, 2);
});

databaseTest("a daily limit holds together with the limit of the minute", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute: 2, dailyLimit: 3 });
  await createCampaign(sql, { organizationId, sessionId, recipients: 10 });
  assert.equal((await claim(sql)).length, 2);
  await pass(sql, "61 seconds");
  assert.equal((await claim(sql)).length, 1);
});

databaseTest("a warm-up grows by the same factor every day, from its first day to the daily limit", async ({ sql }) => {
  const rows = await sql<{ allowance: number | null }[]>`
    select private.daily_allowance(1000, 20, 10, now(), now() + make_interval(days => d, hours => 1)) as allowance
    from unnest(array[-1, 0, 1, 5, 9, 10, 400]) as d
  `;
  assert.deepEqual(rows.map(({ allowance }) => allowance), [20, 20, 29, 141, 676, 1000, 1000]);
  const [none] = await sql`
    select private.daily_allowance(null, null, 14, now(), now()) as unlimited,
      private.daily_allowance(50, null, 14, now(), now()) as limited
  `;
  assert.deepEqual([none?.unlimited, none?.limited], [null, 50]);
});

databaseTest("a new sender that warms up sends what its first day allows", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { dailyLimit: 100 });
  await sql`update public.gateway_sessions set warm_up_first_day = 4, warm_up_days = 2`;
  await createCampaign(sql, { organizationId, sessionId, recipients: 120 });
  assert.equal((await claim(sql, { limit: 200 })).length, 4);
  await sql`update public.gateway_sessions set warm_up_started_at = now() - interval '25 hours'`;
  assert.equal((await claim(sql, { limit: 200 })).length, 16, "20 on the second day");
  await sql`update public.gateway_sessions set warm_up_started_at = now() - interval '49 hours'`;
  assert.equal((await claim(sql, { limit: 200 })).length, 80);
});

for (
  const [change, constraint] of [
    ["daily_limit = 0", "daily_limit_is_positive"],
    ["warm_up_first_day = 10", "warm_up_first_day_is_within_daily_limit"],
    ["daily_limit = 5, warm_up_first_day = 6", "warm_up_first_day_is_within_daily_limit"],
    ["max_failure_percent = 101", "max_failure_percent_is_a_percentage"],
  ] as const
) {
  databaseTest(`a sender cannot have ${change}`, async ({ sql }) => {
    await createSession(sql, await createOrganization(sql));
    await assert.rejects(() => sql.unsafe(`update public.gateway_sessions set ${change}`), {
      constraint_name: constraint,
    });
  });
}

// ---- quiet hours ----

databaseTest("quiet hours go by the clock of the organization, over midnight too", async ({ sql }) => {
  const quiet = async (zone: string, from: string | null, until: string | null, at: string) => {
    const [row] = await sql<{ quiet: boolean }[]>`
      select private.is_quiet_time(${zone}, ${from}::time, ${until}::time, ${at}::timestamptz) as quiet
    `;
    return row?.quiet;
  };
  assert.equal(await quiet("Asia/Kolkata", "21:00", "08:00", "2026-11-22T15:29:59Z"), false, "20:59:59 there");
  assert.equal(await quiet("Asia/Kolkata", "21:00", "08:00", "2026-11-22T15:30:00Z"), true, "21:00 there");
  assert.equal(await quiet("Asia/Kolkata", "21:00", "08:00", "2026-11-23T02:29:59Z"), true, "07:59:59 there");
  assert.equal(await quiet("Asia/Kolkata", "21:00", "08:00", "2026-11-23T02:30:00Z"), false, "08:00 there");
  assert.equal(await quiet("Europe/Berlin", "12:00", "14:00", "2026-07-01T10:30:00Z"), true, "summer, 12:30");
  assert.equal(await quiet("Europe/Berlin", "12:00", "14:00", "2026-12-01T10:30:00Z"), false, "winter, 11:30");
  assert.equal(await quiet("UTC", null, null, "2026-12-01T03:00:00Z"), false, "none");
});

databaseTest("a campaign waits while its organization is quiet, and goes on afterwards", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 2 });
  const other = await createCampaign(sql);
  const { organizationId } = campaign;
  await sql`
    update public.organizations
    set time_zone = 'Asia/Kolkata', quiet_from = timezone('Asia/Kolkata', now() - interval '1 hour')::time,
      quiet_until = timezone('Asia/Kolkata', now() + interval '1 hour')::time
    where id = ${organizationId}
  `;
  assert.deepEqual((await claim(sql)).map(({ campaign_id }) => campaign_id), [other.id]);
  assert.equal((await campaignRow(sql, campaign.id)).status, "processing");
  await sql`
    update public.organizations set quiet_from = quiet_until, quiet_until = quiet_from where id = ${organizationId}
  `;
  assert.equal((await claim(sql)).length, 2);
});

databaseTest("a campaign that cannot wait ignores quiet hours", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await sql`
    update public.organizations
    set quiet_from = (now() at time zone 'UTC' - interval '1 hour')::time, quiet_until = (now() at time zone 'UTC' + interval '1 hour')::time
  `;
  assert.deepEqual(await claim(sql), []);
  await sql`update public.notification_campaigns set ignores_quiet_hours = true where id = ${campaign.id}`;
  assert.equal((await claim(sql)).length, 1);
});

databaseTest("a time zone that nobody knows is refused with its name", async ({ sql }) => {
  await createOrganization(sql);
  await assert.rejects(() => sql`update public.organizations set time_zone = 'Europe/Atlantis'`, {
    code: "22023",
    message: /Europe\/Atlantis/,
  });
});

databaseTest("quiet hours have both ends, and leave time to send", async ({ sql }) => {
  await createOrganization(sql);
  await assert.rejects(() => sql`update public.organizations set quiet_from = '21:00'`, {
    constraint_name: "quiet_hours_have_both_ends",
  });
  await assert.rejects(() => sql`update public.organizations set quiet_from = '21:00', quiet_until = '21:00'`, {
    constraint_name: "quiet_from_differs_from_quiet_until",
  });
});

// ---- Retry-After ----

databaseTest("Retry-After holds the sender it was said to, and nobody else", async ({ sql }) => {
  const held = await createCampaign(sql, { recipients: 3, onTransientError: "retry" });
  const other = await createCampaign(sql, { recipients: 1 });
  const [first] = await claim(sql, { limit: 1, excludeSessions: [other.sessionId], paceAhead: "1 second" });
  assert.ok(first);
  const refusal = { clientMessageId: first.client_message_id, outcome: "deferred", errorCode: "http_429" } as const;
  await recordSendResults(sql, [{ ...refusal, retryAfterSeconds: 30 }]);
  assert.deepEqual((await claim(sql, { paceAhead: "1 second" })).map(({ campaign_id }) => campaign_id), [other.id]);
  const wait = await milliseconds(sql) ?? -1;
  assert.ok(wait > 25_000 && wait <= 30_000, `${wait}`);
  const [state] = await sql`select hold_reason from private.session_states where session_id = ${held.sessionId}`;
  assert.match(state?.hold_reason, /http_429/);
  // said again, and shorter: the longer one holds
  await recordSendResults(sql, [{ ...refusal, retryAfterSeconds: 1 }]);
  await pass(sql, "29 seconds");
  assert.deepEqual(await claim(sql, { paceAhead: "0.5 seconds" }), []);
  await pass(sql, "3 seconds");
  assert.equal((await claim(sql, { paceAhead: "1 second" })).length, 3);
});

databaseTest("Retry-After holds a sender for an hour at most", async ({ sql }) => {
  await createCampaign(sql, { recipients: 2, onTransientError: "retry" });
  const [first] = await claim(sql, { limit: 1 });
  assert.ok(first);
  await recordSendResults(sql, [
    { clientMessageId: first.client_message_id, outcome: "deferred", errorCode: "http_503", retryAfterSeconds: 86_400 },
  ]);
  const wait = await milliseconds(sql) ?? -1;
  assert.ok(wait > 3_590_000 && wait <= 3_600_000, `${wait}`);
});

databaseTest("too many messages to one recipient hold that recipient, not the sender", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: "15551230001" });
  await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients: 2 });
  const [first] = await claim(sql, { limit: 1, paceAhead: "1 second" });
  assert.ok(first);
  await recordSendResults(sql, [
    { clientMessageId: first.client_message_id, outcome: "failed", errorCode: "131056", retryAfterSeconds: 30 },
  ]);
  assert.equal((await claim(sql, { paceAhead: "1 second" })).length, 1);
});

// ---- one recipient, several messages ----

databaseTest("Meta's numbers send one message in six seconds to a recipient", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: "15551230002" });
  const recipients = [{ recipient: "+4915112345678" }];
  const spelled = [{ recipient: "4915112345678" }, { recipient: "+4915187654321" }];
  await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients });
  await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients: spelled });
  const first = await claim(sql, { paceAhead: "1 second" });
  assert.equal(first.length, 2, "two people");
  assert.deepEqual(await claim(sql, { paceAhead: "1 second" }), []);
  await pass(sql, "5.9 seconds");
  assert.deepEqual(await claim(sql, { paceAhead: "1 second" }), []);
  await pass(sql, "2 seconds");
  const [second] = await claim(sql, { paceAhead: "1 second" });
  assert.match(second?.recipient ?? "", /4915112345678/);
  const [attempts] = await sql`select max(attempt_count) as most from public.notification_campaign_recipients`;
  assert.equal(attempts?.most, 1, "waiting is no attempt");
});

databaseTest("recipients are not spaced between senders, nor at gateways that ask for none", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const recipients = [{ recipient: "+4915112345678" }];
  for (const id of ["15551230003", "15551230004", "wa_spaced", "wa_spaced"]) {
    const known = await sql`select 1 from public.gateway_sessions where id = ${id}`;
    const sessionId = known.length > 0 ? id : await createSession(sql, organizationId, { id });
    await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients });
  }
  assert.equal((await claim(sql, { paceAhead: "1 second" })).length, 4);
});

databaseTest("what is known of recent recipients does not grow", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: "15551230005" });
  await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients: 60 });
  for (let round = 0; round < 6; round++) {
    assert.equal((await claim(sql, { limit: 10, paceAhead: "1 second" })).length, 10);
    await pass(sql, "10 seconds");
  }
  const [row] = await sql<{ count: number }[]>`select count(*)::integer from private.recipient_paces`;
  assert.equal(row?.count, 10);
});

// ---- too many failures ----

databaseTest("a sender whose messages fail too often is paused with the reason", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 30 });
  await sql`update public.gateway_sessions set max_failure_percent = 10`;
  const claims = await claim(sql);
  const fail = async (from: number, to: number) =>
    await recordSendResults(
      sql,
      claims.slice(from, to).map(({ client_message_id }) => ({
        clientMessageId: client_message_id,
        outcome: "failed",
        errorCode: "invalid_phone_number",
        errorMessage: "nobody there",
      })),
    );
  const sender = async () => {
    const [row] = await sql`select * from public.gateway_sessions where id = ${campaign.sessionId}`;
    return row;
  };
  await fail(0, 9);
  assert.equal((await sender())?.status, "active");
  await fail(9, 10);
  const paused = await sender();
  assert.deepEqual([paused?.status, paused?.is_stopped_automatically], ["paused", true]);
  assert.match(paused?.status_reason, /^10 of its last 100 messages failed, .*invalid_phone_number: nobody there$/);
  // made active by a person: what was is forgiven
  await sql`update public.gateway_sessions set status = 'active'`;
  await fail(10, 12);
  assert.deepEqual([(await sender())?.status, (await sender())?.is_stopped_automatically], ["active", false]);
});

databaseTest("a sender is not paused for what is not its fault, nor where nobody wants it", async ({ sql }) => {
  const unwanted = await createCampaign(sql, { recipients: 5 });
  await sql`update public.gateway_sessions set max_failure_percent = 2`;
  const faults = await claim(sql);
  await recordSendResults(
    sql,
    faults.map(({ client_message_id }) => ({
      clientMessageId: client_message_id,
      outcome: "failed",
      errorCode: "132000",
    })),
  );
  const [row] = await sql`select status from public.gateway_sessions where id = ${unwanted.sessionId}`;
  assert.equal(row?.status, "active");
  const careless = await createCampaign(sql, { recipients: 5 });
  await sql`update public.gateway_sessions set max_failure_percent = null where id = ${careless.sessionId}`;
  await recordSendResults(
    sql,
    (await claim(sql)).map(({ client_message_id }) => ({
      clientMessageId: client_message_id,
      outcome: "failed",
      errorCode: "131026",
    })),
  );
  const [still] = await sql`select status from public.gateway_sessions where id = ${careless.sessionId}`;
  assert.equal(still?.status, "active");
});

// ---- what senders do ----

databaseTest("when a sender was last claimed for, and last heard of, is known", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 3 });
  const state = async () => {
    const [row] = await sql`
      select last_claimed_at > now() - interval '5 seconds' as claimed, last_heard_at > now() - interval '5 seconds' as heard
      from private.session_states where session_id = ${campaign.sessionId}
    `;
    return [row?.claimed, row?.heard];
  };
  const claimed = await claimOne(sql, { limit: 1 });
  assert.deepEqual(await state(), [true, null]);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  assert.deepEqual(await state(), [true, true]);
  await pass(sql, "1 hour");
  assert.deepEqual(await state(), [false, false]);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(1), { sessionId: campaign.sessionId })]);
  assert.deepEqual(await state(), [false, true]);
  await recordReceipts(sql, [receipt("message_delivered", "M1", person(2), { sessionId: "wa_of_nobody" })]);
  const [row] = await sql<{ count: number }[]>`select count(*)::integer from private.session_states`;
  assert.equal(row?.count, 1, "whoever never sent is not kept");
});
