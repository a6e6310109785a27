import { setTimeout as delay } from "node:timers/promises";
import { SimulatorClient } from "../../local/simulator/client.ts";
import { storm } from "../../local/simulator/faults.ts";
import { randomFor } from "../../local/simulator/random.ts";
import type { SimulatorRecord } from "../../local/simulator/record.ts";
import type { Stack } from "../../local/stack.ts";
import { type Audience, makeAudience } from "./audience.ts";
import {
  auditCounters,
  countDoubleSends,
  readContacts,
  readGroups,
  readInbox,
  readOptOuts,
  readStats,
  readStatus,
} from "./backend.ts";
import { compare, type Comparison } from "./compare.ts";
import { compareContacts } from "./compare_contacts.ts";
import { compareInbox } from "./compare_inbox.ts";
import {
  insertAll,
  launch,
  openOrganization,
  type Organization,
  prepareCampaign,
  type StartedCampaign,
} from "./crm.ts";
import { Cron } from "./cron.ts";
import type { DemoOptions } from "./options.ts";
import { rateOf, rates } from "./rates.ts";
import { type Moment, Progress, sayDone, thousands } from "./screen.ts";

/** How a run came out. */
export interface Outcome {
  readonly record: SimulatorRecord;
  readonly comparisons: Comparisons;
  readonly kills: number;
}

/** The three campaigns, each held against what truly happened; those to contacts with their inbox. */
export interface Comparisons {
  readonly groups: Comparison;
  readonly whatsapp: Comparison;
  readonly sms: Comparison;
}

/** The campaigns that run side by side, and whom they are for. */
interface Campaigns {
  readonly organization: Organization;
  readonly groups: StartedCampaign & { readonly memberCounts: Readonly<Record<string, number>> };
  readonly whatsapp: StartedCampaign & { readonly audience: Audience };
  readonly sms: StartedCampaign & { readonly audience: Audience };
}

const PROCESSOR = "process-notification-campaigns";
/**
 * The processor is killed when so many of all recipients have been tried. Early: one killed while it asks the gateway
 * about earlier sends costs half a minute, after which another asks again.
 */
const KILL_AT = [0.1, 0.3] as const;
/** Of the contacts: written to by WhatsApp. */
const WHATSAPP_SHARE = 0.7;
const LOOK_EVERY_MS = 400;
/**
 * How long the backend may take to put down what the simulator had posted, and had been answered, already, and to ask
 * about the messages whose last callback was lost.
 */
const SETTLE_MS = 15_000;

/** Pace of the demo: slow enough for kills to hit, quick enough to watch. */
const pace = { answerMs: [40, 200], callbackMs: [20, 600], receiptMs: [0, 2000], hangMs: [1500, 2500] } as const;

/**
 * Runs three campaigns side by side under every fault, kills their processor on the way, and compares.
 * @param signal gives up; the reason is thrown
 */
export async function runCampaigns(stack: Stack, options: DemoOptions, signal: AbortSignal): Promise<Outcome> {
  if (stack.simulatorUrl === null) throw new Error("the stack has no simulator");
  const simulator = new SimulatorClient(stack.simulatorUrl);
  await simulator.setFaults({
    ...storm,
    seed: options.seed,
    answerMs: [...pace.answerMs],
    callbackMs: [...pace.callbackMs],
    receiptMs: [...pace.receiptMs],
    hangMs: [...pace.hangMs],
  });
  const beganAt = performance.now();
  const campaigns = await prepare(stack, options, simulator);
  const { groups, whatsapp, sms } = campaigns;
  const people = Object.values(groups.memberCounts).reduce((sum, count) => sum + count, 0);
  sayDone(
    `three campaigns started: ${thousands(options.groups)} groups of ${thousands(people)} people, ` +
      `${thousands(whatsapp.audience.recipients.length)} contacts by WhatsApp, ` +
      `${thousands(sms.audience.recipients.length)} by SMS`,
    beganAt,
  );

  const cron = new Cron(stack);
  try {
    const kills = await watch(stack, simulator, campaigns, signal);
    return { ...await settle(simulator, campaigns, signal), kills };
  } finally {
    cron.stop();
  }
}

/** One organization with three senders, three campaigns, a rate card, and people who have opted out already. */
async function prepare(stack: Stack, options: DemoOptions, simulator: SimulatorClient): Promise<Campaigns> {
  const { seed, contacts } = options;
  const memberCounts = groupsOf(options);
  await simulator.registerGroups(memberCounts);
  const byWhatsapp = Math.round(contacts * WHATSAPP_SHARE);
  const audiences = {
    whatsapp: makeAudience(seed, "whatsapp", byWhatsapp),
    sms: makeAudience(seed, "sms", contacts - byWhatsapp),
  };

  const organization = await openOrganization(stack);
  const { id: organization_id, owner } = organization;
  await insertAll(owner, "message_rates", rates.map((rate) => ({ organization_id, ...rate })));
  for (const channel of ["whatsapp", "sms"] as const) {
    const optOuts = [...audiences[channel].optedOut.keys()];
    await insertAll(owner, "opt_outs", optOuts.map((recipient) => ({ organization_id, channel, recipient })));
  }
  const [groups, whatsapp, sms] = await Promise.all([
    prepareCampaign(organization, {
      channel: "whatsapp_group",
      sender: "wa_demo",
      recipients: Object.entries(memberCounts).map(([recipient, member_count]) => ({ recipient, member_count })),
    }),
    prepareCampaign(organization, {
      channel: "whatsapp",
      sender: "106540352242922",
      recipients: audiences.whatsapp.recipients.map((recipient) => ({ recipient })),
    }),
    prepareCampaign(organization, {
      channel: "sms",
      sender: "+15005550009",
      recipients: audiences.sms.recipients.map((recipient) => ({ recipient })),
    }),
  ]);
  await Promise.all([groups, whatsapp, sms].map((campaign) => launch(organization, campaign)));
  return {
    organization,
    groups: { ...groups, memberCounts },
    whatsapp: { ...whatsapp, audience: audiences.whatsapp },
    sms: { ...sms, audience: audiences.sms },
  };
}

/** Groups of 5 to 256 people. */
function groupsOf({ seed, groups }: DemoOptions): Record<string, number> {
  return Object.fromEntries(Array.from({ length: groups }, (_, index) => {
    const groupJid = `120363${`${index + 1}`.padStart(12, "0")}@g.us`;
    return [groupJid, randomFor(seed, groupJid, "size").int(5, 256)];
  }));
}

/** Until nothing is left to send and the simulator has nothing more to post. Answers how often the processor was killed. */
async function watch(
  stack: Stack,
  simulator: SimulatorClient,
  { groups, whatsapp, sms }: Campaigns,
  signal: AbortSignal,
): Promise<number> {
  const progress = new Progress();
  const all = [groups, whatsapp, sms];
  const due = Object.keys(groups.memberCounts).length + whatsapp.audience.due.size + sms.audience.due.size;
  let moment: Moment | null = null;
  let kills = 0;
  try {
    while (true) {
      signal.throwIfAborted();
      const statuses = await Promise.all(all.map(readStatus));
      const stats = { groups: await readStats(groups), whatsapp: await readStats(whatsapp), sms: await readStats(sms) };
      const summary = await simulator.summary();
      moment = { stats, summary, kills };
      progress.show(moment);
      const open = Object.values(stats).reduce((sum, each) => sum + each.pending_count + each.processing_count, 0);
      if (summary.idle && (statuses.every((status) => status === "completed") || open === 0)) return kills;
      const killAt = KILL_AT[kills];
      const tried = summary.totals.groups + summary.cloudApi.totals.contacts + summary.sms.totals.contacts;
      if (killAt !== undefined && tried >= killAt * due) {
        kills++;
        await stack.functions.kill(PROCESSOR);
      }
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  } finally {
    progress.end(signal.aborted ? null : moment);
  }
}

/** Compares until all is equal, or for as long as anything may still change. */
async function settle(
  simulator: SimulatorClient,
  campaigns: Campaigns,
  signal: AbortSignal,
): Promise<Pick<Outcome, "record" | "comparisons">> {
  const deadline = performance.now() + SETTLE_MS;
  while (true) {
    // Asked for anew: what is looked up at the simulator goes into its record.
    const record = await simulator.record();
    const comparisons = await compareAll(campaigns, record);
    const equal = Object.values(comparisons).every(({ differences }) => differences.length === 0);
    if (equal || performance.now() > deadline) return { record, comparisons };
    await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function compareAll(
  { organization, groups, whatsapp, sms }: Campaigns,
  record: SimulatorRecord,
): Promise<Comparisons> {
  const [messages, optOuts] = [await readInbox(organization), await readOptOuts(organization)];

  async function account(campaign: StartedCampaign, rows: readonly { readonly id: string }[]) {
    return {
      status: await readStatus(campaign),
      stats: await readStats(campaign),
      doubleSends: await countDoubleSends(campaign, rows),
      discrepancies: await auditCounters(campaign),
    };
  }
  async function compareContactsBy(channel: "whatsapp" | "sms"): Promise<Comparison> {
    const campaign = channel === "whatsapp" ? whatsapp : sms;
    const truth = channel === "whatsapp" ? record.cloudApi : record.sms;
    const contacts = await readContacts(campaign);
    const sent = compareContacts({ ...await account(campaign, contacts), contacts }, truth, campaign.audience, costOf);
    const written = compareInbox(
      {
        messages: messages.filter((message) => message.channel === channel),
        optOuts: optOuts.filter((optOut) => optOut.channel === channel),
      },
      truth,
      [...campaign.audience.optedOut.values()],
    );
    return {
      counters: [...sent.counters, ...written.counters],
      differences: [...sent.differences, ...written.differences].map((difference) => `${channel}: ${difference}`),
    };
  }

  const rows = await readGroups(groups);
  return {
    groups: compare({ ...await account(groups, rows), groups: rows }, record, groups.memberCounts),
    whatsapp: await compareContactsBy("whatsapp"),
    sms: await compareContactsBy("sms"),
  };
}

/** Meta bills what it delivered, by category and country; Twilio says itself what a message cost. */
function costOf({ contact, messages }: SimulatorRecord["cloudApi"]["contacts"][number]): number {
  return messages.reduce((sum, { cost, category, delivered }) => {
    const billed = category === null || !delivered ? 0 : rateOf(category, contact);
    return sum + (cost ?? billed);
  }, 0);
}
