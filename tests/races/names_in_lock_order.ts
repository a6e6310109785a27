import postgres from "postgres";
import { claimOne, createContactCampaign, recordReceipts, statusOf, type TestDatabase } from "../harness/mod.ts";

const DEADLOCK = "40P01";

/**
 * Plays, step by step, an answer that names a message and a status that names it too: the answer holds the message and is
 * about to take the contact, the status comes between.
 *
 * @returns whether both get through: the status waits for the message and does not hold the contact meanwhile
 */
export async function namesInLockOrder({ sql, session }: TestDatabase): Promise<boolean> {
  const { only } = await createContactCampaign(sql);
  const { client_message_id: clientMessageId } = await claimOne(sql);
  const [a, b] = [await session("answer"), await session("status")];
  await a.begin();
  await a.sql`select private.lock_message_ids('{M1}')`;
  const status = await b.blocked((own) => recordReceipts(own, [statusOf("delivered", "M1", { clientMessageId })]));
  try {
    await a.sql`select from public.notification_campaign_recipients where id = ${only.id} for no key update`;
    await a.commit();
    await status.done;
    return true;
  } catch (error) {
    if (!(error instanceof postgres.PostgresError) || error.code !== DEADLOCK) throw error;
    await a.rollback().catch(() => {});
    await status.done.catch(() => {});
    return false;
  }
}
