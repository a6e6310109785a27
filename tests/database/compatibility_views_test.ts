import assert from "node:assert/strict";
import {
  asRole,
  claim,
  claimOne,
  createCampaign,
  createMember,
  databaseTest,
  groupJid,
  person,
  receipt,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  sentCallback,
  stats,
} from "../harness/mod.ts";

databaseTest("notification_campaign_groups takes new groups, which are then sent", async ({ sql }) => {
  const campaign = await createCampaign(sql, { recipients: 0 });
  const jid = groupJid();
  const [row] = await sql<{ id: string; status: string }[]>`
    insert into public.notification_campaign_groups (campaign_id, group_jid, member_count)
    values (${campaign.id}, ${jid}, 12)
    returning id, status
  `;
  assert.equal(row?.status, "pending");
  const claimed = await claimOne(sql);
  assert.deepEqual([claimed.recipient_id, claimed.recipient], [row?.id, jid]);
  await recordSendCallback(sql, sentCallback(claimed, "M1"));
  await recordReceipts(sql, [receipt("message_read", "M1", person(1))]);
  const [seen] = await sql`
    select group_jid, status, message_id, error_message, member_count, delivered_count, read_count
    from public.notification_campaign_groups
  `;
  assert.deepEqual(seen, {
    group_jid: jid,
    status: "sent",
    message_id: "M1",
    error_message: null,
    member_count: 12,
    delivered_count: 1,
    read_count: 1,
  });
});

databaseTest("notification_campaign_groups refuses a recipient of a campaign to contacts", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "sms", recipients: 0 });
  await assert.rejects(
    async () =>
      await sql`insert into public.notification_campaign_groups (campaign_id, group_jid) values (${campaign.id}, 'x')`,
    { code: "44000" },
  );
});

databaseTest("notification_campaign_groups shows groups alone and send_queue contacts alone", async ({ sql }) => {
  const group = await createCampaign(sql);
  const contact = await createCampaign(sql, { channel: "whatsapp" });
  const text = await createCampaign(sql, { channel: "sms" });
  const groups = await sql`select id from public.notification_campaign_groups`;
  assert.deepEqual(groups.map((row) => row.id), [group.only.id]);
  const contacts = await sql`select id from public.send_queue`;
  assert.deepEqual(new Set(contacts.map((row) => row.id)), new Set([contact.only.id, text.only.id]));
});

databaseTest("send_queue takes ready for pending", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", recipients: 0 });
  const [row] = await sql<{ id: string; status: string }[]>`
    insert into public.send_queue (campaign_id, phone, status) values (${campaign.id}, '+919870000001', 'ready')
    returning id, status
  `;
  assert.equal(row?.status, "pending");
  await sql`insert into public.send_queue (campaign_id, phone) values (${campaign.id}, '+919870000002')`;
  await sql`insert into public.send_queue (campaign_id, phone, status) values (${campaign.id}, '+919870000003', 'pending')`;
  const { pending_count, audience_count } = await stats(sql, campaign.id);
  assert.deepEqual({ pending_count, audience_count }, { pending_count: 3, audience_count: 3 });
  assert.equal((await claim(sql)).length, 3);
});

databaseTest("send_queue takes over rows of an old system with their message id and time", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", recipients: 0 });
  await recordReceipts(sql, [receipt("message_read", "wamid.old", "919870000001@s.whatsapp.net")]);
  const [row] = await sql<{ id: string }[]>`
    insert into public.send_queue (campaign_id, phone, status, whatsapp_message_id, actual_sent_at)
    values (${campaign.id}, '+919870000001', 'sent', 'wamid.old', '2026-01-02T03:04:05Z')
    returning id
  `;
  assert.ok(row);
  const stored = await recipientRow(sql, row.id);
  assert.deepEqual([stored.status, stored.message_id, stored.read_count], ["sent", "wamid.old", 1]);
  assert.equal(stored.sent_at?.toISOString(), "2026-01-02T03:04:05.000Z");
  const [seen] = await sql`select whatsapp_message_id, status from public.send_queue`;
  assert.deepEqual(seen, { whatsapp_message_id: "wamid.old", status: "sent" });
});

databaseTest("send_queue refuses a group campaign, an unknown campaign and a status that is none", async ({ sql }) => {
  const group = await createCampaign(sql, { recipients: 0 });
  const contact = await createCampaign(sql, { channel: "sms", recipients: 0 });
  const insert = async (campaignId: string | null, status: string) =>
    await sql`insert into public.send_queue (campaign_id, phone, status) values (${campaignId}, '+919870000001', ${status})`;
  await assert.rejects(() => insert(group.id, "ready"), { code: "23514", hint: /notification_campaign_groups/ });
  await assert.rejects(() => insert(null, "ready"), { code: "23514", message: /campaign_id null/ });
  await assert.rejects(() => insert(contact.id, "done"), { code: "22P02" });
});

databaseTest("an operator fills send_queue and a viewer does not", async ({ sql }) => {
  const campaign = await createCampaign(sql, { channel: "whatsapp", status: "draft", recipients: 0 });
  const operator = await createMember(sql, campaign.organizationId, "operator");
  const viewer = await createMember(sql, campaign.organizationId, "viewer");
  const insert = (userId: string, phone: string) =>
    asRole(
      sql,
      "authenticated",
      userId,
      async (tx) =>
        await tx`insert into public.send_queue (campaign_id, phone, status) values (${campaign.id}, ${phone}, 'ready')`,
    );
  await insert(operator, "+919870000001");
  await assert.rejects(() => insert(viewer, "+919870000002"), { code: "42501" });
  assert.equal((await stats(sql, campaign.id)).total_count, 1);
});
