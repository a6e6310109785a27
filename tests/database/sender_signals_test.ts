import assert from "node:assert/strict";
import {
  asRole,
  claim,
  claimOne,
  createContactCampaign,
  createMember,
  createOrganization,
  createSession,
  databaseTest,
  optedOut,
  phoneNumberId,
  recordGatewayEvents,
  recordSenderSignals,
  recordSendResults,
  recordWhatsAppEvents,
  replayWebhookEvents,
  senderState,
  sentCallback,
  signal,
  type Sql,
  statusOf,
  written,
} from "../harness/mod.ts";

const ACCOUNT = "102290129340398";
const AT = 1_790_000_000;
const none = { applied: 0, ignored: 0, unmatched: 0, journaled: 0 } as const;
const active = { status: "active", status_reason: null, is_stopped_automatically: false, daily_limit: null } as const;
const restricted = {
  ...active,
  status: "restricted",
  status_reason: "Meta: restricted",
  is_stopped_automatically: true,
};

/** A number of the Cloud API, of an account that Meta calls `ACCOUNT`. */
async function sender(sql: Sql, more: { phone_number?: string; daily_limit?: number } = {}): Promise<string> {
  const id = await createSession(sql, await createOrganization(sql), { id: phoneNumberId() });
  await sql`update public.gateway_sessions set ${sql({ account_id: ACCOUNT, ...more })} where id = ${id}`;
  return id;
}

async function set(sql: Sql, id: string, columns: Readonly<Record<string, string | number | null>>): Promise<void> {
  await sql`update public.gateway_sessions set ${sql(columns)} where id = ${id}`;
}

async function journaled(
  sql: Sql,
): Promise<{ source: string; reason: string; seen_count: number; replayed: boolean }[]> {
  return [
    ...await sql<{ source: string; reason: string; seen_count: number; replayed: boolean }[]>`
      select source, reason, seen_count, replayed_at is not null as replayed from private.webhook_events order by id
    `,
  ];
}

// ---- stopping and going on ----

databaseTest(
  "a restriction stops the sender that it names, with its reason, and nothing more is claimed",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: 3 });
    const { sessionId } = campaign;
    assert.deepEqual(await recordSenderSignals(sql, [signal("restricted", { sessionId })]), { ...none, applied: 1 });
    assert.deepEqual(await senderState(sql, sessionId), restricted);
    assert.deepEqual(await claim(sql), []);
    assert.deepEqual(await recordSenderSignals(sql, [signal("restored", { sessionId }, { timestamp: AT + 60 })]), {
      ...none,
      applied: 1,
    });
    assert.deepEqual(await senderState(sql, sessionId), active);
    assert.equal((await claim(sql)).length, 3);
  },
);

databaseTest("a restriction of an account stops all its senders, and those of no other", async ({ sql }) => {
  const [one, two, other] = [await sender(sql), await sender(sql), await sender(sql)];
  await set(sql, other, { account_id: "another" });
  assert.deepEqual(await recordSenderSignals(sql, [signal("restricted", { accountId: ACCOUNT })]), {
    ...none,
    applied: 1,
  });
  assert.deepEqual(await senderState(sql, one), restricted);
  assert.deepEqual(await senderState(sql, two), restricted);
  assert.deepEqual(await senderState(sql, other), active);
});

databaseTest("a sender is found by its number in any spelling, but not one of text messages", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const text = await createSession(sql, organizationId, { id: "+15550783881", channel: "sms" });
  await set(sql, text, { phone_number: "+15550783881" });
  for (const [spelling, named] of [["+1 (555) 078-3881", "15550783881"], ["15550783882", "+1 555-078-3882"]]) {
    const id = await sender(sql, { phone_number: spelling ?? "" });
    await set(sql, id, { account_id: null });
    const answer = await recordSenderSignals(sql, [signal("restricted", { displayPhoneNumber: named ?? "" })]);
    assert.deepEqual(answer, { ...none, applied: 1 });
    assert.deepEqual(await senderState(sql, id), restricted);
  }
  assert.deepEqual(await senderState(sql, text), active);
});

databaseTest(
  "a signal that is posted again changes nothing, also after a person has set the sender active",
  async ({ sql }) => {
    const id = await sender(sql);
    const restriction = signal("restricted", { accountId: ACCOUNT });
    await recordSenderSignals(sql, [restriction]);
    assert.deepEqual(await recordSenderSignals(sql, [restriction, restriction]), { ...none, ignored: 2 });
    await set(sql, id, { status: "active" });
    assert.deepEqual(await recordSenderSignals(sql, [restriction]), { ...none, ignored: 1 });
    assert.deepEqual(await senderState(sql, id), active);
    assert.deepEqual(await journaled(sql), [{ source: "signal", reason: "applied", seen_count: 3, replayed: true }]);
  },
);

databaseTest(
  "signals that arrive out of order end as the last one said, in one second with the restriction",
  async ({ sql }) => {
    const id = await sender(sql);
    const by = { accountId: ACCOUNT };
    await recordSenderSignals(sql, [signal("restored", by, { timestamp: AT + 60 })]);
    assert.deepEqual(await recordSenderSignals(sql, [signal("restricted", by)]), { ...none, ignored: 1 });
    assert.deepEqual(await senderState(sql, id), active);
    await recordSenderSignals(sql, [
      signal("restored", by, { timestamp: AT + 120 }),
      signal("restricted", by, { timestamp: AT + 120 }),
      signal("restored", by, { timestamp: AT + 90 }),
    ]);
    assert.deepEqual(await senderState(sql, id), restricted);
    assert.deepEqual(
      await recordSenderSignals(sql, [signal("restored", by, { timestamp: AT + 120, payload: { again: 1 } })]),
      {
        ...none,
        ignored: 1,
      },
    );
    assert.deepEqual(await senderState(sql, id), restricted);
  },
);

databaseTest("a signal from the future does not have the last word for ever", async ({ sql }) => {
  const id = await sender(sql);
  await recordSenderSignals(sql, [signal("restored", { sessionId: id }, { timestamp: "2199-01-01T00:00:00Z" })]);
  await recordSenderSignals(sql, [signal("restricted", { sessionId: id }, { timestamp: null })]);
  assert.equal((await senderState(sql, id)).status, "restricted");
});

databaseTest("a sender that a person has stopped is left as it is", async ({ sql }) => {
  const id = await sender(sql);
  const by = { accountId: ACCOUNT };
  for (const status of ["paused", "restricted"]) {
    await set(sql, id, { status, status_reason: "on holiday" });
    const stopped = { ...active, status, status_reason: "on holiday" };
    for (const [kind, after] of [["restricted", 1], ["restored", 2]] as const) {
      const timestamp = AT + after + (status === "paused" ? 0 : 10);
      assert.deepEqual(await recordSenderSignals(sql, [signal(kind, by, { timestamp })]), { ...none, ignored: 1 });
      assert.deepEqual(await senderState(sql, id), stopped);
    }
  }
  await set(sql, id, { status: "active" });
  assert.deepEqual(await senderState(sql, id), active);
});

databaseTest(
  "a sender that a signal has stopped is not set going where a person has touched it since",
  async ({ sql }) => {
    const touches = [{ status: "paused" }, { status_reason: "wait for Meta's answer" }, {
      status: "paused",
      status_reason: null,
    }];
    for (const [place, touch] of touches.entries()) {
      const id = await sender(sql);
      await recordSenderSignals(sql, [signal("restricted", { sessionId: id })]);
      await set(sql, id, touch);
      const before = await senderState(sql, id);
      const restored = signal("restored", { sessionId: id }, { timestamp: AT + 60 });
      assert.deepEqual(await recordSenderSignals(sql, [restored]), { ...none, ignored: 1 }, `${place}`);
      assert.deepEqual(await senderState(sql, id), before);
    }
  },
);

databaseTest("a stop is lifted by a signal of its own cause alone", async ({ sql }) => {
  const id = await sender(sql);
  const say = async (kind: "restricted" | "restored", cause: string, after: number) => {
    const reason = `${kind}: ${cause}`;
    const { applied } = await recordSenderSignals(sql, [
      signal(kind, { sessionId: id }, { cause, timestamp: AT + after, reason }),
    ]);
    return [applied, (await senderState(sql, id)).status_reason];
  };
  assert.deepEqual(await say("restricted", "connection", 1), [1, "restricted: connection"]);
  assert.deepEqual(await say("restricted", "restriction", 2), [1, "restricted: restriction"]);
  assert.deepEqual(await say("restored", "ban", 3), [0, "restricted: restriction"]);
  assert.deepEqual(
    await say("restored", "connection", 4),
    [0, "restricted: restriction"],
    "it is connected, and restricted",
  );
  assert.deepEqual(await say("restricted", "connection", 5), [1, "restricted: connection"]);
  assert.deepEqual(await say("restored", "connection", 6), [1, "restricted: restriction"], "what still holds is said");
  assert.deepEqual(await say("restored", "restriction", 7), [1, null]);
  assert.deepEqual(await senderState(sql, id), active);
});

databaseTest("whoever sets a sender active has overruled the stops of before", async ({ sql }) => {
  const id = await sender(sql);
  await recordSenderSignals(sql, [signal("restricted", { sessionId: id })]);
  await set(sql, id, { status: "active" });
  const more = { cause: "connection", timestamp: AT + 60 };
  await recordSenderSignals(sql, [signal("restricted", { sessionId: id }, { ...more, reason: "offline" })]);
  assert.equal((await senderState(sql, id)).status_reason, "offline");
  await recordSenderSignals(sql, [signal("restored", { sessionId: id }, { ...more, timestamp: AT + 61 })]);
  assert.deepEqual(await senderState(sql, id), active, "the restriction is not found again");
});

databaseTest(
  "a restriction that messages failed by first is this one; a missing token is another matter",
  async ({ sql }) => {
    for (const [errorCode, kept] of [["131031", false], ["190", true]] as const) {
      const campaign = await createContactCampaign(sql);
      const { client_message_id: clientMessageId } = await claimOne(sql);
      await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode, errorMessage: "no" }]);
      const { sessionId } = campaign;
      const before = await senderState(sql, sessionId);
      assert.equal(before.is_stopped_automatically, true);
      const answer = await recordSenderSignals(sql, [signal("restricted", { sessionId })]);
      assert.deepEqual(answer, kept ? { ...none, ignored: 1 } : { ...none, applied: 1 });
      assert.deepEqual(await senderState(sql, sessionId), kept ? before : restricted);
      await recordSenderSignals(sql, [signal("restored", { sessionId }, { timestamp: AT + 60 })]);
      assert.equal((await senderState(sql, sessionId)).status, kept ? "paused" : "active");
    }
  },
);

databaseTest("a restoration alone does not lift what failures have stopped", async ({ sql }) => {
  const { sessionId } = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode: "131031", errorMessage: "locked" }]);
  assert.deepEqual(await recordSenderSignals(sql, [signal("restored", { sessionId })]), { ...none, ignored: 1 });
  assert.equal((await senderState(sql, sessionId)).status, "restricted");
});

// ---- limits ----

databaseTest(
  "a limit lowers what a sender may send in a day, and a higher one raises it as far as it was lowered",
  async ({ sql }) => {
    const by = { accountId: ACCOUNT };
    /** The daily limit after each of these, from what a person set. */
    const course = async (wanted: number | null, limits: readonly (number | null)[]) => {
      const id = await sender(sql);
      await set(sql, id, { daily_limit: wanted });
      const seen: (number | null)[] = [];
      for (const [place, dailyLimit] of limits.entries()) {
        const answer = await recordSenderSignals(sql, [signal("limited", by, { dailyLimit, timestamp: AT + place })]);
        const { daily_limit, status } = await senderState(sql, id);
        assert.equal(status, "active");
        assert.equal(answer.applied, daily_limit === (place === 0 ? wanted : seen[place - 1]) ? 0 : 1);
        seen.push(daily_limit);
      }
      await sql`delete from public.gateway_sessions where id = ${id}`;
      return seen;
    };
    assert.deepEqual(await course(5_000, [10_000, 1_000, 250, 2_000, 10_000, null]), [
      5_000,
      1_000,
      250,
      2_000,
      5_000,
      5_000,
    ]);
    assert.deepEqual(await course(null, [250, 2_000, null]), [250, 2_000, null]);
    assert.deepEqual(await course(100, [250, 50, 100_000]), [100, 50, 100]);
    assert.deepEqual(await course(null, [null]), [null]);
  },
);

databaseTest("a limit that a person sets after a signal is the person's", async ({ sql }) => {
  const id = await sender(sql, { daily_limit: 5_000 });
  const limit = (dailyLimit: number | null, after: number) =>
    recordSenderSignals(sql, [signal("limited", { sessionId: id }, { dailyLimit, timestamp: AT + after })]);
  await limit(250, 1);
  await set(sql, id, { daily_limit: 100 });
  await limit(10_000, 2);
  assert.equal((await senderState(sql, id)).daily_limit, 100);
  await set(sql, id, { daily_limit: 20_000 });
  await limit(10_000, 3);
  assert.equal((await senderState(sql, id)).daily_limit, 10_000);
  await limit(null, 4);
  assert.equal((await senderState(sql, id)).daily_limit, 20_000);
});

databaseTest("a limit is not set by one that is older, nor twice, and goes below a warm-up", async ({ sql }) => {
  const id = await sender(sql, { daily_limit: 5_000 });
  await set(sql, id, { warm_up_first_day: 400 });
  const lower = signal("limited", { sessionId: id }, { dailyLimit: 250, timestamp: AT + 60 });
  assert.equal((await recordSenderSignals(sql, [lower, lower])).applied, 1);
  assert.deepEqual(await recordSenderSignals(sql, [lower]), { ...none, ignored: 1 });
  await recordSenderSignals(sql, [signal("limited", { sessionId: id }, { dailyLimit: 50 })]);
  const [row] = await sql`select daily_limit, warm_up_first_day from public.gateway_sessions where id = ${id}`;
  assert.deepEqual({ ...row }, { daily_limit: 250, warm_up_first_day: 250 });
  // a warm-up that began under a signal's limit keeps it
  await set(sql, id, { warm_up_first_day: null, daily_limit: null });
  await recordSenderSignals(sql, [signal("limited", { sessionId: id }, { dailyLimit: 250, timestamp: AT + 61 })]);
  await set(sql, id, { warm_up_first_day: 20 });
  await recordSenderSignals(sql, [signal("limited", { sessionId: id }, { dailyLimit: null, timestamp: AT + 62 })]);
  assert.equal((await senderState(sql, id)).daily_limit, 250);
  const [plain] = await sql`select warm_up_first_day from public.gateway_sessions where id = ${await sender(sql)}`;
  assert.equal(plain?.warm_up_first_day, null);
});

// ---- the journal ----

databaseTest(
  "a signal about nobody that we know is kept, and applied by a replay once somebody has the sender",
  async ({ sql }) => {
    const restriction = signal("restricted", { accountId: ACCOUNT });
    const { timestamp: _timestamp, ...untimed } = signal("restricted", { sessionId: "wa_later" });
    assert.deepEqual(await recordSenderSignals(sql, [restriction, restriction, untimed]), { ...none, unmatched: 3 });
    assert.deepEqual(await replayWebhookEvents(sql), { tried: 2, matched: 0 });
    const id = await sender(sql);
    assert.deepEqual(await replayWebhookEvents(sql), { tried: 2, matched: 1 });
    assert.deepEqual(await senderState(sql, id), restricted);
    assert.deepEqual(await replayWebhookEvents(sql), { tried: 1, matched: 0 });
    // what said no time was said when it came, not when it is replayed
    const later = await createSession(sql, await createOrganization(sql), { id: "wa_later" });
    await recordSenderSignals(sql, [signal("restored", { sessionId: later }, { timestamp: null })]);
    assert.deepEqual(await replayWebhookEvents(sql), { tried: 1, matched: 1 });
    assert.deepEqual(await senderState(sql, later), active);
  },
);

databaseTest("a signal is kept with what came of it, once, and without secrets", async ({ sql }) => {
  const id = await sender(sql);
  const payload = { field: "account_update", apiKey: "sb_secret_1" };
  const signals = [
    signal("restricted", { sessionId: id }, { payload }),
    signal("restricted", { sessionId: id }, { timestamp: AT - 60 }),
    signal("restricted", { sessionId: "nobody" }),
    { event: "sender_restricted" },
    { event: "sender_limited", sessionId: id, dailyLimit: 0 },
    { event: "sender_restricted", sessionId: "x".repeat(300) },
    { event: "sender_exploded", sessionId: id },
    7,
  ];
  const counts = { applied: 1, ignored: 1, unmatched: 1, journaled: 5 };
  assert.deepEqual(await recordSenderSignals(sql, signals), counts);
  assert.deepEqual((await journaled(sql)).map(({ reason, replayed }) => `${reason} ${replayed}`).sort(), [
    "applied true",
    "ignored true",
    "malformed false",
    "malformed false",
    "malformed false",
    "unknown_event false",
    "unknown_event false",
    "unmatched false",
  ]);
  const leaked = await sql`select from private.webhook_events where payload::text like '%sb_secret_1%'`;
  assert.equal(leaked.length, 0);
});

databaseTest("signals that are no array are refused with the argument", async ({ sql }) => {
  for (const odd of [null, {}, "x", 7]) {
    await assert.rejects(() => recordSenderSignals(sql, odd), { code: "22023", message: /p_signals must be an array/ });
  }
  assert.deepEqual(await recordSenderSignals(sql, []), none);
});

// ---- with what else a post holds ----

databaseTest(
  "signals, statuses and messages of one post of Meta's are recorded together or not at all",
  async ({ sql }) => {
    const { sessionId, organizationId } = await createContactCampaign(sql, { recipients: ["+919876543210"] });
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
    const post = [
      [statusOf("delivered", "M1")],
      [written({ sessionId, contact: "919876543210" }, "wamid.1", "STOP")],
      [signal("restricted", { sessionId }), signal("restricted", { accountId: "nobody's" }), { event: "odd" }],
    ] as const;
    await assert.rejects(() => recordWhatsAppEvents(sql, post[0], post[1], { not: "an array" }), { code: "22023" });
    assert.deepEqual(await optedOut(sql, organizationId), []);
    assert.deepEqual(await recordWhatsAppEvents(sql, ...post), {
      recorded: 1,
      stored: 1,
      duplicates: 0,
      parked: 0,
      journaled: 1,
      opted_out: 1,
      opted_in: 0,
      applied: 1,
      ignored: 0,
      unmatched: 1,
    });
    assert.equal((await senderState(sql, sessionId)).status, "restricted");
  },
);

databaseTest("callbacks and signals of one post of a gateway are recorded together or not at all", async ({ sql }) => {
  const { sessionId } = await createContactCampaign(sql);
  const claimed = await claimOne(sql);
  const callbacks = [
    sentCallback(claimed, "M1"),
    sentCallback({ ...claimed, client_message_id: "x", recipient: "x" }, "M2"),
  ];
  const signals = [signal("restricted", { sessionId }), signal("restricted", { sessionId: "wa_nobody" })];
  await assert.rejects(() => recordGatewayEvents(sql, callbacks, 7), { code: "22023" });
  assert.deepEqual(await recordGatewayEvents(sql, callbacks, signals), {
    recorded: 1,
    duplicates: 0,
    unmatched: 2,
    journaled: 0,
    applied: 1,
    ignored: 0,
  });
  assert.deepEqual(await recordGatewayEvents(sql, [], []), { ...none, recorded: 0, duplicates: 0 });
});

// ---- senders that are seen ----

databaseTest(
  "a sender that is seen gets the account and the number it lacks, and keeps those it has",
  async ({ sql }) => {
    const organizationId = await createOrganization(sql);
    const [bare, half, full] = await Promise.all(
      ["1065", "1066", "1067"].map((id) => createSession(sql, organizationId, { id })),
    );
    await set(sql, half ?? "", { account_id: "ours" });
    await set(sql, full ?? "", { account_id: "ours", phone_number: "+1 555" });
    const seen = ["1065", "1066", "1067", "1068"].map((sessionId) => ({
      event: "sender_seen",
      sessionId,
      accountId: ACCOUNT,
      displayPhoneNumber: "15550783881",
    }));
    assert.deepEqual(await recordSenderSignals(sql, seen), none);
    const rows = await sql`select id, account_id, phone_number from public.gateway_sessions order by id`;
    assert.deepEqual(rows.map(({ id, account_id, phone_number }) => [id, account_id, phone_number]), [
      ["1065", ACCOUNT, "15550783881"],
      ["1066", "ours", "15550783881"],
      ["1067", "ours", "+1 555"],
    ]);
    assert.deepEqual(await journaled(sql), []);
    // and a signal in the same post finds it
    const again = [...seen, signal("restricted", { accountId: ACCOUNT }), 7];
    assert.deepEqual(await recordSenderSignals(sql, again), { ...none, applied: 1, journaled: 1 });
    assert.deepEqual(await senderState(sql, bare ?? ""), restricted);
  },
);

databaseTest("a sender that is seen without an account or a number is left as it is", async ({ sql }) => {
  const id = await createSession(sql, await createOrganization(sql), { id: "1065" });
  const about = { event: "sender_seen", sessionId: id };
  await recordSenderSignals(sql, [about, { ...about, accountId: null, displayPhoneNumber: "" }, {
    event: "sender_seen",
  }]);
  const [row] = await sql`select account_id, phone_number from public.gateway_sessions where id = ${id}`;
  assert.deepEqual({ ...row }, { account_id: null, phone_number: null });
});

// ---- rights ----

databaseTest("nobody but the functions may record signals, or read what is kept of them", async ({ sql }) => {
  const id = await sender(sql);
  const [organization] = await sql<{ organization_id: string }[]>`
    select organization_id from public.gateway_sessions where id = ${id}
  `;
  const owner = await createMember(sql, organization?.organization_id ?? "", "owner");
  const calls = [
    "select public.record_sender_signals('[]')",
    "select public.record_gateway_events('[]', '[]')",
    "select public.record_whatsapp_events('[]', '[]', '[]')",
    "select from private.sender_stops",
    "select from private.sender_limits",
    "select from private.contact_aliases",
  ];
  for (const call of calls) {
    await assert.rejects(() => asRole(sql, "anon", null, (own) => own.unsafe(call)), { code: "42501" }, call);
    await assert.rejects(() => asRole(sql, "authenticated", owner, (own) => own.unsafe(call)), { code: "42501" }, call);
    await asRole(sql, "service_role", null, (own) => own.unsafe(call));
  }
});
