import type { CloudApiEvent } from "../local/simulator/cloud_api/event.ts";
import type { ContactMessage } from "./contact_messages.ts";
import { PHONE_NUMBER_ID } from "./seed.ts";

const KINDS = ["sent", "delivered", "read"] as const;

/** How often a message can be told of, each time with another status. */
export const STATUSES_PER_MESSAGE = KINDS.length;

/** One status of each message, all kinds mixed; the next turn has another one for each. */
export function statusesOf(messages: readonly ContactMessage[], turn: number): CloudApiEvent[] {
  return messages.map(({ contact, messageId, attemptId }, place) => ({
    phoneNumberId: PHONE_NUMBER_ID,
    list: "statuses",
    element: {
      id: messageId,
      status: KINDS[(place + turn) % KINDS.length],
      timestamp: `${1_793_000_000 + turn}`,
      recipient_id: contact,
      ...(attemptId === null ? {} : { biz_opaque_callback_data: attemptId }),
      pricing: { billable: true, pricing_model: "PMP", type: "regular", category: "marketing" },
    },
    person: { profile: { name: `José ${contact.slice(-4)}` }, wa_id: contact, user_id: `IN.1${contact}` },
  }));
}
