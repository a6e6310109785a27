import assert from "node:assert/strict";
import { mutationsOf, withUnknownKeys } from "../../supabase/functions/_shared/mutations.ts";
import { payloadCorpus } from "../../supabase/functions/_shared/payload_corpus.ts";
import { signTwilioForm } from "../../supabase/functions/sms-delivery-webhook/twilio/signed_form.ts";
import { signedPost } from "../../supabase/functions/whatsapp-read-receipt-webhook/meta/signed_post.ts";
import {
  connect,
  createContactCampaign,
  optedOut,
  phone,
  recipientRow,
  type Sql,
  stackVariable,
  testStack,
  unique,
} from "../harness/mod.ts";

/** Posts as Meta does; the status and the answer. */
async function postMeta(body: unknown): Promise<{ status: number; body: unknown }> {
  const request = signedPost(body, stackVariable("WHATSAPP_APP_SECRET"));
  const response = await fetch(`${testStack().apiUrl}/functions/v1/whatsapp-read-receipt-webhook`, {
    method: "POST",
    headers: request.headers,
    body: await request.bytes(),
    signal: AbortSignal.timeout(60_000),
  });
  return { status: response.status, body: await response.json() };
}

/** Posts as Twilio does; the status and the answer. */
async function postTwilio(form: string | Record<string, string>): Promise<{ status: number; body: unknown }> {
  const address = `${stackVariable("PUBLIC_FUNCTIONS_URL")}/sms-delivery-webhook?attempt=unknown`;
  const params = new URLSearchParams(form);
  const response = await fetch(address, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      "x-twilio-signature": signTwilioForm(stackVariable("TWILIO_AUTH_TOKEN"), address, params),
    },
    body: typeof form === "string" ? form : params.toString(),
    signal: AbortSignal.timeout(60_000),
  });
  return { status: response.status, body: await response.json() };
}

/** A value of Meta's for one of our senders. */
function metaPost(phoneNumberId: string | null, parts: object) {
  const value = { messaging_product: "whatsapp", metadata: { phone_number_id: phoneNumberId }, ...parts };
  return { object: "whatsapp_business_account", entry: [{ id: "102", changes: [{ field: "messages", value }] }] };
}

/** Runs with the stack's database. */
async function withDatabase(test: (sql: Sql) => Promise<void>): Promise<void> {
  const sql = connect(testStack().databaseUrl, 2);
  try {
    await test(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** A paused campaign to one contact, whose message went out under an id. */
async function sentMessage(sql: Sql, channel: "whatsapp" | "sms") {
  const campaign = await createContactCampaign(sql, { channel, status: "paused" });
  const messageId = unique("M");
  await sql`update public.notification_campaign_recipients set message_id = ${messageId} where id = ${campaign.only.id}`;
  return { campaign, messageId };
}

/** How many events the database has refused so far. */
async function refusedCount(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::integer as count from private.webhook_events where reason = 'error'
  `;
  return row?.count ?? 0;
}

Deno.test("Meta's statuses count once however often and in whatever order they are posted", () =>
  withDatabase(async (sql) => {
    const { campaign, messageId } = await sentMessage(sql, "whatsapp");
    const status = (name: string) => ({
      id: messageId,
      status: name,
      timestamp: "1790000000",
      pricing: {
        billable: true,
        pricing_model: "PMP",
        type: "regular",
        category: "marketing",
        cost: "0.05",
        currency: "USD",
      },
    });
    const post = metaPost(campaign.sessionId, { statuses: ["read", "sent", "delivered"].map(status) });
    const answers = await Promise.all(Array.from({ length: 5 }, () => postMeta(post)));
    assert.ok(answers.every((answer) => answer.status === 200), JSON.stringify(answers));
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.delivered_count, row.read_count], ["sent", 1, 1]);
    const [cost] =
      await sql`select cost::text, currency from public.notification_campaign_recipients where id = ${campaign.only.id}`;
    assert.deepEqual({ ...cost }, { cost: "0.050000", currency: "USD" });
    await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  }));

Deno.test("Meta's message that is posted several times at once is stored once, and its STOP counts once", () =>
  withDatabase(async (sql) => {
    const { campaign, messageId } = await sentMessage(sql, "whatsapp");
    const contact = phone();
    const message = {
      id: unique("wamid"),
      from: contact.slice(1),
      timestamp: "1790000000",
      type: "button",
      button: { payload: "stop", text: "Stop" },
      context: { id: messageId },
    };
    const contacts = [{ wa_id: message.from, profile: { name: "Asha 😀" } }];
    const statuses = [{ id: messageId, status: "delivered", timestamp: "1790000000" }];
    const post = metaPost(campaign.sessionId, { contacts, messages: [message, message], statuses });
    const answers = await Promise.all(Array.from({ length: 5 }, () => postMeta(post)));
    assert.ok(answers.every((answer) => answer.status === 200), JSON.stringify(answers));
    const stored = await sql`
      select m.direction, m.message_type, m.content, m.context_message_id, m.payload, c.contact, c.contact_name, c.organization_id
      from public.chat_messages m join public.conversations c on c.id = m.conversation_id
      where m.wa_message_id = ${message.id}
    `;
    assert.deepEqual(stored.map((row) => ({ ...row })), [{
      direction: "inbound",
      message_type: "button",
      content: "Stop",
      context_message_id: messageId,
      payload: message,
      contact,
      contact_name: "Asha 😀",
      organization_id: campaign.organizationId,
    }]);
    assert.deepEqual(await optedOut(sql, campaign.organizationId), [contact]);
    assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 1);
    await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  }));

Deno.test("Twilio's statuses and messages count once however often they are posted", () =>
  withDatabase(async (sql) => {
    const { campaign, messageId } = await sentMessage(sql, "sms");
    const sender = campaign.sessionId ?? "";
    const delivered = { MessageSid: messageId, MessageStatus: "delivered", From: sender, To: campaign.only.recipient };
    const contact = phone();
    const inbound = { MessageSid: unique("SM"), SmsStatus: "received", From: contact, To: sender, Body: "Stop!" };
    const answers = await Promise.all([delivered, inbound, delivered, inbound, delivered, inbound].map(postTwilio));
    assert.ok(answers.every((answer) => answer.status === 200), JSON.stringify(answers));
    assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 1);
    const stored = await sql`select 1 from public.chat_messages where wa_message_id = ${inbound.MessageSid}`;
    assert.equal(stored.length, 1);
    assert.deepEqual(await optedOut(sql, campaign.organizationId, "sms"), [contact]);
    await sql`delete from public.notification_campaigns where id = ${campaign.id}`;
  }));

Deno.test("the database refuses nothing of what the webhooks make of a provider's odd post", () =>
  withDatabase(async (sql) => {
    const refused = await refusedCount(sql);
    const session = unique("sender");
    const status = {
      id: unique("M"),
      status: "failed",
      errors: [{ code: 1, title: "x" }],
      pricing: { cost: 0.1, currency: "USD" },
    };
    const message = {
      id: unique("M"),
      from: "4915112345678",
      type: "text",
      text: { body: "STOP" },
      context: { id: "x" },
    };
    const preference = { wa_id: "4915112345678", value: "stop", timestamp: 1_790_000_000 };
    const everything = {
      statuses: [status],
      messages: [message],
      message_echoes: [message],
      user_preferences: [preference],
    };
    for (const mutation of mutationsOf(everything)) {
      if (typeof mutation !== "object" || mutation === null) continue;
      const { status: code, body } = await postMeta(metaPost(session, mutation));
      assert.equal(code, 200, JSON.stringify([mutation, body]));
    }
    assert.equal(await refusedCount(sql), refused);
  }));

const corpus = { meta: payloadCorpus("meta"), twilio: payloadCorpus("twilio") };

Deno.test({
  name: "the database refuses nothing of what the webhooks make of the corpus",
  ignore: corpus.meta.length === 0,
  fn: () =>
    withDatabase(async (sql) => {
      const refused = await refusedCount(sql);
      for (const { name, text } of corpus.meta) {
        for (const body of [text, withUnknownKeys(JSON.parse(text))]) {
          const answer = await postMeta(body);
          assert.equal(answer.status, 200, `${name}: ${JSON.stringify(answer.body)}`);
        }
      }
      for (const { name, text } of corpus.twilio) {
        const answer = await postTwilio(text.trim());
        assert.equal(answer.status, 200, `${name}: ${JSON.stringify(answer.body)}`);
      }
      assert.equal(await refusedCount(sql), refused);
    }),
});
