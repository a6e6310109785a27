import type { Faults } from "./faults.ts";
import type { Ledger, OpenGroup, OpenSend } from "./ledger.ts";
import { planAudience, receptionOf } from "./members.ts";
import type { Outbox } from "./outbox.ts";
import type { SendPlan } from "./plan.ts";
import { randomFor } from "./random.ts";
import { planReceipts, type ReceiptEvent } from "./receipts.ts";

/** Everything the life of one message depends on. */
export interface PlayContext {
  readonly faults: Faults;
  readonly ledger: Ledger;
  readonly group: OpenGroup;
  readonly send: OpenSend;
  readonly plan: SendPlan;
  readonly callbacks: Outbox;
  /** Waits, in milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
}

/** The message goes out, or fails to: from now on `/message-status` tells. Again is the same as once. */
export function goOut({ send, plan }: PlayContext): void {
  send.status = plan.outcome === "failed" ? "failed" : "sent";
}

/** Posts the send callback as the plan says: once, twice, contradicting itself, or never. Settles when it is posted. */
export async function callBack(context: PlayContext): Promise<void> {
  const { faults, ledger, group, plan, callbacks, wait } = context;
  if (plan.callback.lost) return ledger.fault("callbacks lost");
  if (plan.callback.withoutId) ledger.fault("callbacks without clientMessageId");
  if (plan.outcome === "failed") ledger.fault("sends failed later");
  if (plan.outcome === "failed-then-sent") {
    ledger.fault("failures called back for sent messages");
    await callbacks.put([callbackEvent(context, "message_failed")]);
  }
  const event = callbackEvent(context, plan.outcome === "failed" ? "message_failed" : "message_sent");
  const posted = [callbacks.put([event])];
  if (plan.callback.doubled) {
    ledger.fault("callbacks doubled");
    const gap = randomFor(faults.seed, group.groupJid, "double gap", group.requests);
    if (gap.chance(0.5)) await wait(gap.int(1, 400)); // else both at the same moment
    posted.push(callbacks.put([event]));
  }
  await Promise.all(posted);
}

/** What the people of the group do with the message: writes it down, and returns what is to be reported of it. */
export function receive({ faults, ledger, group, send }: PlayContext): ReceiptEvent[] {
  if (send.status !== "sent") return [];
  const { groupJid, memberCount } = group;
  const audience = planAudience(faults, groupJid, memberCount);
  group.reception = receptionOf(audience);
  group.anonymous = audience.anonymous;
  const { sessionId, messageId } = send;
  const receipts = planReceipts(faults, { sessionId, groupJid, messageId }, audience, Date.now());
  ledger.fault("receipts repeated by other sessions", receipts.repeated);
  ledger.fault("reads before their delivery", receipts.readsBeforeDelivery);
  ledger.fault("reads without a delivery", receipts.readsWithoutDelivery);
  ledger.fault("readers with a device suffix", receipts.deviceSuffixes);
  ledger.fault("deliveries without a reader", receipts.anonymous);
  return [...receipts.events];
}

function callbackEvent({ group, send, plan }: PlayContext, event: "message_sent" | "message_failed") {
  const failed = event === "message_failed";
  return {
    event,
    sessionId: send.sessionId,
    groupJid: group.groupJid,
    messageId: plan.outcome === "failed" ? null : send.messageId,
    status: failed ? "failed" : "sent",
    error: failed ? "message could not be encrypted for this group" : null,
    timestamp: Math.floor(Date.now() / 1000),
    ...(plan.callback.withoutId ? {} : { clientMessageId: send.clientMessageId }),
  };
}
