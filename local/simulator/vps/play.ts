import type { Faults } from "../faults.ts";
import type { Notes } from "../notes.ts";
import type { Webhook } from "../webhook.ts";
import type { OpenGroup, OpenSend } from "./ledger.ts";
import { planAudience, receptionOf } from "./members.ts";
import type { SendPlan } from "./plan.ts";
import { randomFor } from "../random.ts";
import { planReceipts, type ReceiptEvent } from "./receipts.ts";

/** Everything the life of one message depends on. */
export interface PlayContext {
  readonly faults: Faults;
  readonly notes: Notes;
  readonly group: OpenGroup;
  readonly send: OpenSend;
  readonly plan: SendPlan;
  readonly callbacks: Webhook<unknown>;
  /** Waits, in milliseconds. */
  readonly wait: (ms: number) => Promise<void>;
}

/** The message goes out, or fails to: from now on `/message-status` tells. Again is the same as once. */
export function goOut({ send, plan }: PlayContext): void {
  send.status = plan.outcome === "failed" ? "failed" : "sent";
}

/** Posts the send callback as the plan says: once, twice, contradicting itself, or never. Settles when it is posted. */
export async function callBack(context: PlayContext): Promise<void> {
  const { faults, notes, group, plan, callbacks, wait } = context;
  if (plan.callback.lost) return notes.fault("reports lost");
  if (plan.callback.withoutId) notes.fault("reports without our id");
  if (plan.outcome === "failed") notes.fault("messages failed later");
  if (plan.outcome === "failed-then-sent") {
    notes.fault("failures that were none");
    await callbacks.put([callbackEvent(context, "message_failed")]);
  }
  const event = callbackEvent(context, plan.outcome === "failed" ? "message_failed" : "message_sent");
  const posted = [callbacks.put([event])];
  if (plan.callback.doubled) {
    notes.fault("reports doubled");
    const gap = randomFor(faults.seed, group.groupJid, "double gap", group.requests);
    if (gap.chance(0.5)) await wait(gap.int(1, 400)); // else both at the same moment
    posted.push(callbacks.put([event]));
  }
  await Promise.all(posted);
}

/** What the people of the group do with the message: writes it down, and returns what is to be reported of it. */
export function receive({ faults, notes, group, send }: PlayContext): ReceiptEvent[] {
  if (send.status !== "sent") return [];
  const { groupJid, memberCount } = group;
  const audience = planAudience(faults, groupJid, memberCount);
  group.reception = receptionOf(audience);
  group.anonymous = audience.anonymous;
  const { sessionId, messageId } = send;
  const receipts = planReceipts(faults, { sessionId, groupJid, messageId }, audience, Date.now());
  notes.fault("reports by other sessions too", receipts.repeated);
  notes.fault("reports out of order", receipts.readsBeforeDelivery);
  notes.fault("reads without a delivery", receipts.readsWithoutDelivery);
  notes.fault("readers with a device suffix", receipts.deviceSuffixes);
  notes.fault("reports without a person", receipts.anonymous);
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
