import assert from "node:assert/strict";
import { SimulatorClient } from "../../local/simulator/client.ts";
import { calm, type SomeFaults } from "../../local/simulator/faults.ts";
import type { SimulatorRecord } from "../../local/simulator/record.ts";
import { runProcessor } from "../harness/http.ts";
import {
  type Campaign,
  connect,
  createContactCampaign,
  createOrganization,
  createSession,
  type Sql,
  stats,
  testStack,
  unique,
  until,
} from "../harness/mod.ts";

const CONTACTS = 12;
const quick: SomeFaults = { ...calm, answerMs: [1, 10], callbackMs: [0, 50], receiptMs: [0, 100] };

/** What the provider knows of a campaign's messages. */
interface Truth {
  readonly delivered: number;
  readonly read: number;
  readonly failed: number;
}

/** Runs a campaign whose delivery reports are lost, then asks the provider, and compares the counts with its record. */
async function recover(
  faults: SomeFaults,
  make: (sql: Sql) => Promise<Campaign>,
  truthOf: (record: SimulatorRecord, campaign: Campaign) => Truth,
): Promise<Truth> {
  const simulator = new SimulatorClient(testStack().simulatorUrl);
  const sql = connect(testStack().databaseUrl, 2);
  await simulator.reset();
  await simulator.setFaults({ ...quick, ...faults });
  const campaign = await make(sql);
  try {
    await until("the messages to be sent, and the provider to have done with them", async () => {
      await runProcessor();
      const { sent_count, failed_count } = await stats(sql, campaign.id);
      return sent_count + failed_count === CONTACTS && await simulator.idle();
    }, 30_000);
    const truth = truthOf(await simulator.record(), campaign);
    const silent = await stats(sql, campaign.id);
    assert.deepEqual([silent.sent_count, silent.delivered_count, silent.read_count], [CONTACTS, 0, 0]);

    const heardAt = async () => {
      const [row] = await sql<{ heard_at: string | null }[]>`
        select last_heard_at::text as heard_at from private.session_states where session_id = ${campaign.sessionId}
      `;
      return row?.heard_at;
    };
    const heardBefore = await heardAt();

    // the time to ask comes
    await sql`
      update public.send_attempts a
      set next_poll_at = now() - interval '1 second'
      where a.next_poll_at is not null
        and a.recipient_id in (select r.id from public.notification_campaign_recipients r where r.campaign_id = ${campaign.id})
    `;
    const { polled } = await runProcessor();
    assert.equal(polled, CONTACTS);
    const counted = await stats(sql, campaign.id);
    assert.deepEqual(
      { delivered: counted.delivered_count, read: counted.read_count, failed: counted.failed_count },
      truth,
      "what the provider says is counted",
    );
    assert.equal(await heardAt(), heardBefore, "what was asked for is no sign that the webhooks are heard");
    // and whoever was heard of is not asked about again
    await sql`update public.send_attempts set next_poll_at = now() - interval '1 second' where next_poll_at is not null`;
    assert.equal((await runProcessor()).polled, CONTACTS - truth.delivered - truth.failed);
    return truth;
  } finally {
    await simulator.setFaults({ ...calm });
    await sql`delete from public.organizations where id = ${campaign.organizationId}`;
    await sql.end({ timeout: 5 });
  }
}

Deno.test("text messages whose reports are lost are recovered from Twilio, failures among them", async () => {
  const truth = await recover(
    { seed: 7, sms: { silent: 1, undelivered: 0.3, replies: 0 } },
    (sql) => createContactCampaign(sql, { channel: "sms", recipients: CONTACTS }),
    ({ sms }, { recipients }) => {
      const numbers = new Set(recipients.map(({ recipient }) => recipient));
      const messages = sms.contacts.filter(({ contact }) => numbers.has(contact) || numbers.has(`+${contact}`))
        .flatMap((contact) => contact.messages);
      const count = (holds: (message: typeof messages[number]) => boolean) => messages.filter(holds).length;
      return {
        delivered: count(({ delivered }) => delivered),
        read: 0,
        failed: count(({ status }) => status === "failed"),
      };
    },
  );
  assert.ok(truth.delivered > 0 && truth.failed > 0, JSON.stringify(truth));
});

Deno.test("messages of a session to contacts whose receipts are lost are recovered from the gateway", async () => {
  const truth = await recover(
    { seed: 7, contactsSilent: 1, deliveredShare: 0.7, readShare: 0.5 },
    async (sql) => {
      const organizationId = await createOrganization(sql);
      const sessionId = await createSession(sql, organizationId, { id: unique("wa") });
      return await createContactCampaign(sql, { organizationId, sessionId, recipients: CONTACTS });
    },
    ({ groups }) => ({
      delivered: groups.reduce((sum, { delivered }) => sum + delivered, 0),
      read: groups.reduce((sum, { read }) => sum + read, 0),
      failed: 0,
    }),
  );
  assert.ok(truth.delivered > truth.read && truth.read > 0 && truth.delivered < CONTACTS, JSON.stringify(truth));
});
