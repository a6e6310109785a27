import assert from "node:assert/strict";
import type { Stack } from "../../local/stack.ts";
import { pause } from "../../local/within.ts";
import { createCampaign } from "../harness/campaigns.ts";
import { connect, type Sql } from "../harness/connect.ts";
import { stats } from "../harness/rows.ts";
import { until } from "../harness/until.ts";
import { onStackOfItsOwn } from "./crash_stack.ts";
import { type ContactsGateway, startContactsGateway } from "./contacts_gateway.ts";

const PROCESSOR = "process-notification-campaigns";
const CONTACTS = 20_000;
const KILLS = 10;

/**
 * What a killed processor had claimed and not sent comes back after so long; what it had sent must be reported by then.
 * A machine that is busy otherwise needs the more of it.
 */
const LEASE_SECONDS = 8;
const SETTLE_MS = 80_000;
const RUN_TIMEOUT_MS = 30_000;
const WATCH_MS = 50;
const NEXT_RUN_MS = 200;

const environment = {
  PROCESS_LEASE_SECONDS: `${LEASE_SECONDS}`,
  PROCESS_CONCURRENCY: "128",
  PROCESS_SESSION_CONCURRENCY: "128",
} as const;

Deno.test(`${CONTACTS} contacts get one message each while the processor is killed ${KILLS} times`, async () => {
  const gateway = startContactsGateway();
  try {
    await onStackOfItsOwn({
      simulator: false,
      env: {
        ...environment,
        WHATSAPP_CLOUD_API_URL: gateway.url,
        WHATSAPP_PHONE_NUMBER_ID: gateway.phoneNumberId,
        WHATSAPP_ACCESS_TOKEN: gateway.accessToken,
      },
    }, (stack) => assertEachGetsOne(stack, gateway));
  } finally {
    await gateway.stop();
  }
});

async function assertEachGetsOne(stack: Stack, gateway: ContactsGateway): Promise<void> {
  const sql = connect(stack.databaseUrl, 2);
  const end = new AbortController();
  gateway.report({
    url: `${stack.apiUrl}/functions/v1/whatsapp-read-receipt-webhook`,
    appSecret: stack.env.WHATSAPP_APP_SECRET ?? "",
  });
  let background: Promise<unknown> = Promise.resolve();
  try {
    const campaignId = await startCampaign(sql);
    const watching = watch(sql, campaignId, end.signal);
    background = Promise.allSettled([watching, keepProcessing(stack, end.signal)]);
    let unheard = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const share = (kill + 0.5) / (KILLS + 1);
      await until(
        `${Math.round(share * 100)} % of the contacts to be sent to`,
        () => gateway.sent.length >= share * CONTACTS,
        SETTLE_MS,
      );
      unheard += await killProcessor(stack, gateway, kill % 2 === 0 ? "claim and send" : "send and record");
    }
    assert.ok(unheard > 0, "every answer was heard");
    await until("the campaign to be completed", () => isCompleted(sql, campaignId), SETTLE_MS);
    await until("every status to be taken", () => gateway.isIdle, SETTLE_MS);
    end.abort();

    const readings = await watching;
    assert.ok(readings.length > 20, `read ${readings.length} times only`);
    assertNeverTooMuch(readings);
    await assertEqual(sql, campaignId, gateway);
  } finally {
    end.abort();
    await background;
    await sql.end({ timeout: 1 });
  }
}

/**
 * Kills the processor with messages between two steps of their way: claimed and never sent, or sent with nobody left who
 * could hear it. Answers how many went unheard.
 */
async function killProcessor(
  stack: Stack,
  gateway: ContactsGateway,
  moment: "claim and send" | "send and record",
): Promise<number> {
  const { swallowed } = gateway;
  if (moment === "claim and send") gateway.manner = "swallow";
  await until(
    `messages between ${moment}`,
    () => moment === "claim and send" ? gateway.swallowed > swallowed : gateway.answering > 0,
    SETTLE_MS,
  );
  const { answering } = gateway;
  await stack.functions.kill(PROCESSOR);
  gateway.manner = "answer";
  return answering;
}

/** A campaign that names no sender, from an organization that has none: the installation's sends. */
async function startCampaign(sql: Sql): Promise<string> {
  const { id } = await createCampaign(sql, {
    channel: "whatsapp",
    sessionId: null,
    status: "draft",
    recipients: [],
    // a kill uses up an attempt of whatever was claimed
    maxAttempts: 1 + KILLS,
  });
  await sql`
    insert into public.notification_campaign_recipients (campaign_id, recipient)
    select ${id}, ${numberOf(0).slice(0, -5)} || lpad(place::text, 5, '0')
    from generate_series(0, ${CONTACTS - 1}) as place
  `;
  await sql`update public.notification_campaigns set status = 'processing' where id = ${id}`;
  return id;
}

function numberOf(place: number): string {
  return `+9198700${`${place}`.padStart(5, "0")}`;
}

/** Starts the next run as soon as one is over, killed or not. */
async function keepProcessing(stack: Stack, end: AbortSignal): Promise<void> {
  while (!end.aborted) {
    try {
      const response = await fetch(`${stack.apiUrl}/functions/v1/${PROCESSOR}`, {
        method: "POST",
        headers: { "x-api-key": stack.env.CRON_SECRET_KEY ?? "" },
        signal: AbortSignal.any([end, AbortSignal.timeout(RUN_TIMEOUT_MS)]),
      });
      await response.body?.cancel();
    } catch {
      // killed
    }
    await pause(NEXT_RUN_MS);
  }
}

type Stats = Awaited<ReturnType<typeof stats>>;

/** Reads the counters again and again, as a screen would. */
async function watch(sql: Sql, campaignId: string, end: AbortSignal): Promise<Stats[]> {
  const readings: Stats[] = [];
  while (!end.aborted) {
    readings.push(await stats(sql, campaignId));
    await pause(WATCH_MS);
  }
  return readings;
}

function assertNeverTooMuch(readings: readonly Stats[]): void {
  let before = { sent_count: 0, delivered_count: 0, read_count: 0, progress: 0 };
  for (const reading of readings) {
    const { total_count, sent_count, delivered_count, read_count, progress } = reading;
    assert.equal(total_count, CONTACTS);
    for (const counter of [sent_count, delivered_count, read_count]) assert.ok(counter >= 0 && counter <= CONTACTS);
    assert.ok(progress >= 0 && progress <= 100);
    assert.ok(sent_count >= before.sent_count, "sent went down");
    assert.ok(delivered_count >= before.delivered_count, "delivered went down");
    assert.ok(read_count >= before.read_count, "read went down");
    assert.ok(progress >= before.progress, "progress went down");
    before = reading;
  }
}

async function isCompleted(sql: Sql, campaignId: string): Promise<boolean> {
  const [row] = await sql<{ status: string }[]>`
    select status from public.notification_campaigns where id = ${campaignId}
  `;
  await pause(WATCH_MS);
  return row?.status === "completed";
}

async function assertEqual(sql: Sql, campaignId: string, { sent, malformed }: ContactsGateway): Promise<void> {
  assert.deepEqual(malformed, []);
  assert.equal(sent.length, CONTACTS, "messages at the provider");
  const byContact = new Map(sent.map((message) => [message.to, message]));
  assert.equal(byContact.size, CONTACTS, "contacts who got a message");
  for (let place = 0; place < CONTACTS; place++) assert.ok(byContact.has(numberOf(place)));

  const { total_count, sent_count, delivered_count, read_count, progress } = await stats(sql, campaignId);
  assert.deepEqual({ total_count, sent_count, delivered_count, read_count, progress }, {
    total_count: CONTACTS,
    sent_count: CONTACTS,
    delivered_count: sent.filter(({ isDelivered }) => isDelivered).length,
    read_count: sent.filter(({ isRead }) => isRead).length,
    progress: 100,
  });
  const rows = await sql<
    { recipient: string; status: string; message_id: string; delivered_count: number; read_count: number }[]
  >`
    select recipient, status, message_id, delivered_count, read_count
    from public.notification_campaign_recipients
    where campaign_id = ${campaignId}
  `;
  assert.equal(rows.length, CONTACTS);
  for (const row of rows) {
    const message = byContact.get(row.recipient);
    assert.deepEqual(row, {
      recipient: row.recipient,
      status: "sent",
      message_id: message?.messageId,
      delivered_count: Number(message?.isDelivered),
      read_count: Number(message?.isRead),
    });
  }
  const [attempts] = await sql<{ count: number }[]>`select count(*) as count from public.send_attempts`;
  assert.ok(attempts !== undefined && attempts.count > CONTACTS, "nothing that was claimed had to be claimed again");
  assert.deepEqual([...await sql`select * from public.audit_campaign_counters()`], []);
  assert.deepEqual([...await sql`select source, reason from private.webhook_events`], []);
}
