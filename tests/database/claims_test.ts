import assert from "node:assert/strict";
import {
  addRecipients,
  attemptsOf,
  campaignRow,
  claim,
  claimOne,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  groupJid,
  recipientRow,
  recordSendCallback,
  sentCallback,
  type Sql,
  stats,
} from "../harness/mod.ts";

/** How many claims each campaign got. */
function perCampaign(claims: readonly { campaign_id: string }[], ...ids: string[]): number[] {
  return ids.map((id) => claims.filter((claimed) => claimed.campaign_id === id).length);
}

/** Lets attempts look as if they had been made so many seconds earlier. */
async function age(sql: Sql, seconds: number, limit = 1_000_000): Promise<void> {
  await sql`
    update public.send_attempts
    set claimed_at = claimed_at - make_interval(secs => ${seconds})
    where id in (select id from public.send_attempts order by claimed_at desc, id limit ${limit})
  `;
}

databaseTest("a claim hands out the message with an attempt that is stored first", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  const claimed = await claimOne(sql);
  assert.deepEqual(
    { ...claimed, client_message_id: "" },
    {
      client_message_id: "",
      recipient_id: campaign.only.id,
      campaign_id: campaign.id,
      channel: "whatsapp_group",
      gateway: "vps",
      session_id: campaign.sessionId,
      recipient: campaign.only.recipient,
      content: { type: "text", text: "Hello" },
      variables: {},
      attempt_number: 1,
      send_after_ms: null,
    },
  );
  const [attempt] = await attemptsOf(sql, campaign.only.id);
  assert.deepEqual([attempt?.id, attempt?.outcome, attempt?.session_id], [
    claimed.client_message_id,
    "claimed",
    campaign.sessionId,
  ]);
  assert.equal((await recipientRow(sql, campaign.only.id)).status, "processing");
});

databaseTest("a claimed row is not claimed again", async ({ sql }) => {
  await createCampaign(sql, { recipients: 3 });
  assert.equal((await claim(sql)).length, 3);
  assert.deepEqual(await claim(sql), []);
});

databaseTest("a claim takes no more than its limit and the oldest due first", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 5 });
  for (const [place, { id }] of campaign.recipients.entries()) {
    await sql`
      update public.notification_campaign_recipients
      set next_attempt_at = now() - make_interval(secs => ${100 - place})
      where id = ${id}
    `;
  }
  const claimed = [...await claim(sql, { limit: 2 }), ...await claim(sql, { limit: 2 })];
  const ids = claimed.map((one) => one.recipient_id);
  assert.deepEqual(new Set(ids.slice(0, 2)), new Set(campaign.recipients.slice(0, 2).map(({ id }) => id)));
  assert.deepEqual(new Set(ids.slice(2)), new Set(campaign.recipients.slice(2, 4).map(({ id }) => id)));
});

databaseTest("a claim leaves what is not due yet", async ({ sql }) => {
  await createCampaign(sql);
  await sql`update public.notification_campaign_recipients set next_attempt_at = now() + interval '1 minute'`;
  assert.deepEqual(await claim(sql), []);
});

for (const status of ["draft", "scheduled", "paused", "completed", "failed", "cancelled"] as const) {
  databaseTest(`a claim leaves a campaign that is ${status}`, async ({ sql }) => {
    const campaign = await createCampaign(sql, { status: "draft", scheduledAt: new Date(Date.now() - 1000) });
    await sql`update public.notification_campaigns set status = ${status} where id = ${campaign.id}`;
    assert.deepEqual(await claim(sql), []);
  });
}

for (const status of ["paused", "restricted"] as const) {
  databaseTest(`a claim leaves a ${status} sender and goes on when it is active again`, async ({ sql }) => {
    const campaign = await createCampaign(sql);
    await sql`update public.gateway_sessions set status = ${status} where id = ${campaign.sessionId}`;
    assert.deepEqual(await claim(sql), []);
    await sql`update public.gateway_sessions set status = 'active' where id = ${campaign.sessionId}`;
    assert.equal((await claim(sql)).length, 1);
  });
}

databaseTest("a campaign without a sender uses an active one of its organization", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  await createSession(sql, organizationId, { id: "a_paused", status: "paused" });
  await createSession(sql, organizationId, { id: "b_sms", channel: "sms" });
  await createSession(sql, organizationId, { id: "c_active" });
  await createSession(sql, await createOrganization(sql), { id: "a_foreign" });
  await createCampaign(sql, { organizationId, sessionId: null });
  assert.equal((await claimOne(sql)).session_id, "c_active");
});

databaseTest("a campaign without a sender waits when its organization has none", async ({ sql }) => {
  await createCampaign(sql, { sessionId: null });
  assert.deepEqual(await claim(sql), []);
});

databaseTest("a claim leaves the senders it is told to", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const busy = await createCampaign(sql, { organizationId });
  const free = await createCampaign(sql, { organizationId });
  const claims = await claim(sql, { excludeSessions: [busy.sessionId] });
  assert.deepEqual(perCampaign(claims, busy.id, free.id), [0, 1]);
});

databaseTest("a campaign without a sender uses another one when the first is to be left", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  await createSession(sql, organizationId, { id: "a_busy" });
  await createSession(sql, organizationId, { id: "b_free" });
  await createCampaign(sql, { organizationId, sessionId: null, recipients: 2 });
  const [claimed] = await claim(sql, { limit: 1, excludeSessions: ["a_busy"] });
  assert.equal(claimed?.session_id, "b_free");
});

databaseTest("a claim takes only what goes through the gateways it is told", async ({ sql }) => {
  const group = await createCampaign(sql);
  const contactId = await createOrganization(sql);
  const contact = await createCampaign(sql, {
    channel: "whatsapp",
    organizationId: contactId,
    sessionId: await createSession(sql, contactId, { id: "1122334455" }),
  });
  const sms = await createCampaign(sql, { channel: "sms" });
  assert.deepEqual(perCampaign(await claim(sql, { gateways: ["sms"] }), group.id, contact.id, sms.id), [0, 0, 1]);
  assert.deepEqual(
    perCampaign(await claim(sql, { gateways: ["vps", "sms"] }), group.id, contact.id, sms.id),
    [1, 0, 0],
  );
  assert.deepEqual(perCampaign(await claim(sql), group.id, contact.id, sms.id), [0, 1, 0]);
});

databaseTest("an sms campaign is not sent through a whatsapp sender", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { channel: "whatsapp" });
  await createCampaign(sql, { organizationId, sessionId, channel: "sms" });
  assert.deepEqual(await claim(sql), []);
});

databaseTest("a campaign cannot name another organization's sender", async ({ sql }) => {
  const foreign = await createSession(sql, await createOrganization(sql));
  await assert.rejects(() => createCampaign(sql, { sessionId: foreign }), { code: "23503" });
});

// ---- leases ----

for (const [channel, minutes] of [["whatsapp_group", 5], ["whatsapp", 10], ["sms", 10]] as const) {
  databaseTest(`a claim of ${channel} has a lease of ${minutes} minutes when none is given`, async ({ sql }) => {
    const campaign = await createCampaign(sql, { channel });
    await claimOne(sql);
    const lease = (await recipientRow(sql, campaign.only.id)).lease_expires_at?.getTime() ?? 0;
    assert.ok(Math.abs(lease - Date.now() - minutes * 60_000) < 10_000);
  });
}

databaseTest("a claim has the lease that the processor asks for", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await claimOne(sql, { lease: "42 seconds" });
  const lease = (await recipientRow(sql, campaign.only.id)).lease_expires_at?.getTime() ?? 0;
  assert.ok(Math.abs(lease - Date.now() - 42_000) < 10_000);
});

// ---- opt-outs ----

databaseTest("a recipient who opted out is skipped when claimed, whenever they said so", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", recipients: 3 });
  const [out, ...others] = campaign.recipients;
  assert.ok(out);
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient) values (${campaign.organizationId}, 'whatsapp', ${out.recipient})
  `;
  const claims = await claim(sql);
  assert.deepEqual(new Set(claims.map((one) => one.recipient_id)), new Set(others.map(({ id }) => id)));
  const row = await recipientRow(sql, out.id);
  assert.deepEqual([row.status, row.skip_reason, row.attempt_count], ["skipped", "opted_out", 0]);
  const { skipped_count, processing_count } = await stats(sql, campaign.id);
  assert.deepEqual({ skipped_count, processing_count }, { skipped_count: 1, processing_count: 2 });
});

databaseTest("an opt-out of another channel or organization skips nobody", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp" });
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    values
      (${campaign.organizationId}, 'sms', ${campaign.only.recipient}),
      (${await createOrganization(sql)}, 'whatsapp', ${campaign.only.recipient})
  `;
  assert.equal((await claim(sql)).length, 1);
});

databaseTest("a campaign is completed when all its recipients opted out", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 4 });
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    select ${campaign.organizationId}, 'whatsapp_group', r.recipient from public.notification_campaign_recipients r
  `;
  assert.deepEqual(await claim(sql), []);
  assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  assert.equal((await stats(sql, campaign.id)).progress, 100);
});

databaseTest("a claim of ten finds the ten behind a hundred who opted out", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 110 });
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    select ${campaign.organizationId}, 'whatsapp_group', r.recipient
    from public.notification_campaign_recipients r
    order by r.next_attempt_at, r.id
    limit 100
  `;
  let found = 0;
  for (let claims = 0; claims < 20 && found < 10; claims++) found += (await claim(sql, { limit: 10 })).length;
  assert.equal(found, 10);
  assert.equal((await stats(sql, campaign.id)).skipped_count, 100);
});

// ---- fairness ----

databaseTest("a claim is shared equally between two campaigns of one sender", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId);
  const one = await createCampaign(sql, { organizationId, sessionId, recipients: 100 });
  const two = await createCampaign(sql, { organizationId, sessionId, recipients: 100 });
  assert.deepEqual(perCampaign(await claim(sql, { limit: 10 }), one.id, two.id), [5, 5]);
});

databaseTest("what a small campaign does not need goes to the large one", async ({ sql }) => {
  const small = await createCampaign(sql, { recipients: 2 });
  const large = await createCampaign(sql, { recipients: 100 });
  assert.deepEqual(perCampaign(await claim(sql, { limit: 10 }), small.id, large.id), [2, 8]);
});

databaseTest("a claim is shared equally between senders of five organizations", async ({ sql }) => {
  const campaigns = [];
  for (let number = 0; number < 5; number++) {
    campaigns.push(await createCampaign(sql, { recipients: 20 * (number + 1) }));
  }
  assert.deepEqual(perCampaign(await claim(sql, { limit: 50 }), ...campaigns.map(({ id }) => id)), [
    10,
    10,
    10,
    10,
    10,
  ]);
});

databaseTest(
  "a claim smaller than the number of campaigns takes one of each, and reaches all of them in the end",
  async ({ sql }) => {
    const campaigns = [];
    for (let number = 0; number < 4; number++) campaigns.push(await createCampaign(sql, { recipients: 100 }));
    const claims = [];
    // drawn by lot: that one of the four is left out twelve times in a row happens once in sixteen million runs
    for (let round = 0; round < 12; round++) {
      const claimed = await claim(sql, { limit: 3 });
      assert.equal(new Set(claimed.map((one) => one.campaign_id)).size, 3);
      claims.push(...claimed);
    }
    assert.ok(perCampaign(claims, ...campaigns.map(({ id }) => id)).every((count) => count > 0));
  },
);

databaseTest("a claim of one hands out one when a hundred campaigns run", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId);
  await sql`
    with campaigns as (
      insert into public.notification_campaigns (organization_id, channel, session_id, status)
      select ${organizationId}, 'whatsapp_group', ${sessionId}, 'processing' from generate_series(1, 100)
      returning id
    )
    insert into public.notification_campaign_recipients (campaign_id, recipient)
    select c.id, 'group ' || n from campaigns c, generate_series(1, 3) n
  `;
  assert.equal((await claim(sql, { limit: 1 })).length, 1);
  assert.equal((await claim(sql, { limit: 299 })).length, 299);
});

// ---- rates ----

databaseTest("a sender with a limit of 5 sends 5 in any minute", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute: 5 });
  await createCampaign(sql, { organizationId, sessionId, recipients: 20 });
  assert.equal((await claim(sql)).length, 5);
  assert.deepEqual(await claim(sql), []);
  await age(sql, 59);
  assert.deepEqual(await claim(sql), [], "59 seconds later");
  await age(sql, 2, 2);
  assert.equal((await claim(sql)).length, 2, "two are older than a minute");
  assert.deepEqual(await claim(sql), []);
  await age(sql, 61);
  assert.equal((await claim(sql)).length, 5, "all are older than a minute");
});

databaseTest("a sender's limit holds over all its campaigns, which share it", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute: 6 });
  const one = await createCampaign(sql, { organizationId, sessionId, recipients: 20 });
  const two = await createCampaign(sql, { organizationId, sessionId, recipients: 20 });
  const contacts = await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients: 20 });
  assert.deepEqual(perCampaign(await claim(sql), one.id, two.id, contacts.id), [2, 2, 2]);
  assert.deepEqual(await claim(sql), []);
});

databaseTest("a sender with a limit does not hold up one without", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const slow = await createSession(sql, organizationId, { messagesPerMinute: 1 });
  const limited = await createCampaign(sql, { organizationId, sessionId: slow, recipients: 20 });
  const free = await createCampaign(sql, { organizationId, recipients: 20 });
  assert.deepEqual(perCampaign(await claim(sql, { limit: 21 }), limited.id, free.id), [1, 20]);
});

databaseTest("a limit set while a sender is at work holds from then on", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 20 });
  assert.equal((await claim(sql, { limit: 4 })).length, 4);
  await sql`update public.gateway_sessions set messages_per_minute = 6 where id = ${campaign.sessionId}`;
  assert.equal((await claim(sql)).length, 2);
  await sql`update public.gateway_sessions set messages_per_minute = 3 where id = ${campaign.sessionId}`;
  assert.deepEqual(await claim(sql), []);
  await sql`update public.gateway_sessions set messages_per_minute = null where id = ${campaign.sessionId}`;
  assert.equal((await claim(sql)).length, 14);
});

databaseTest("those who opted out use up none of a sender's limit", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute: 5 });
  const campaign = await createCampaign(sql, { organizationId, sessionId, recipients: 20 });
  await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    select ${organizationId}, 'whatsapp_group', r.recipient
    from public.notification_campaign_recipients r
    order by r.next_attempt_at, r.id
    limit 5
  `;
  let found = 0;
  for (let claims = 0; claims < 5; claims++) found += (await claim(sql)).length;
  assert.equal(found, 5);
  assert.equal((await stats(sql, campaign.id)).skipped_count, 5);
});

// ---- what cannot be asked for ----

for (const limit of [null, 0, -1, 10_001]) {
  databaseTest(`a claim of ${limit} is refused with the range`, async ({ sql }) => {
    await assert.rejects(() => claim(sql, { limit }), {
      code: "22023",
      message: `p_limit must be between 1 and 10000, not ${limit}`,
    });
  });
}

databaseTest("the same recipient twice in one campaign is refused", async ({ sql }) => {
  const recipient = groupJid();
  const campaign = await createCampaign(sql, { recipients: [{ recipient }] });
  await assert.rejects(() => addRecipients(sql, campaign.id, [{ recipient }]), { code: "23505" });
});

databaseTest("a row that was sent is not claimed again when its campaign is reopened", async ({ sql }) => {
  const campaign = await createCampaign(sql);
  await recordSendCallback(sql, sentCallback(await claimOne(sql), "M1"));
  const [added] = await addRecipients(sql, campaign.id, [{}]);
  assert.equal((await claimOne(sql)).recipient_id, added?.id);
});
