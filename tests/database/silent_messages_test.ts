import assert from "node:assert/strict";
import {
  type Campaign,
  claim,
  claimOne,
  claimSilent,
  createContactCampaign,
  createOrganization,
  createSession,
  databaseTest,
  phone,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  sentCallback,
  type Sql,
  statusOf,
  unique,
} from "../harness/mod.ts";

const POLL_AFTER_SECONDS = 600;

/** A campaign whose messages SM0, SM1, … were taken by their gateway, to be asked about in ten minutes. */
async function sent(sql: Sql, recipients = 1, channel: "sms" | "whatsapp" = "sms"): Promise<Campaign> {
  const campaign = await createContactCampaign(sql, { channel, recipients });
  const claims = await claim(sql);
  await recordSendResults(
    sql,
    claims.map(({ client_message_id }, index) => ({
      clientMessageId: client_message_id,
      outcome: "sent",
      messageId: `SM${index}`,
      pollAfterSeconds: POLL_AFTER_SECONDS,
    })),
  );
  return campaign;
}

/** Lets everything that was sent, and the next question, look as old as if this time had passed since. */
async function pass(sql: Sql, seconds: number): Promise<void> {
  await sql`
    update public.send_attempts a
    set claimed_at = a.claimed_at - make_interval(secs => ${seconds}),
        accepted_at = a.accepted_at - make_interval(secs => ${seconds}),
        finished_at = a.finished_at - make_interval(secs => ${seconds}),
        asked_at = a.asked_at - make_interval(secs => ${seconds}),
        next_poll_at = a.next_poll_at - make_interval(secs => ${seconds})
  `;
}

/** Seconds until the one message is asked about again; null: never. */
async function wait(sql: Sql): Promise<number | null> {
  const [row] = await sql<{ seconds: number | null }[]>`
    select extract(epoch from a.next_poll_at - now())::double precision as seconds from public.send_attempts a
  `;
  assert.ok(row);
  return row.seconds;
}

const reported = { reader: "sms" } as const;

databaseTest("a message that nobody reported on is handed out when its time has come", async ({ sql }) => {
  const campaign = await sent(sql);
  assert.deepEqual(await claimSilent(sql), []);
  await pass(sql, POLL_AFTER_SECONDS - 5);
  assert.deepEqual(await claimSilent(sql), []);
  await pass(sql, 10);
  const [attempt] = await sql<{ id: string }[]>`select id from public.send_attempts`;
  assert.deepEqual(await claimSilent(sql), [{
    client_message_id: attempt?.id ?? "",
    message_id: "SM0",
    campaign_id: campaign.id,
    gateway: "sms",
    session_id: campaign.sessionId,
  }]);
});

databaseTest("a silent message is handed to one asker, and again at twice its age, for two days", async ({ sql }) => {
  await sent(sql);
  let asked = 0;
  let age = 0;
  for (let next: number | null = POLL_AFTER_SECONDS; next !== null; next = await wait(sql)) {
    assert.ok(asked < 20, "it is not asked about for ever");
    await pass(sql, next + 1);
    age += next + 1;
    assert.equal((await claimSilent(sql)).length, 1);
    assert.deepEqual(await claimSilent(sql), [], "one asker");
    asked++;
    const again = await wait(sql);
    if (again !== null) assert.ok(again > age * 0.9 && again < age * 1.2, `${again} s after ${age} s`);
  }
  assert.ok(age > 2 * 86_400 && age < 5 * 86_400, `given up after ${age / 86_400} days`);
  assert.ok(asked >= 8, `asked ${asked} times`);
  await pass(sql, 30 * 86_400);
  assert.deepEqual(await claimSilent(sql), []);
});

for (const kind of ["delivered", "failed", "read"] as const) {
  databaseTest(`a message that was reported as ${kind} is not asked about`, async ({ sql }) => {
    await sent(sql);
    await recordReceipts(sql, [statusOf(kind, "SM0", reported)]);
    await pass(sql, POLL_AFTER_SECONDS + 1);
    assert.deepEqual(await claimSilent(sql), []);
    assert.equal(await wait(sql), null, "and it is not looked at again");
  });
}

databaseTest("a message of which only the sending was reported is asked about", async ({ sql }) => {
  await sent(sql);
  await recordReceipts(sql, [statusOf("sent", "SM0", reported)]);
  await pass(sql, POLL_AFTER_SECONDS + 1);
  assert.equal((await claimSilent(sql)).length, 1);
});

databaseTest("a message that a status proved before its answer was stored is asked about too", async ({ sql }) => {
  await createContactCampaign(sql, { channel: "sms" });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordReceipts(sql, [statusOf("sent", "SM0", { ...reported, clientMessageId })]);
  await pass(sql, 3600);
  assert.deepEqual((await claimSilent(sql)).map(({ message_id }) => message_id), ["SM0"]);
});

databaseTest("the answer that comes after a status says when to ask", async ({ sql }) => {
  await createContactCampaign(sql, { channel: "sms" });
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordReceipts(sql, [statusOf("sent", "SM0", { ...reported, clientMessageId })]);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "SM0", pollAfterSeconds: 30 }]);
  await pass(sql, 31);
  assert.equal((await claimSilent(sql)).length, 1);
});

databaseTest("a message whose provider cannot be asked is not handed out", async ({ sql }) => {
  await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "wamid.1" }]);
  await pass(sql, 86_400);
  assert.deepEqual(await claimSilent(sql), []);
});

databaseTest("a send that was refused, or only accepted, is not asked about by its message id", async ({ sql }) => {
  await createContactCampaign(sql, { channel: "sms", recipients: 2 });
  const claims = await claim(sql);
  const outcomes = ["failed", "accepted"] as const;
  await recordSendResults(
    sql,
    claims.map(({ client_message_id }, index) => ({
      clientMessageId: client_message_id,
      outcome: outcomes[index] ?? "unknown",
      pollAfterSeconds: 1,
    })),
  );
  await pass(sql, 60);
  assert.deepEqual(await claimSilent(sql), []);
});

databaseTest(
  "silent messages are handed out up to the limit, the longest due first, and none twice",
  async ({ sql }) => {
    await sent(sql, 25);
    await sql`
    update public.send_attempts set next_poll_at = now() - interval '1 hour' where message_id in ('SM7', 'SM8', 'SM9')
  `;
    assert.deepEqual((await claimSilent(sql, { limit: 3 })).map(({ message_id }) => message_id).sort(), [
      "SM7",
      "SM8",
      "SM9",
    ]);
    await pass(sql, POLL_AFTER_SECONDS + 1);
    await sql`update public.send_attempts set next_poll_at = null where message_id in ('SM7', 'SM8', 'SM9')`;
    const seen = new Set<string>();
    for (const expected of [10, 10, 2, 0]) {
      const claimed = await claimSilent(sql, { limit: 10 });
      assert.equal(claimed.length, expected);
      for (const { message_id } of claimed) seen.add(message_id);
    }
    assert.equal(seen.size, 22);
  },
);

databaseTest("a silent message waits for an asker who knows its gateway", async ({ sql }) => {
  await sent(sql);
  await pass(sql, POLL_AFTER_SECONDS + 1);
  assert.deepEqual(await claimSilent(sql, { gateways: ["cloud-api", "vps"] }), []);
  assert.deepEqual(await claimSilent(sql, { gateways: [] }), []);
  assert.equal((await claimSilent(sql, { gateways: ["sms"] })).length, 1, "it is still due");
});

databaseTest(
  "silent messages of another gateway do not keep those of this one from being handed out",
  async ({ sql }) => {
    await sent(sql, 5);
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId, { id: phone(), channel: "sms" });
    await sql`update public.gateway_sessions set gateway = 'another-sms' where id = ${sessionId}`;
    await createContactCampaign(sql, { organizationId, sessionId, channel: "sms" });
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "other", pollAfterSeconds: 1 }]);
    await pass(sql, POLL_AFTER_SECONDS + 1);
    // the five are longer due than the one
    await sql`update public.send_attempts set next_poll_at = now() - interval '1 hour' where message_id <> 'other'`;
    assert.deepEqual(
      (await claimSilent(sql, { limit: 2, gateways: ["another-sms"] })).map(({ message_id }) => message_id),
      ["other"],
    );
    assert.equal((await claimSilent(sql, { gateways: ["sms"] })).length, 5);
  },
);

databaseTest("a report that is asked for counts once with its cost, and ends the asking", async ({ sql }) => {
  const campaign = await sent(sql);
  await pass(sql, POLL_AFTER_SECONDS + 1);
  const [silent] = await claimSilent(sql);
  assert.ok(silent);
  const report = statusOf("delivered", silent.message_id, {
    ...reported,
    clientMessageId: silent.client_message_id,
    cost: 0.0079,
    currency: "USD",
  });
  assert.deepEqual(await recordReceipts(sql, [report]), { recorded: 1, duplicates: 0, parked: 0, journaled: 0 });
  assert.deepEqual(await recordReceipts(sql, [report]), { recorded: 0, duplicates: 1, parked: 0, journaled: 0 });
  const [stats] =
    await sql`select delivered_count, cost from public.notification_campaign_stats where campaign_id = ${campaign.id}`;
  assert.deepEqual({ ...stats }, { delivered_count: 1, cost: 0.0079 });
  await pass(sql, 86_400);
  assert.deepEqual(await claimSilent(sql), []);
});

databaseTest("a message of a session to a contact is asked about, however it was settled", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: unique("wa") });
  await createContactCampaign(sql, { organizationId, sessionId, recipients: 2 });
  const [first, second] = await claim(sql);
  assert.ok(first && second);
  await recordSendResults(
    sql,
    [first, second].map(({ client_message_id: clientMessageId }) => ({
      clientMessageId,
      outcome: "accepted",
      pollAfterSeconds: POLL_AFTER_SECONDS,
    })),
  );
  await recordSendCallback(sql, sentCallback(first, "V1"));
  await pass(sql, POLL_AFTER_SECONDS + 1);
  const due = await claimSilent(sql, { gateways: ["vps"] });
  assert.deepEqual(due.map(({ client_message_id, message_id, gateway }) => [client_message_id, message_id, gateway]), [
    [first.client_message_id, "V1", "vps"],
  ]);
  // the other is proved sent later, and asked about all the same
  await recordSendCallback(sql, sentCallback(second, "V2"));
  await pass(sql, 2 * POLL_AFTER_SECONDS + 10);
  assert.deepEqual((await claimSilent(sql)).map(({ message_id }) => message_id).sort(), ["V1", "V2"]);
});

databaseTest(
  "what the person and what the gateway says of one message to a contact is one delivery",
  async ({ sql }) => {
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId, { id: unique("wa") });
    const campaign = await createContactCampaign(sql, { organizationId, sessionId });
    await recordSendCallback(sql, sentCallback(await claimOne(sql), "V1"));
    const asked = statusOf("delivered", "V1");
    const told = { ...asked, event: "message_read", reader: `${campaign.only.recipient.slice(1)}@s.whatsapp.net` };
    for (const report of [asked, told, asked]) await recordReceipts(sql, [report]);
    const [stats] = await sql`
    select delivered_count, read_count from public.notification_campaign_stats where campaign_id = ${campaign.id}
  `;
    assert.deepEqual({ ...stats }, { delivered_count: 1, read_count: 1 });
  },
);
