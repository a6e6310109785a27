import { z } from "zod";
import type { Deps } from "../_shared/deps.ts";
import { parseAnswer } from "../_shared/parse_answer.ts";
import type { Result } from "../_shared/result.ts";
import type { Gateway } from "./gateways/gateway.ts";

const silentMessages = z.array(
  z.object({
    client_message_id: z.string(),
    message_id: z.string(),
    gateway: z.string(),
  }),
);

/** Messages asked about at once. */
const BATCH_SIZE = 32;

/** What one batch came to. */
export interface Poll {
  /** Messages that the provider was asked about. */
  readonly asked: number;
  /** Of those: messages that it had something to say about. */
  readonly answered: number;
}

/**
 * Asks providers about a batch of sent messages on which nobody has reported (callbacks get lost), and records what
 * they say. How long to wait before one is asked about again, and how often, is the database's to say.
 */
export async function pollSilentMessages(
  deps: Deps,
  gateways: ReadonlyMap<string, Gateway>,
  timeoutMs: number,
): Promise<Result<Poll>> {
  const names = [...gateways].filter(([, gateway]) => gateway.report !== undefined).map(([name]) => name);
  if (names.length === 0) return { ok: true, value: { asked: 0, answered: 0 } };
  const claimed = await deps.rpc("claim_silent_messages", { p_limit: BATCH_SIZE, p_gateways: names });
  const messages = parseAnswer(claimed, silentMessages, "claim_silent_messages", deps.log);
  if (!messages.ok) return messages;

  const answers = await Promise.all(messages.value.map(async (message) => {
    const sent = { messageId: message.message_id, clientMessageId: message.client_message_id };
    const receipt = await gateways.get(message.gateway)?.report?.(sent, timeoutMs);
    if (receipt === undefined) return [];
    // not under its sender: what has to be asked for does not mean that its webhooks are heard
    return [{ ...receipt, clientMessageId: message.client_message_id }];
  }));
  const receipts = answers.flat();
  for (const [source, part] of Map.groupBy(receipts, ({ reader }) => reader === "sms" ? "sms_delivery" : "receipt")) {
    const recorded = await deps.rpc("record_receipts", { p_receipts: part, p_source: source });
    if (!recorded.ok) return recorded;
  }
  return { ok: true, value: { asked: messages.value.length, answered: receipts.length } };
}
