import type { Sql } from "postgres";
import { addDueContacts } from "./seed.ts";
import { wamid } from "./wamid.ts";

/** A message to a contact, as its provider knows it. */
export interface ContactMessage {
  readonly contact: string;
  readonly messageId: string;
  /** The attempt it was; null for a message that was not ours. */
  readonly attemptId: string | null;
}

const BATCH = 1_000;
/** Of ten messages, one was sent but the answer is still under way, and one was sent by somebody else. */
const OF_EACH_TEN = { known: 8, ours: 9, all: 10 } as const;

/** Sends a campaign to contacts; answers all its messages, and those of others among them. */
export async function sendContactMessages(sql: Sql, count: number): Promise<ContactMessage[]> {
  const ours = count / OF_EACH_TEN.all * OF_EACH_TEN.ours;
  await addDueContacts(sql, ours);
  const messages: ContactMessage[] = [];
  while (messages.length < count) {
    const claimed = await sql<{ client_message_id: string; recipient: string }[]>`
      select client_message_id, recipient from public.claim_recipients(${BATCH}::integer)
    `;
    if (claimed.length === 0) throw new Error(`${messages.length} messages were sent, not ${count}`);
    const sent = claimed.map(({ client_message_id, recipient }) => ({
      contact: recipient,
      messageId: wamid(recipient),
      attemptId: client_message_id,
    }));
    const answered = sent.filter((_, n) => n % OF_EACH_TEN.ours < OF_EACH_TEN.known);
    const results = answered.map(({ messageId, attemptId }) => ({
      clientMessageId: attemptId,
      outcome: "sent",
      messageId,
    }));
    await sql`select public.record_send_results(${JSON.stringify(results)}::text::jsonb)`;
    const others = sent.filter((_, n) => n % OF_EACH_TEN.ours === 0)
      .map(({ contact }) => ({ contact, messageId: wamid(contact), attemptId: null }));
    messages.push(...sent, ...others);
  }
  await sql.unsafe("vacuum analyze");
  return messages;
}
