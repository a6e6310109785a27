import type { CloudApiEvent } from "../local/simulator/cloud_api/event.ts";
import { PHONE_NUMBER_ID } from "./seed.ts";
import { wamid } from "./wamid.ts";

const CONTACTS = 1_000;

let written = 0;

/** So many messages that nobody has seen yet, from a thousand people in turn. */
export function newInboundMessages(count: number): CloudApiEvent[] {
  return Array.from({ length: count }, () => {
    const number = written++;
    const contact = `9170${10_000_000 + number * 7 % CONTACTS}`;
    const body = `Hello, is order ${number} on its way? I have been waiting for a while: अब तक नहीं आया 🙏`;
    return {
      phoneNumberId: PHONE_NUMBER_ID,
      list: "messages",
      element: {
        from: contact,
        from_user_id: `IN.1${contact}`,
        id: wamid(contact),
        timestamp: `${1_793_000_000 + number}`,
        type: "text",
        text: { body },
      },
      person: { profile: { name: `José ${contact.slice(-4)}` }, wa_id: contact, user_id: `IN.1${contact}` },
    };
  });
}
