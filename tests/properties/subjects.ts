import { claim, createCampaign, createOrganization, createSession, recoverStale, type Sql } from "../harness/mod.ts";
import type { History } from "./history.ts";
import type { Situation } from "./situation.ts";

/** A recipient row that one history will happen to. */
export interface Subject {
  readonly history: History;
  readonly recipientId: string;
  readonly campaignId: string;
  readonly groupJid: string;
  readonly sessionId: string;
  /** Ids of its attempts, oldest first: what the gateway knows as `clientMessageId`. */
  readonly attempts: readonly string[];
}

const CLAIM_LIMIT = 10_000;

/** Stores one recipient for each history and brings it into the situation where the history begins, through the rpcs. */
export async function makeSubjects(sql: Sql, histories: readonly History[]): Promise<Subject[]> {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId);
  const bySituation = Map.groupBy(histories, ({ situation }) => situation);
  const subjects: Subject[] = [];
  for (const [situation, group] of bySituation) {
    subjects.push(...await place(sql, situation, group, organizationId, sessionId));
  }
  return subjects;
}

async function place(
  sql: Sql,
  situation: Situation,
  histories: readonly History[],
  organizationId: string,
  sessionId: string,
): Promise<Subject[]> {
  const campaign = await createCampaign(sql, {
    organizationId,
    sessionId,
    status: "paused",
    maxAttempts: situation.maxAttempts,
    unconfirmedPolicy: situation.unconfirmedPolicy,
    onTransientError: situation.onTransientError,
    recipients: histories.map(({ memberCount }) => ({ memberCount })),
  });
  const attempts = new Map<string, string[]>(campaign.recipients.map(({ id }) => [id, []]));
  const setStatus = (status: string) =>
    sql`update public.notification_campaigns set status = ${status} where id = ${campaign.id}`;
  const claimAll = async () => {
    while (true) {
      const claims = await claim(sql, { limit: CLAIM_LIMIT });
      if (claims.length === 0) return;
      for (const row of claims) attempts.get(row.recipient_id)?.push(row.client_message_id);
    }
  };
  const endLeases = async () => {
    await sql`
      update public.notification_campaign_recipients set lease_expires_at = now() - interval '1 second'
      where campaign_id = ${campaign.id} and status = 'processing'
    `;
    while (await recoverStale(sql) > 0);
  };

  // one campaign runs at a time: claims take from it alone
  if (situation.claims > 0) {
    await setStatus("processing");
    await claimAll();
    if (situation.claims === 2) {
      await endLeases();
      await claimAll();
    }
    if (situation.status !== "processing") await endLeases();
    await setStatus("paused");
  }
  return campaign.recipients.flatMap(({ id, recipient }, index) => {
    const history = histories[index];
    const own = attempts.get(id) ?? [];
    if (own.length !== situation.claims) throw new Error(`${recipient} was claimed ${own.length} times`);
    return history === undefined ? [] : [{
      history,
      recipientId: id,
      campaignId: campaign.id,
      groupJid: recipient,
      sessionId,
      attempts: own,
    }];
  });
}
