import {
  claim,
  createContactCampaign,
  createOrganization,
  createSession,
  phone,
  phoneNumberId,
  recoverStale,
  type Sql,
} from "../../harness/mod.ts";
import type { ContactHistory } from "./contact_history.ts";

/** A contact to whom one history will happen. */
export interface ContactSubject {
  readonly history: ContactHistory;
  readonly recipientId: string;
  readonly campaignId: string;
  /** Ids of its attempts, oldest first. */
  readonly attempts: readonly string[];
}

const CLAIM_LIMIT = 10_000;

/** Stores one contact for each history and claims it as often as the history says. */
export async function makeContacts(sql: Sql, histories: readonly ContactHistory[]): Promise<ContactSubject[]> {
  const subjects: ContactSubject[] = [];
  for (const group of Map.groupBy(histories, ({ channel, claims }) => `${channel} ${claims}`).values()) {
    subjects.push(...await place(sql, group));
  }
  return subjects;
}

/** Histories that begin alike, in a campaign of their own. */
async function place(sql: Sql, histories: readonly ContactHistory[]): Promise<ContactSubject[]> {
  const [first] = histories;
  if (first === undefined) return [];
  const organizationId = await createOrganization(sql);
  const { channel } = first;
  const campaign = await createContactCampaign(sql, {
    channel,
    organizationId,
    sessionId: await createSession(sql, organizationId, { channel, id: channel === "sms" ? phone() : phoneNumberId() }),
    recipients: histories.length,
  });
  const attempts = new Map<string, string[]>(campaign.recipients.map(({ id }) => [id, []]));
  for (let times = 0; times < first.claims; times++) {
    if (times > 0) {
      await sql`
        update public.notification_campaign_recipients set lease_expires_at = now() - interval '1 second'
        where campaign_id = ${campaign.id}
      `;
      while (await recoverStale(sql) > 0);
    }
    while (true) {
      const claims = await claim(sql, { limit: CLAIM_LIMIT });
      if (claims.length === 0) break;
      for (const { recipient_id, client_message_id } of claims) attempts.get(recipient_id)?.push(client_message_id);
    }
  }
  return campaign.recipients.flatMap(({ id }, index) => {
    const history = histories[index];
    const own = attempts.get(id) ?? [];
    if (own.length !== first.claims) throw new Error(`A contact was claimed ${own.length} times`);
    return history === undefined ? [] : [{ history, recipientId: id, campaignId: campaign.id, attempts: own }];
  });
}
