import assert from "node:assert/strict";
import {
  claim,
  claimOne,
  createCampaign,
  createContactCampaign,
  createOrganization,
  createSession,
  databaseTest,
  makeDue,
  optedOut,
  phone,
  phoneNumberId,
  recipientRow,
  recordInboundMessages,
  recordReceipts,
  recordSendResults,
  senderRow,
  statusOf,
  written,
} from "../harness/mod.ts";

const NUMBER_ID = "200000000000001";
const TWILIO_FROM = "+14155550100";
const defaultSenders = { "cloud-api": NUMBER_ID, sms: TWILIO_FROM } as const;

databaseTest(
  "an organization without a sender sends through the installation's, each channel through its own",
  async ({ sql }) => {
    const whatsapp = await createContactCampaign(sql, { sessionId: null });
    const sms = await createContactCampaign(sql, { sessionId: null, channel: "sms" });
    const group = await createCampaign(sql, { sessionId: null });
    assert.deepEqual(await claim(sql), [], "nobody's sender is anybody's");
    const claims = await claim(sql, { defaultSenders });
    assert.deepEqual(
      new Map(claims.map((one) => [one.campaign_id, [one.gateway, one.session_id]])),
      new Map([[whatsapp.id, ["cloud-api", NUMBER_ID]], [sms.id, ["sms", TWILIO_FROM]]]),
    );
    assert.equal((await recipientRow(sql, group.only.id)).status, "pending");
  },
);

databaseTest("an organization's own sender goes before the installation's", async ({ sql }) => {
  const organizationId = await createOrganization(sql);
  const own = await createSession(sql, organizationId, { id: phoneNumberId() });
  await createContactCampaign(sql, { organizationId, sessionId: null });
  assert.equal((await claimOne(sql, { defaultSenders })).session_id, own);
});

for (const status of ["paused", "restricted"] as const) {
  databaseTest(
    `an organization whose own sender is ${status} waits, and is not sent through the installation's`,
    async ({ sql }) => {
      const organizationId = await createOrganization(sql);
      const own = await createSession(sql, organizationId, { id: phoneNumberId(), status });
      const campaign = await createContactCampaign(sql, { organizationId, sessionId: null });
      assert.deepEqual(await claim(sql, { defaultSenders }), []);
      await sql`update public.gateway_sessions set status = 'active' where id = ${own}`;
      assert.equal((await claimOne(sql, { defaultSenders })).recipient_id, campaign.only.id);
    },
  );
}

databaseTest(
  "a sender for groups or for text messages does not keep an organization from the default for contacts",
  async ({ sql }) => {
    const organizationId = await createOrganization(sql);
    await createSession(sql, organizationId, { id: "wa_groups" });
    await createSession(sql, organizationId, { id: phone(), channel: "sms" });
    await createContactCampaign(sql, { organizationId, sessionId: null });
    assert.equal((await claimOne(sql, { defaultSenders })).session_id, NUMBER_ID);
  },
);

databaseTest(
  "a campaign that names its sender is not sent through the default, whatever state the sender is in",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql);
    await sql`update public.gateway_sessions set status = 'paused'`;
    assert.deepEqual(await claim(sql, { defaultSenders }), []);
    await sql`update public.gateway_sessions set status = 'active'`;
    assert.equal((await claimOne(sql, { defaultSenders })).session_id, campaign.sessionId);
  },
);

databaseTest("a sender that one organization has is nobody else's default", async ({ sql }) => {
  const owner = await createOrganization(sql);
  await createSession(sql, owner, { id: NUMBER_ID });
  const foreign = await createContactCampaign(sql, { sessionId: null });
  const own = await createContactCampaign(sql, { organizationId: owner, sessionId: null });
  assert.deepEqual((await claim(sql, { defaultSenders })).map(({ campaign_id }) => campaign_id), [own.id]);
  assert.equal((await recipientRow(sql, foreign.only.id)).status, "pending");
});

databaseTest(
  "a default sender is used through its own gateway alone, and only where that is asked for",
  async ({ sql }) => {
    await createContactCampaign(sql, { sessionId: null });
    assert.deepEqual(await claim(sql, { defaultSenders: { sms: TWILIO_FROM } }), []);
    assert.deepEqual(await claim(sql, { defaultSenders: { vps: "wa_default" } }), []);
    assert.deepEqual(await claim(sql, { defaultSenders, gateways: ["sms", "vps"] }), []);
    assert.deepEqual(await claim(sql, { defaultSenders, excludeSessions: [NUMBER_ID] }), []);
    assert.equal((await claim(sql, { defaultSenders, gateways: ["cloud-api"] })).length, 1);
  },
);

databaseTest("the gateway of a sender is what it says, else what its id and the channel say", async ({ sql }) => {
  const cases = [
    ["whatsapp_group", "wa_1", "whatsapp", null, "vps"],
    ["whatsapp", "wa_2", "whatsapp", null, "vps"],
    ["whatsapp", "100000000000001", "whatsapp", null, "cloud-api"],
    ["whatsapp_group", "100000000000002", "whatsapp", null, "cloud-api"],
    ["sms", "+14155550101", "sms", null, "sms"],
    ["sms", "100000000000003", "sms", null, "sms"],
    ["whatsapp", "100000000000004", "whatsapp", "vps", "vps"],
    ["sms", "+14155550102", "sms", "another-sms", "another-sms"],
  ] as const;
  for (const [channel, id, sessionChannel, gateway, expected] of cases) {
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId, { id, channel: sessionChannel });
    await sql`update public.gateway_sessions set gateway = ${gateway} where id = ${id}`;
    const campaign = await createCampaign(sql, {
      organizationId,
      sessionId,
      channel,
      recipients: [{ recipient: phone() }],
    });
    assert.deepEqual(await claim(sql, { gateways: ["none of these"] }), []);
    const claimed = await claimOne(sql, { gateways: [expected] });
    assert.deepEqual([claimed.campaign_id, claimed.gateway, claimed.session_id], [campaign.id, expected, id]);
  }
});

databaseTest(
  "a campaign to contacts without a sender goes through the Cloud API, not through a session of the VPS",
  async ({ sql }) => {
    const organizationId = await createOrganization(sql);
    await createSession(sql, organizationId, { id: "wa_1" });
    await createContactCampaign(sql, { organizationId, sessionId: null });
    assert.deepEqual(await claim(sql), []);
    const number = await createSession(sql, organizationId, { id: phoneNumberId() });
    assert.equal((await claimOne(sql)).session_id, number);
  },
);

databaseTest(
  "a campaign finds an own sender that may still send when another has used up its minute",
  async ({ sql }) => {
    const organizationId = await createOrganization(sql);
    const slow = await createSession(sql, organizationId, { id: phoneNumberId(), messagesPerMinute: 1 });
    await createContactCampaign(sql, { organizationId, sessionId: slow });
    assert.equal((await claim(sql)).length, 1);
    const fast = await createSession(sql, organizationId, { id: phoneNumberId(), messagesPerMinute: 10 });
    await createContactCampaign(sql, { organizationId, sessionId: null, recipients: 3 });
    assert.deepEqual((await claim(sql)).map(({ session_id }) => session_id), [fast, fast, fast]);
  },
);

databaseTest("a default sender that the provider does not let in is not tried for ever", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { sessionId: null, maxAttempts: 3 });
  let tries = 0;
  for (; tries < 8; tries++) {
    await makeDue(sql);
    const [claimed] = await claim(sql, { defaultSenders });
    if (claimed === undefined) break;
    await recordSendResults(sql, [{
      clientMessageId: claimed.client_message_id,
      outcome: "failed",
      errorCode: "190",
      errorMessage: "the token has expired",
    }]);
  }
  // either it is held back like any other sender, or its refusals use up the attempts
  assert.ok(tries <= 3, `tried ${tries} times`);
  assert.equal((await recipientRow(sql, campaign.only.id)).error_code, "190");
});

databaseTest(
  "a default sender that one organization's message had held back is everybody's again once it is released",
  async ({ sql }) => {
    const one = await createContactCampaign(sql, { sessionId: null });
    const refused = await claimOne(sql, { defaultSenders });
    await recordSendResults(sql, [{
      clientMessageId: refused.client_message_id,
      outcome: "failed",
      errorCode: "190",
      errorMessage: "the token has expired",
    }]);
    const two = await createContactCampaign(sql, { sessionId: null });
    const owned = await sql<{ organization_id: string }[]>`
    select organization_id from public.gateway_sessions where organization_id in (${one.organizationId}, ${two.organizationId})
  `;
    assert.deepEqual([...owned], [], "it is the installation's, and nobody's own");

    // whoever runs the installation puts in a new token, and releases what was held back
    await sql`delete from private.held_senders`;
    await makeDue(sql);
    const claims = await claim(sql, { defaultSenders });
    assert.deepEqual(new Set(claims.map(({ campaign_id }) => campaign_id)), new Set([one.id, two.id]));
    assert.deepEqual(new Set(claims.map(({ session_id }) => session_id)), new Set([NUMBER_ID]));
  },
);

databaseTest(
  "replies to one organization stay its own when another's message had held back the default sender",
  async ({ sql }) => {
    const campaigns = [];
    for (const messageId of ["M1", "M2"]) {
      campaigns.push(await createContactCampaign(sql, { sessionId: null }));
      const claimed = await claimOne(sql, { defaultSenders });
      await recordSendResults(sql, [{ clientMessageId: claimed.client_message_id, outcome: "sent", messageId }]);
    }
    const [one, two] = campaigns;
    assert.ok(one && two);
    await recordReceipts(sql, [statusOf("failed", "M1", { errorCode: "131042", errorMessage: "payment" })]);
    const contact = two.only.recipient;
    await recordInboundMessages(sql, [
      written({ sessionId: NUMBER_ID, contact }, "wamid.1", "STOP", { contextMessageId: "M2" }),
    ]);
    const found = await sql<{ organization_id: string }[]>`select organization_id from public.conversations`;
    assert.deepEqual(found.map(({ organization_id }) => organization_id), [two.organizationId]);
    assert.deepEqual(await optedOut(sql, two.organizationId), [contact]);
  },
);

databaseTest("a sender added later takes over from the default", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { sessionId: null, recipients: 2 });
  assert.equal((await claim(sql, { defaultSenders, limit: 1 }))[0]?.session_id, NUMBER_ID);
  const own = await createSession(sql, campaign.organizationId, { id: phoneNumberId() });
  assert.equal((await claimOne(sql, { defaultSenders })).session_id, own);
  assert.equal((await senderRow(sql, own)).status, "active");
});

databaseTest("default senders that are null are none", async ({ sql }) => {
  await createContactCampaign(sql, { sessionId: null });
  assert.deepEqual([...await sql`select * from public.claim_recipients(p_default_senders => null)`], []);
});
