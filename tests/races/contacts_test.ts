import assert from "node:assert/strict";
import {
  addRecipients,
  atOnce,
  attemptsOf,
  campaignRow,
  claim,
  claimOne,
  claimSilent,
  createCampaign,
  createContactCampaign,
  databaseTest,
  failedCallback,
  receipt,
  recipientRow,
  recordReceipts,
  recordSendCallback,
  recordSendResults,
  replayWebhookEvents,
  senderRow,
  type Session,
  shuffled,
  type Sql,
  stats,
  statusOf,
  sweepWebhookEvents,
  until,
} from "../harness/mod.ts";
import { randomFor } from "../../local/simulator/random.ts";
import { contactOutcomeOf } from "../properties/contacts/contact_model.ts";
import { deliverToContacts } from "../properties/contacts/contact_deliver.ts";
import type { ContactEvent } from "../properties/contacts/contact_history.ts";
import { makeContacts } from "../properties/contacts/contact_subjects.ts";
import { namesInLockOrder } from "./names_in_lock_order.ts";

const ROUNDS = 40;
const NUMBER = "+919876543210";

// ---- statuses and the answer to the send ----

for (const carries of ["newest", null] as const) {
  databaseTest(
    `statuses that carry ${
      carries === null ? "nothing" : "their attempt"
    } and the answer at the same moment end as their set says`,
    async ({ sql, pool }) => {
      const work = pool(5);
      for (let round = 0; round < ROUNDS; round++) {
        const random = randomFor(round, "statuses");
        const kinds = random.shuffle(["sent", "delivered", "read", "failed", "failed"] as const).slice(
          0,
          random.int(1, 4),
        );
        const events: ContactEvent[] = [
          { type: "answer", attempt: "newest", outcome: "sent", message: "new1" },
          ...kinds.map((kind): ContactEvent => ({ type: "status", kind, message: "new1", carries, hasCost: true })),
        ];
        const [subject] = await makeContacts(sql, [{
          channel: round % 3 === 0 ? "sms" : "whatsapp",
          claims: 1,
          events,
        }]);
        assert.ok(subject);
        await atOnce(
          shuffled([...events, ...events]).map((event) => () => deliverToContacts(work, [{ subject, event }])),
        );
        const { status, delivered, read, cost } = contactOutcomeOf(subject.history);
        const row = await recipientRow(sql, subject.recipientId);
        assert.deepEqual(
          [row.status, row.delivered_count, row.read_count, row.cost],
          [status, delivered, read, cost],
          `round ${round}: ${kinds.join(", ")}`,
        );
        assert.equal((await attemptsOf(sql, subject.recipientId)).length, 1);
      }
      assert.equal((await sql`select from public.message_receipts where recipient_id is null`).length, 0);
    },
  );
}

databaseTest(
  "a status that carries its attempt waits for the answer that is not committed yet, and is counted",
  async ({ sql, session }) => {
    const { only } = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    const [a, b] = [await session("answer"), await session("status")];
    await a.begin();
    await recordSendResults(a.sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
    const status = await b.blocked((own) => recordReceipts(own, [statusOf("read", "M1", { clientMessageId })]));
    await a.commit();
    assert.deepEqual(await status.done, { recorded: 1, duplicates: 0, parked: 0, journaled: 0 });
    assert.equal((await recipientRow(sql, only.id)).read_count, 1);
    assert.equal((await attemptsOf(sql, only.id)).length, 1);
  },
);

databaseTest(
  "the answer waits for a status that named the message and is not committed yet",
  async ({ sql, session }) => {
    const { only } = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    const [a, b] = [await session("status"), await session("answer")];
    await a.begin();
    await recordReceipts(a.sql, [statusOf("failed", "M1", { clientMessageId, errorCode: "131026" })]);
    const answer = await b.blocked((own) =>
      recordSendResults(own, [{ clientMessageId, outcome: "sent", messageId: "M1" }])
    );
    await a.commit();
    await answer.done;
    assert.equal((await recipientRow(sql, only.id)).status, "failed");
    assert.equal((await attemptsOf(sql, only.id)).length, 1);
  },
);

databaseTest("a status that names its message takes the message's lock before the contact's", async (database) => {
  assert.equal(await namesInLockOrder(database), true);
});

databaseTest(
  "posts of statuses of many new messages from six sessions deadlock never and count exactly",
  async ({ sql, pool }) => {
    const campaign = await createContactCampaign(sql, { recipients: 30 });
    const claims = await claim(sql);
    // ids whose order is not that of their contacts
    const ids = shuffled(claims.map((_, index) => `M${index}`));
    const all = claims.flatMap(({ client_message_id: clientMessageId }, index) =>
      (["sent", "delivered", "read"] as const).map((kind) =>
        statusOf(kind, ids[index] ?? "", { clientMessageId, cost: 0.05, currency: "EUR" })
      )
    );
    const work = pool(7);
    await atOnce<unknown>([
      ...Array.from({ length: 6 }, () => async () => {
        for (let posts = 0; posts < 5; posts++) await recordReceipts(work, shuffled(all).slice(0, 40));
      }),
      () =>
        recordSendResults(
          work,
          shuffled(claims.map(({ client_message_id }, index) => ({
            clientMessageId: client_message_id,
            outcome: "sent" as const,
            messageId: ids[index] ?? "",
          }))),
        ),
    ]);
    await recordReceipts(sql, all);
    const { sent_count, delivered_count, read_count, cost } = await stats(sql, campaign.id);
    assert.deepEqual([sent_count, delivered_count, read_count, cost], [30, 30, 30, 1.5]);
    assert.equal((await sql`select from public.duplicate_sends`).length, 0);
    assert.equal((await campaignRow(sql, campaign.id)).status, "completed");
  },
);

// ---- one message for each person ----

databaseTest(
  "spellings of one number from two sessions at the same moment become one message",
  async ({ sql, pool }) => {
    const work = pool(2);
    for (let round = 0; round < ROUNDS; round++) {
      const campaign = await createContactCampaign(sql, { recipients: 0 });
      const answers = await Promise.allSettled(
        shuffled([NUMBER, "00919876543210"]).map((recipient) =>
          addRecipients(work, campaign.id, [{ recipient }], null)
        ),
      );
      // whoever came second is either told so, and may try again, or is skipped
      for (const answer of answers) if (answer.status === "rejected") assert.equal(answer.reason.code, "23505");
      for (const recipient of [NUMBER, "00919876543210"]) {
        await sql`
        insert into public.notification_campaign_recipients (campaign_id, recipient) values (${campaign.id}, ${recipient})
        on conflict (campaign_id, recipient) do nothing
      `;
      }
      const { pending_count, skipped_count } = await stats(sql, campaign.id);
      assert.deepEqual([pending_count, skipped_count], [1, 1], `round ${round}`);
      assert.equal((await claim(sql)).length, 1);
    }
  },
);

databaseTest(
  "another spelling waits for the first, which is not committed yet, and makes no second message",
  async ({ sql, session }) => {
    const campaign = await createContactCampaign(sql, { recipients: 0 });
    const [a, b] = [await session("first"), await session("second")];
    await a.begin();
    await addRecipients(a.sql, campaign.id, [{ recipient: NUMBER }], null);
    const second = await b.blocked((own) =>
      own`
      insert into public.notification_campaign_recipients (campaign_id, recipient) values (${campaign.id}, '919876543210')
      on conflict do nothing
    `
    );
    await a.commit();
    await second.done;
    assert.equal((await claim(sql)).length, 1);
  },
);

databaseTest("another spelling that waits for a first that is rolled back is the message", async ({ sql, session }) => {
  const campaign = await createContactCampaign(sql, { recipients: 0 });
  const [a, b] = [await session("first"), await session("second")];
  await a.begin();
  await addRecipients(a.sql, campaign.id, [{ recipient: NUMBER }], null);
  const second = await b.blocked((own) => addRecipients(own, campaign.id, [{ recipient: "919876543210" }], null));
  await a.rollback();
  await second.done;
  assert.equal((await claimOne(sql)).recipient, "919876543210");
});

// ---- senders that are held back ----

/** Lets both steps wait for the sender, the first to come first; then lets them go. */
async function bothWaitForSender(
  sql: Sql,
  sessionId: string,
  open: (name: string) => Promise<Session>,
  first: (sql: Sql) => Promise<unknown>,
  second: (sql: Sql) => Promise<unknown>,
): Promise<void> {
  const [gate, a, b] = [await open("gate"), await open("first"), await open("second")];
  await gate.begin();
  await gate.sql`select from public.gateway_sessions where id = ${sessionId} for update`;
  const one = await a.blocked(first);
  const two = await b.blocked(second);
  await gate.commit();
  await atOnce<unknown>([() => one.done, () => two.done]);
  assert.ok(await until("both to have ended", async () => (await senderRow(sql, sessionId)).status !== "active"));
}

databaseTest(
  "a refusal and a failed callback that hold back one sender at the same moment do not deadlock",
  async ({ sql, session }) => {
    const campaign = await createCampaign(sql, { recipients: 2 });
    const [one, two] = await claim(sql);
    assert.ok(one && two);
    await bothWaitForSender(
      sql,
      campaign.sessionId,
      session,
      (own) => recordSendCallback(own, { ...failedCallback(one), error: { code: "463", message: "restricted" } }),
      (own) =>
        recordSendResults(own, [{
          clientMessageId: two.client_message_id,
          outcome: "failed",
          errorCode: "463",
          errorMessage: "restricted",
        }]),
    );
    assert.equal((await recipientRow(sql, one.recipient_id)).status, "failed");
    assert.equal((await recipientRow(sql, two.recipient_id)).status, "pending");
  },
);

databaseTest(
  "a refusal and a failed status that hold back one sender at the same moment do not deadlock",
  async ({ sql, session }) => {
    const campaign = await createContactCampaign(sql, { recipients: 2 });
    const [one, two] = await claim(sql);
    assert.ok(one && two);
    await recordSendResults(sql, [{ clientMessageId: one.client_message_id, outcome: "accepted", messageId: "M1" }]);
    await bothWaitForSender(
      sql,
      campaign.sessionId,
      session,
      (own) => recordReceipts(own, [statusOf("failed", "M1", { errorCode: "131048" })]),
      (own) =>
        recordSendResults(own, [{ clientMessageId: two.client_message_id, outcome: "failed", errorCode: "131048" }]),
    );
    assert.equal((await recipientRow(sql, two.recipient_id)).status, "pending");
  },
);

databaseTest(
  "a claim that holds a sender with a limit does not deadlock with a refusal that holds it back",
  async ({ sql, session }) => {
    const campaign = await createContactCampaign(sql, { recipients: 2 });
    await sql`update public.gateway_sessions set messages_per_minute = 100`;
    const [refused] = await claim(sql, { limit: 1 });
    assert.ok(refused);
    await sql`
    insert into public.opt_outs (organization_id, channel, recipient)
    select ${campaign.organizationId}, 'whatsapp', r.recipient
    from public.notification_campaign_recipients r where r.status = 'pending'
  `;
    const [a, b] = [await session("claims"), await session("refusal")];
    await a.begin();
    assert.deepEqual(await claim(a.sql), []);
    const refusal = recordSendResults(b.sql, [
      { clientMessageId: refused.client_message_id, outcome: "failed", errorCode: "131048" },
    ]);
    await a.commit();
    await refusal;
    assert.equal((await senderRow(sql, campaign.sessionId)).status, "restricted");
    const { skipped_count, pending_count } = await stats(sql, campaign.id);
    assert.deepEqual({ skipped_count, pending_count }, { skipped_count: 1, pending_count: 1 });
  },
);

databaseTest("refusals of a restricted sender from six sessions leave every message waiting", async ({ sql, pool }) => {
  const work = pool(6);
  const campaign = await createContactCampaign(sql, { recipients: 30, maxAttempts: 1 });
  const claims = await claim(sql);
  await atOnce(
    claims.map(({ client_message_id }) => () =>
      recordSendResults(work, [{ clientMessageId: client_message_id, outcome: "failed", errorCode: "131048" }])
    ),
  );
  assert.equal((await stats(sql, campaign.id)).pending_count, 30);
  assert.equal((await senderRow(sql, campaign.sessionId)).status, "restricted");
});

// ---- silent messages and the journal ----

databaseTest("askers at the same moment are handed each silent message once", async ({ sql, pool }) => {
  const work = pool(5);
  await createContactCampaign(sql, { channel: "sms", recipients: 50 });
  const claims = await claim(sql);
  await recordSendResults(
    sql,
    claims.map(({ client_message_id }, index) => ({
      clientMessageId: client_message_id,
      outcome: "sent",
      messageId: `SM${index}`,
      pollAfterSeconds: 60,
    })),
  );
  await sql`update public.send_attempts set next_poll_at = now() - interval '1 second', claimed_at = now() - interval '5 minutes'`;
  const asked: string[] = [];
  while (asked.length < 50) {
    const handed = (await atOnce(Array.from({ length: 5 }, () => () => claimSilent(work, { limit: 7 })))).flat();
    assert.ok(handed.length > 0);
    asked.push(...handed.map(({ message_id }) => message_id));
  }
  assert.equal(new Set(asked).size, 50);
  assert.equal(asked.length, 50);
});

databaseTest(
  "a silent message is handed out while its delivery is reported, and counts once",
  async ({ sql, session }) => {
    const campaign = await createContactCampaign(sql, { channel: "sms" });
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "SM1", pollAfterSeconds: 60 }]);
    await sql`update public.send_attempts set next_poll_at = now() - interval '1 second'`;
    const a = await session("report");
    await a.begin();
    await recordReceipts(a.sql, [statusOf("delivered", "SM1", { reader: "sms" })]);
    // neither waits for the other
    await claimSilent(sql);
    await a.commit();
    await recordReceipts(sql, [statusOf("delivered", "SM1", { reader: "sms" })]);
    assert.equal((await stats(sql, campaign.id)).delivered_count, 1);
  },
);

databaseTest("replays at the same moment count an anonymous report once", async ({ sql, pool }) => {
  const work = pool(4);
  const campaign = await createCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordReceipts(sql, [receipt("message_delivered", "M1", null), receipt("message_delivered", "M1", null)]);
  await sql`update private.message_ids set parked_at = now() - interval '8 days'`;
  assert.equal((await sweepWebhookEvents(sql)).expired, 1);
  await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
  const replays = await atOnce(Array.from({ length: 4 }, () => () => replayWebhookEvents(work)));
  assert.equal(replays.reduce((sum, { matched }) => sum + matched, 0), 1);
  assert.equal((await recipientRow(sql, campaign.only.id)).delivered_count, 2);
});

databaseTest(
  "receipts that are swept while their message is named are counted in the end",
  async ({ sql, session }) => {
    const campaign = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordReceipts(sql, [statusOf("read", "M1", { cost: 0.05, currency: "EUR" })]);
    await sql`update private.message_ids set parked_at = now() - interval '8 days'`;
    const [a, b] = [await session("sweep"), await session("answer")];
    await a.begin();
    assert.equal((await sweepWebhookEvents(a.sql)).expired, 1);
    const answer = await b.blocked((own) =>
      recordSendResults(own, [{ clientMessageId, outcome: "sent", messageId: "M1" }])
    );
    await a.commit();
    await answer.done;
    await replayWebhookEvents(sql);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.status, row.read_count, row.cost], ["sent", 1, 0.05]);
  },
);

databaseTest("receipts whose message is named while the sweep looks are not swept", async ({ sql, session }) => {
  const campaign = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  await recordReceipts(sql, [statusOf("read", "M1")]);
  await sql`update private.message_ids set parked_at = now() - interval '8 days'`;
  const a = await session("answer");
  await a.begin();
  await recordSendResults(a.sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
  assert.deepEqual(await sweepWebhookEvents(sql), { expired: 0, deleted: 0 });
  await a.commit();
  assert.equal((await recipientRow(sql, campaign.only.id)).read_count, 1);
});

databaseTest(
  "a receipt that comes while receipts of its message are swept is counted in the end",
  async ({ sql, session }) => {
    const campaign = await createContactCampaign(sql);
    const { client_message_id: clientMessageId } = await claimOne(sql);
    await recordReceipts(sql, [statusOf("delivered", "M1")]);
    await sql`update private.message_ids set parked_at = now() - interval '8 days'`;
    const [a, b] = [await session("sweep"), await session("receipt")];
    await a.begin();
    await sweepWebhookEvents(a.sql);
    const late = await b.blocked((own) => recordReceipts(own, [statusOf("read", "M1")]));
    await a.commit();
    assert.equal((await late.done).parked, 1);
    await sql`update public.notification_campaign_recipients set message_id = 'M1', status = 'sent' where id = ${campaign.only.id}`;
    await recordSendResults(sql, [{ clientMessageId, outcome: "sent", messageId: "M1" }]);
    await replayWebhookEvents(sql);
    const row = await recipientRow(sql, campaign.only.id);
    assert.deepEqual([row.delivered_count, row.read_count], [1, 1]);
  },
);
