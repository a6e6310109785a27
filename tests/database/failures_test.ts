import assert from "node:assert/strict";
import { repositoryRoot } from "../../local/repository.ts";
import {
  asRole,
  attemptsOf,
  type Campaign,
  campaignRow,
  claim,
  claimOne,
  createContactCampaign,
  createMember,
  createOrganization,
  databaseTest,
  failedCallback,
  makeDue,
  optedOut,
  phone,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  senderRow,
  sendOne,
  type Sql,
  stats,
  statusOf,
} from "../harness/mod.ts";

/** Claims the one message that is due and stores that its gateway refused it. */
async function refuse(sql: Sql, errorCode: string, errorMessage = "no"): Promise<string> {
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode, errorMessage }]);
  return clientMessageId;
}

/** What a person does who has put things right with the provider. */
async function reactivate(sql: Sql, { sessionId }: Campaign): Promise<void> {
  await sql`update public.gateway_sessions set status = 'active' where id = ${sessionId}`;
}

// ---- the tables ----

databaseTest("every class of failures has an action", async ({ sql }) => {
  const without = await sql`
    select e.class
    from unnest(enum_range(null::public.failure_class)) as e (class)
    left join private.failure_classes c on c.class = e.class
    where c.action is null
  `;
  assert.deepEqual([...without], []);
});

databaseTest("every sorted code says what it means and has a class with an action", async ({ sql }) => {
  const codes = await sql<{ code: string; meaning: string; action: string | null }[]>`
    select f.code, f.meaning, private.failure_action_of(f.code) as action from private.failure_codes f
  `;
  assert.ok(codes.length > 80);
  assert.deepEqual(codes.filter(({ action, meaning }) => action === null || meaning.trim() === ""), []);
});

databaseTest("every code that the functions themselves give a refusal is sorted", async ({ sql }) => {
  const made = await codesOf(`${repositoryRoot}/supabase/functions/process-notification-campaigns`);
  assert.ok(made.includes("connection_refused"), "the codes were found");
  const sorted = new Set(
    (await sql<{ code: string }[]>`select code from private.failure_codes`).map(({ code }) => code),
  );
  assert.deepEqual(made.filter((code) => !sorted.has(code)), []);
});

/** Literals given as a code in the sources of a function. */
async function codesOf(folder: string): Promise<string[]> {
  const codes = new Set<string>();
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    if (isDirectory) { for (const code of await codesOf(`${folder}/${name}`)) codes.add(code); }
    if (!isFile || !name.endsWith(".ts") || name.endsWith("_test.ts") || name.startsWith("fake_")) continue;
    const source = await Deno.readTextFile(`${folder}/${name}`);
    for (const [, code] of source.matchAll(/\b(?:errorCode|code): "([a-z_]+)"/g)) {
      if (code !== undefined) codes.add(code);
    }
  }
  return [...codes].sort();
}

databaseTest("a code that nobody has sorted, or none, is of the class unknown", async ({ sql }) => {
  const [row] = await sql<{ strange: string; none: string }[]>`
    select private.failure_class_of('987654321') as strange, private.failure_class_of(null) as none
  `;
  assert.deepEqual({ ...row }, { strange: "unknown", none: "unknown" });
});

databaseTest("users may not read or write what codes lead to", async ({ sql }) => {
  const owner = await createMember(sql, await createOrganization(sql), "owner");
  for (const table of ["failure_codes", "failure_classes"]) {
    for (const statement of ["select * from", "delete from"]) {
      await assert.rejects(
        () => asRole(sql, "authenticated", owner, (own) => own.unsafe(`${statement} private.${table}`)),
        { code: "42501" },
        `${statement} ${table}`,
      );
    }
  }
});

// ---- a send that is refused at once ----

for (
  const [code, failureClass] of [
    ["131056", "rate_limited"],
    ["131000", "provider_error"],
    ["http_429", "rate_limited"],
  ] as const
) {
  databaseTest(`a send refused with ${code} is tried again later, until its attempts are used up`, async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { maxAttempts: 2 });
    await refuse(sql, code, "not now");
    const waiting = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([waiting.status, waiting.error_code, waiting.failure_class], ["pending", code, failureClass]);
    assert.ok(waiting.next_attempt_at.getTime() > Date.now() + 1_000, "it waits");
    assert.deepEqual(await claim(sql), []);
    await makeDue(sql);
    await refuse(sql, code, "still not");
    const failed = await recipientRow(sql, campaign.only.id);
    assert.deepEqual(
      [failed.status, failed.error_code, failed.error_message, failed.failure_class, failed.attempt_count],
      ["failed", code, "still not", failureClass, 2],
    );
    assert.deepEqual(
      (await attemptsOf(sql, campaign.only.id)).map(({ outcome, failure_class }) => [outcome, failure_class]),
      [["deferred", failureClass], ["deferred", failureClass]],
    );
    assert.equal((await senderRow(sql, campaign.sessionId)).status, "active");
  });
}

databaseTest("a send refused for now fails at once when the campaign says so", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { onTransientError: "fail" });
  await refuse(sql, "131056");
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.failure_class], ["failed", "rate_limited"]);
});

databaseTest("a send refused for a reason that will not pass fails for good", async ({ sql }) => {
  for (
    const [code, failureClass] of [
      ["131026", "invalid_recipient"],
      ["131047", "window_closed"],
      ["132001", "content_rejected"],
      ["21614", "invalid_recipient"],
      ["987654321", "unknown"],
    ] as const
  ) {
    const campaign = await createContactCampaign(sql);
    await refuse(sql, code, "the provider's words");
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual(
      [row.status, row.error_code, row.error_message, row.failure_class],
      ["failed", code, "the provider's words", failureClass],
    );
    assert.deepEqual(await optedOut(sql, campaign.organizationId), []);
    assert.deepEqual(await senderRow(sql, campaign.sessionId), { status: "active", status_reason: null });
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  }
});

databaseTest("a send refused without a code fails with a reason of the class unknown", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "failed" }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code, row.failure_class], ["failed", null, "unknown"]);
  assert.match(row.error_message ?? "", /\w/);
});

databaseTest("a code sorted by an operator leads to what its class says from then on", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 2 });
  const [first, second] = await claim(sql);
  assert.ok(first && second);
  const refusal = (clientMessageId: string) => ({ clientMessageId, outcome: "failed", errorCode: "555001" }) as const;
  await recordSendResults(sql, [refusal(first.client_message_id)]);
  await sql`insert into private.failure_codes (code, class, meaning) values ('555001', 'rate_limited', 'a new one')`;
  await recordSendResults(sql, [refusal(second.client_message_id)]);
  const { failed_count, pending_count } = await stats(sql, campaign.id);
  assert.deepEqual({ failed_count, pending_count }, { failed_count: 1, pending_count: 1 });
});

for (const [channel, code] of [["whatsapp", "131050"], ["sms", "21610"], ["sms", "30004"]] as const) {
  databaseTest(`a send refused with ${code} opts its recipient out of ${channel}`, async ({ sql }) => {
    const number = phone();
    const campaign = await createContactCampaign(sql, { channel, recipients: [number] });
    await refuse(sql, code, "has stopped these messages");
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.failure_class], ["failed", "opted_out"]);
    assert.deepEqual(await optedOut(sql, campaign.organizationId, channel), [number]);
    const [optOut] = await sql<{ reason: string }[]>`select reason from public.opt_outs`;
    assert.match(optOut?.reason ?? "", new RegExp(`${code}.*has stopped these messages`));

    // the next message is not sent, however the number is written; others' and other channels' are
    const { organizationId, sessionId } = campaign;
    const next = await createContactCampaign(sql, {
      channel,
      organizationId,
      sessionId,
      recipients: [`00${number.slice(1)}`],
    });
    assert.deepEqual(await claim(sql), []);
    assert.equal((await recipientRow(sql, next.only.id)).skip_reason, "opted_out");
    const another = await createContactCampaign(sql, { channel, recipients: [number] });
    assert.equal((await claimOne(sql)).campaign_id, another.id);
  });
}

for (
  const [code, failureClass, status] of [
    ["190", "auth", "paused"],
    ["http_401", "auth", "paused"],
    ["131048", "sender_restricted", "restricted"],
    ["463", "sender_restricted", "restricted"],
  ] as const
) {
  databaseTest(
    `a send refused with ${code} holds its sender back, and waits without losing an attempt`,
    async ({ sql }) => {
      const campaign = await createContactCampaign(sql, { maxAttempts: 1, recipients: 2 });
      const { organizationId, sessionId } = campaign;
      const other = await createContactCampaign(sql, { organizationId, sessionId });
      const [refused] = await claim(sql, { limit: 1 });
      assert.ok(refused);
      await recordSendResults(sql, [{
        clientMessageId: refused.client_message_id,
        outcome: "failed",
        errorCode: code,
        errorMessage: "the provider's words",
      }]);
      const row = await recipientRow(sql, refused.recipient_id);
      assert.deepEqual([row.status, row.error_code, row.failure_class], ["pending", code, failureClass]);
      const sender = await senderRow(sql, sessionId);
      assert.equal(sender.status, status);
      assert.match(sender.status_reason ?? "", new RegExp(`${code}.*the provider's words`));

      await makeDue(sql);
      assert.deepEqual(await claim(sql), [], "nothing goes through it, of any campaign");
      assert.equal((await recipientRow(sql, other.only.id)).status, "pending");

      await reactivate(sql, campaign);
      assert.deepEqual(await senderRow(sql, sessionId), { status: "active", status_reason: null });
      const again = await claim(sql);
      assert.equal(again.length, 3);
      assert.ok(
        again.some(({ recipient_id }) => recipient_id === refused.recipient_id),
        "its one attempt was not used up",
      );
    },
  );
}

databaseTest("a message waits as often as its sender is held back, and then has its attempts", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { maxAttempts: 2 });
  for (let times = 0; times < 4; times++) {
    await refuse(sql, "190");
    assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
    await reactivate(sql, campaign);
    await makeDue(sql);
  }
  await refuse(sql, "131000");
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "pending");
  await makeDue(sql);
  await refuse(sql, "131000");
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "failed");
  assert.equal((await attemptsOf(sql, campaign.only.id)).length, 6);
});

databaseTest("messages under way when their sender is held back wait like the first", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { maxAttempts: 1, recipients: 5, onTransientError: "fail" });
  const claims = await claim(sql);
  await recordSendResults(
    sql,
    claims.map(({ client_message_id }) => ({
      clientMessageId: client_message_id,
      outcome: "failed",
      errorCode: "131048",
      errorMessage: "spam",
    })),
  );
  const { pending_count, progress } = await stats(sql, campaign.id);
  assert.deepEqual({ pending_count, progress }, { pending_count: 5, progress: 0 });
  assert.equal((await senderRow(sql, campaign.sessionId)).status, "restricted");
});

databaseTest(
  "a message that waits for its sender is skipped when the campaign is cancelled meanwhile",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await sql`select public.cancel_campaign(${campaign.id})`;
    await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode: "190" }]);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.skip_reason], ["skipped", "campaign_cancelled"]);
    assert.equal((await senderRow(sql, campaign.sessionId)).status, "paused");
  },
);

databaseTest("a failure holds back the sender of its attempt, and nobody else's", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { organizationId } = campaign;
  const spare = await createContactCampaign(sql, { organizationId, recipients: 0 });
  const foreign = await createContactCampaign(sql, { recipients: 0 });
  await refuse(sql, "190");
  assert.equal((await senderRow(sql, campaign.sessionId)).status, "paused");
  assert.equal((await senderRow(sql, spare.sessionId)).status, "active");
  assert.equal((await senderRow(sql, foreign.sessionId)).status, "active");
});

databaseTest("a sender that a person paused keeps their reason when a failure comes in", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await sql`update public.gateway_sessions set status = 'paused', status_reason = 'holidays' where id = ${campaign.sessionId}`;
  await recordSendResults(sql, [{ clientMessageId, outcome: "failed", errorCode: "131048" }]);
  assert.deepEqual(await senderRow(sql, campaign.sessionId), { status: "paused", status_reason: "holidays" });
});

databaseTest("a sender that is stored as active has no reason", async ({ sql }) => {
  const { sessionId } = await createContactCampaign(sql, { recipients: 0 });
  await sql`update public.gateway_sessions set status_reason = 'left over' where id = ${sessionId}`;
  assert.deepEqual(await senderRow(sql, sessionId), { status: "active", status_reason: null });
});

// ---- a failure that is reported later ----

const reports = {
  "a status": (sql: Sql, { id }: Campaign, errorCode: string) =>
    recordReceipts(sql, [statusOf("failed", `M-${id}`, { errorCode, errorMessage: "the provider's words" })]),
  "a callback": async (sql: Sql, { only }: Campaign, error: string) => {
    const [attempt] = await sql<{ client_message_id: string; recipient: string; session_id: string }[]>`
      select a.id as client_message_id, r.recipient, a.session_id
      from public.send_attempts a
      join public.notification_campaign_recipients r on r.id = a.recipient_id
      where r.id = ${only.id}
    `;
    assert.ok(attempt);
    return await recordSendCallback(sql, {
      ...failedCallback(attempt),
      error: { code: error, message: "the provider's words" },
    });
  },
} as const;

for (const [through, report] of Object.entries(reports)) {
  /** A status says something of a message that was taken; a callback is the answer to one that is being taken. */
  const begin = async (sql: Sql) => {
    const campaign = await createContactCampaign(sql);
    if (through === "a status") await sendOne(sql, `M-${campaign.id}`);
    else await claimOne(sql);
    return campaign;
  };

  databaseTest(
    `a failure through ${through} fails the message, which is not sent again, whatever the code`,
    async ({ sql }) => {
      for (
        const [code, failureClass] of [
          ["131026", "invalid_recipient"],
          ["131056", "rate_limited"],
          ["131000", "provider_error"],
          ["987654321", "unknown"],
        ] as const
      ) {
        const campaign = await begin(sql);
        await report(sql, campaign, code);
        const row = await recipientRow(sql, campaign.only.id);
        assert.deepEqual(
          [row.status, row.error_code, row.error_message, row.failure_class],
          ["failed", code, "the provider's words", failureClass],
        );
        await makeDue(sql);
        assert.deepEqual(await claim(sql), []);
        assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
        assert.equal((await senderRow(sql, campaign.sessionId)).status, "active");
      }
    },
  );

  databaseTest(`a failure with 131050 through ${through} opts its recipient out`, async ({ sql }) => {
    const campaign = await begin(sql);
    await report(sql, campaign, "131050");
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.failure_class], ["failed", "opted_out"]);
    assert.deepEqual(await optedOut(sql, campaign.organizationId), [campaign.only.recipient]);
  });

  for (const [code, status] of [["190", "paused"], ["131048", "restricted"]] as const) {
    databaseTest(
      `a failure with ${code} through ${through} holds the sender back and fails the message`,
      async ({ sql }) => {
        const campaign = await begin(sql);
        await report(sql, campaign, code);
        assert.equal((await recipientRow(sql, campaign.only.id)).status, "failed");
        const sender = await senderRow(sql, campaign.sessionId);
        assert.equal(sender.status, status);
        assert.match(sender.status_reason ?? "", new RegExp(`${code}.*the provider's words`));
      },
    );

    databaseTest(
      `a sender that an operator has set active again stays active when ${through} with ${code} is repeated`,
      async ({ sql }) => {
        const campaign = await begin(sql);
        await report(sql, campaign, code);
        await reactivate(sql, campaign);
        await report(sql, campaign, code);
        assert.deepEqual(await senderRow(sql, campaign.sessionId), { status: "active", status_reason: null });
      },
    );

    databaseTest(
      `a failed message that is to be sent again goes out when ${through} with ${code} is repeated before its turn`,
      async ({ sql }) => {
        const campaign = await begin(sql);
        await report(sql, campaign, code);
        await reactivate(sql, campaign);
        await sql`select public.retry_failed_recipients(${campaign.id})`;
        await report(sql, campaign, code);
        assert.deepEqual(await senderRow(sql, campaign.sessionId), { status: "active", status_reason: null });
        assert.equal((await claimOne(sql)).recipient_id, campaign.only.id);
      },
    );
  }
}

databaseTest(
  "a sender that is active again stays active when the old refusal is recorded once more",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    const clientMessageId = await refuse(sql, "190");
    await reactivate(sql, campaign);
    const again = { clientMessageId, outcome: "failed", errorCode: "190", errorMessage: "no" } as const;
    assert.deepEqual(await recordSendResults(sql, [again]), { recorded: 0, superseded: 1 });
    await makeDue(sql);
    const second = await claimOne(sql);
    assert.deepEqual(await recordSendResults(sql, [again]), { recorded: 0, superseded: 1 });
    assert.deepEqual(await senderRow(sql, campaign.sessionId), { status: "active", status_reason: null });
    await recordSendResults(sql, [{ clientMessageId: second.client_message_id, outcome: "sent", messageId: "M1" }]);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.error_code, row.error_message, row.failure_class], ["sent", null, null, null]);
  },
);

databaseTest("a failed message that its status shows delivered in the end has no class of failure", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("failed", "M1", { errorCode: "131026", errorMessage: "no" })]);
  await recordReceipts(sql, [statusOf("delivered", "M1")]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.error_code, row.error_message, row.failure_class], ["sent", null, null, null]);
});

databaseTest("a failure of a message that was delivered leads to nothing", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  await sendOne(sql, "M1");
  await recordReceipts(sql, [statusOf("delivered", "M1")]);
  await recordReceipts(sql, [statusOf("failed", "M1", { errorCode: "131048" })]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.delivered_count, row.failure_class], ["sent", 1, null]);
  assert.equal((await senderRow(sql, campaign.sessionId)).status, "active");
});

databaseTest("a send that cannot be made is skipped with its reason", async ({ sql }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{
    clientMessageId,
    outcome: "skipped",
    errorCode: "invalid_phone_number",
    errorMessage: "no number",
  }]);
  const row = await recipientRow(sql, campaign.only.id);
  assert.deepEqual([row.status, row.skip_reason, row.failure_class], [
    "skipped",
    "invalid_phone_number",
    "invalid_recipient",
  ]);
  const { skipped_count, progress } = await stats(sql, campaign.id);
  assert.deepEqual({ skipped_count, progress }, { skipped_count: 1, progress: 100 });
});

databaseTest(
  "a message that was refused because its recipient opted out is skipped when it is retried",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    await refuse(sql, "131050");
    await sql`select public.retry_failed_recipients(${campaign.id})`;
    assert.deepEqual(await claim(sql), []);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.skip_reason], ["skipped", "opted_out"]);
  },
);
