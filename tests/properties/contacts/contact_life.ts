import assert from "node:assert/strict";
import { randomFor } from "../../../local/simulator/random.ts";
import {
  type Campaign,
  type Claim,
  claim,
  createContactCampaign,
  createOrganization,
  createSession,
  foldCounters,
  makeDue,
  optedOut,
  phone,
  phoneNumberId,
  recipientRow,
  recordInboundMessages,
  recordReceipts,
  recordSendResults,
  recoverStale,
  replayWebhookEvents,
  senderRow,
  type SendResult,
  type Sql,
  stats,
  statusOf,
  sweepWebhookEvents,
  written,
} from "../../harness/mod.ts";

const CONTACTS = 25;
const CODES = ["131056", "131000", "190", "131048", "131026", "131047", "131050", "987654321", null] as const;

/** One attempt, as the provider knows it. */
interface Sent {
  readonly claimed: Claim;
  readonly messageId: string;
  isAnswered: boolean;
  hasFailed: boolean;
}

/**
 * Two campaigns to the same people through one sender, and all that may happen to them in an order of chance: claims, answers
 * of every kind, lost leases, statuses early, late and again, words, holds and releases, retries by a person, sweeps and
 * replays. In the end the provider takes everything that is left.
 *
 * @throws AssertionError as soon as somebody is written to who must not be, and when something does not end
 */
export async function live(sql: Sql, seed: number, steps: number): Promise<void> {
  const random = randomFor(seed, "life");
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { id: phoneNumberId() });
  const numbers = Array.from({ length: CONTACTS }, phone);
  const campaigns: Campaign[] = [];
  for (const spell of [(number: string) => number, (number: string) => `00${number.slice(1)}`]) {
    campaigns.push(await createContactCampaign(sql, { organizationId, sessionId, recipients: numbers.map(spell) }));
  }
  const sent: Sent[] = [];
  const delivered = new Set<string>();
  let clock = 1_790_000_000;
  let words = 0;

  /** Claims, and looks at each claim: was there any reason not to hand it out? */
  const claimSome = async (limit: number) => {
    const out = new Set(await optedOut(sql, organizationId));
    const { status } = await senderRow(sql, sessionId);
    for (const claimed of await claim(sql, { limit })) {
      const what = `${claimed.recipient}, attempt ${claimed.attempt_number}; FAST_CHECK_SEED=${seed}`;
      assert.equal(status, "active", `claimed through a sender that is ${status}: ${what}`);
      assert.ok(!out.has(`+${claimed.recipient.replace(/^(\+|00)/, "")}`), `claimed though opted out: ${what}`);
      assert.ok(!delivered.has(claimed.recipient_id), `claimed though delivered: ${what}`);
      const standing = sent.find((one) =>
        one.claimed.recipient_id === claimed.recipient_id && one.isAnswered && !one.hasFailed
      );
      assert.equal(standing, undefined, `claimed though ${standing?.messageId} went out and did not fail: ${what}`);
      sent.push({ claimed, messageId: `wamid.${claimed.client_message_id}`, isAnswered: false, hasFailed: false });
    }
  };

  const answer = async (some: Sent[]) => {
    const results = some.map((one): SendResult => {
      const clientMessageId = one.claimed.client_message_id;
      if (random.chance(0.6)) {
        one.isAnswered = true;
        return { clientMessageId, outcome: "sent", messageId: one.messageId };
      }
      const errorCode = random.pick(CODES);
      const outcome = random.pick(["failed", "failed", "unknown", "deferred"] as const);
      return { clientMessageId, outcome, errorMessage: "no", ...errorCode === null ? {} : { errorCode } };
    });
    await recordSendResults(sql, results);
  };

  const report = async (some: Sent[]) => {
    const events = some.map((one) => {
      const kind = random.pick(["sent", "delivered", "read", "failed", "failed"] as const);
      const carries = random.chance(0.5);
      if (kind === "delivered" || kind === "read") {
        // parked until somebody says whose message it is
        if (carries || one.isAnswered) delivered.add(one.claimed.recipient_id);
      }
      if (kind === "failed") one.hasFailed = true;
      if (carries) one.isAnswered = true;
      const errorCode = random.pick(CODES);
      return statusOf(kind, one.messageId, {
        ...carries ? { clientMessageId: one.claimed.client_message_id } : {},
        ...kind === "failed" ? { errorCode } : {},
        ...random.chance(0.5) ? { cost: 0.05, currency: "EUR" } : {},
      });
    });
    await recordReceipts(sql, events);
  };

  const someSent = (isWanted: (one: Sent) => boolean = () => true) =>
    random.shuffle(sent.filter(isWanted)).slice(0, random.int(1, 6));
  const kinds: readonly [number, () => Promise<unknown>][] = [
    [6, () => claimSome(random.int(1, 8))],
    [6, () => answer(someSent((one) => !one.isAnswered && !one.hasFailed))],
    [5, () => report(someSent())],
    [2, async () => {
      const contact = random.pick([numbers[0] ?? "", ...numbers]);
      const text = random.pick(["STOP", "START", "START", "Hello"]);
      await recordInboundMessages(sql, [
        written({ sessionId, contact }, `in.${++words}`, text, { timestamp: ++clock }),
      ]);
    }],
    [3, async () => await sql`update public.gateway_sessions set status = 'active' where id = ${sessionId}`],
    [3, () => makeDue(sql)],
    [1, async () => {
      await sql`
      update public.notification_campaign_recipients set lease_expires_at = now() - interval '1 second'
      where status = 'processing'
    `;
      await recoverStale(sql);
    }],
    [1, async () => {
      const { id } = campaigns[random.int(0, 1)] ?? { id: "" };
      await sql`select public.retry_failed_recipients(${id})`;
    }],
    [1, () => foldCounters(sql)],
    [1, async () => {
      await sql`update private.message_ids set parked_at = now() - interval '8 days' where recipient_id is null`;
      await sweepWebhookEvents(sql);
    }],
    [1, () => replayWebhookEvents(sql)],
  ];
  const deck = kinds.flatMap(([weight, step]) => Array.from({ length: weight }, () => step));
  const [first, ...rest] = deck;
  assert.ok(first);
  for (let step = 0; step < steps; step++) await random.pick([first, ...rest])();

  // in the end the provider takes everything
  for (let turn = 0; turn < 60 && await isOpen(sql, campaigns); turn++) {
    await sql`update public.gateway_sessions set status = 'active'`;
    await sql`
    update public.notification_campaign_recipients set lease_expires_at = now() - interval '1 second' where status = 'processing'
  `;
    await recoverStale(sql);
    await sql`
    update public.notification_campaign_recipients set status = 'pending', next_attempt_at = now() where status = 'unconfirmed'
  `;
    await makeDue(sql);
    const before = sent.length;
    await claimSome(100);
    const last = sent.slice(before);
    for (const one of last) one.isAnswered = true;
    await recordSendResults(
      sql,
      last.map(({ claimed, messageId }) => ({
        clientMessageId: claimed.client_message_id,
        outcome: "sent",
        messageId,
      })),
    );
  }
  await replayWebhookEvents(sql);
  for (const { id } of campaigns) {
    const { progress, total_count } = await stats(sql, id);
    assert.deepEqual([progress, total_count], [100, CONTACTS], `FAST_CHECK_SEED=${seed}`);
  }
  for (const id of delivered) {
    assert.equal((await recipientRow(sql, id)).status, "sent", `${id} was delivered; FAST_CHECK_SEED=${seed}`);
  }
}

async function isOpen(sql: Sql, campaigns: readonly Campaign[]): Promise<boolean> {
  const [row] = await sql<{ count: number }[]>`
    select count(*) as count from public.notification_campaigns
    where id = any (${campaigns.map(({ id }) => id)}::uuid[]) and status <> 'completed'
  `;
  return (row?.count ?? 0) > 0;
}
