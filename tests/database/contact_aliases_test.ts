import assert from "node:assert/strict";
import {
  addRecipients,
  type Campaign,
  claim,
  claimOne,
  createContactCampaign,
  databaseTest,
  optedOut,
  recordInboundMessages,
  recordSendResults,
  type Sql,
  written,
} from "../harness/mod.ts";

/** A Mexican number as it is dialled, and as WhatsApp calls it. */
const DIALLED = "+525512345678";
const WA_ID = "5215512345678";
const AT = 1_790_000_000;

/** Claims the one message that is due, and stores what the provider answered. */
async function send(sql: Sql, more: { messageId?: string; waId?: string } = {}): Promise<void> {
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1", ...more }]);
}

async function says(sql: Sql, { sessionId }: Campaign, text: string, after: number): Promise<number[]> {
  const message = written({ sessionId, contact: WA_ID }, `wamid.${after}`, text, { timestamp: AT + after });
  const { opted_out, opted_in } = await recordInboundMessages(sql, [message]);
  return [opted_out, opted_in];
}

databaseTest(
  "a stop from a number that WhatsApp spells otherwise stops messages to the number dialled",
  async ({ sql }) => {
    const campaign = await createContactCampaign(sql, { recipients: [DIALLED] });
    await send(sql, { waId: WA_ID });
    assert.deepEqual(await says(sql, campaign, "STOP", 0), [2, 0]);
    assert.deepEqual(await optedOut(sql, campaign.organizationId), [`+${WA_ID}`, DIALLED]);
    const next = await createContactCampaign(sql, { ...campaign, recipients: ["+52 55 1234 5678", `+${WA_ID}`] });
    assert.deepEqual(await claim(sql), []);
    assert.equal(next.recipients.length, 2);
    assert.deepEqual(await says(sql, campaign, "START", 60), [0, 2]);
    assert.deepEqual(await optedOut(sql, campaign.organizationId), []);
  },
);

databaseTest("a stop that was said before anybody knew the spelling counts when it is known", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [DIALLED] });
  assert.deepEqual(await says(sql, campaign, "STOP", 0), [1, 0]);
  await send(sql, { waId: WA_ID });
  assert.deepEqual(await optedOut(sql, campaign.organizationId), [`+${WA_ID}`, DIALLED]);
});

databaseTest("a stop that was said to another organization is not this one's", async ({ sql }) => {
  const [ours, theirs] = [
    await createContactCampaign(sql, { recipients: [DIALLED] }),
    await createContactCampaign(sql, { recipients: 0 }),
  ];
  await says(sql, theirs, "STOP", 0);
  await send(sql, { waId: WA_ID });
  assert.deepEqual(await optedOut(sql, ours.organizationId), []);
  assert.deepEqual(await optedOut(sql, theirs.organizationId), [`+${WA_ID}`]);
});

databaseTest("a message is claimed, and stored, as before where nothing differs", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: [DIALLED] });
  await send(sql);
  await addRecipients(sql, campaign.id, [{ recipient: "+525512345679" }], null);
  await send(sql, { messageId: "M2", waId: "525512345679" });
  assert.equal((await sql`select from private.contact_aliases`).length, 0);
});

databaseTest("a spelling is kept once, and one that can be no number never", async ({ sql }) => {
  const campaign = await createContactCampaign(sql, { recipients: 4 });
  const claims = await claim(sql);
  const spellings = [WA_ID, "not a number", "", `+${WA_ID}`];
  const results = claims.map(({ client_message_id: clientMessageId }, index) => ({
    clientMessageId,
    outcome: "sent" as const,
    messageId: `M${index}`,
    waId: spellings[index] ?? "",
  }));
  await recordSendResults(sql, results);
  await recordSendResults(sql, results);
  const kept = await sql<{ alias: string; address: string }[]>`select alias, address from private.contact_aliases`;
  const [first] = claims;
  assert.deepEqual(kept.map((row) => ({ ...row })), [{ alias: `+${WA_ID}`, address: first?.recipient }]);
  assert.deepEqual(await optedOut(sql, campaign.organizationId), []);
});

databaseTest("a message of a text campaign has no other spelling", async ({ sql }) => {
  await createContactCampaign(sql, { channel: "sms", recipients: [DIALLED] });
  await send(sql, { waId: WA_ID });
  assert.equal((await sql`select from private.contact_aliases`).length, 0);
});
