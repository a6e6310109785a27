import type { Faults } from "../faults.ts";
import { randomFor } from "../random.ts";
import { isContact } from "./is_contact.ts";

/** One person in a group, and what becomes of the message on their phone. */
export interface Member {
  /** The JID without a device: `919876543210@s.whatsapp.net`, or `@lid` where WhatsApp hides the number. */
  readonly jid: string;
  readonly received: boolean;
  /** Never true without `received`. */
  readonly read: boolean;
  /** False for someone who reads at once: WhatsApp then reports the reading alone. */
  readonly deliveryReported: boolean;
}

/** What the people of a group do with a message; the same for each message sent to it under one seed. */
export interface Audience {
  readonly members: readonly Member[];
  /** True when the gateway reports deliveries without saying whose. */
  readonly anonymous: boolean;
  /** How many anonymous deliveries are reported: one for each member, or more than there are members. */
  readonly anonymousDeliveries: number;
}

/** Decides who in a group of `memberCount` people receives and reads. */
export function planAudience(faults: Faults, groupJid: string, memberCount: number): Audience {
  const draw = (purpose: string) => randomFor(faults.seed, groupJid, purpose);
  const [numbers, fates] = [draw("numbers"), draw("members")];
  const anonymous = draw("anonymous").chance(faults.anonymousGroups) && !isContact(groupJid);
  const excess = draw("anonymous excess");
  return {
    members: Array.from({ length: memberCount }, (_, index) => {
      const received = fates.chance(faults.deliveredShare);
      const read = fates.chance(faults.readShare) && received;
      return {
        jid: isContact(groupJid) ? groupJid : memberJid(index, numbers.chance(0.1), numbers.int(0, 99_999)),
        received,
        read,
        deliveryReported: !(fates.chance(faults.readsWithoutDelivery) && read),
      };
    }),
    anonymous,
    anonymousDeliveries: memberCount + (excess.chance(0.5) ? 0 : excess.int(1, memberCount)),
  };
}

/** A number that no other member of the group has: its last digits are the member's place. */
function memberJid(index: number, hidden: boolean, digits: number): string {
  const number = `${digits}`.padStart(5, "0") + `${index}`.padStart(5, "0");
  return hidden ? `2081${number}@lid` : `91${number}@s.whatsapp.net`;
}

/** How many people are in a chat nobody registered: one contact, or 5 to 256 in a group, always the same for one JID. */
export function defaultMemberCount(groupJid: string): number {
  return isContact(groupJid) ? 1 : randomFor(0, groupJid, "member count").int(5, 256);
}

/** Who truly got the message, and who read it. */
export interface Reception {
  /** An anonymous group counts reports, and never more of them than it has members. */
  readonly delivered: number;
  readonly read: number;
  readonly deliveredTo: readonly string[];
  readonly readBy: readonly string[];
}

/** Adds up an audience: what the counters of the backend must come to. */
export function receptionOf(audience: Audience): Reception {
  if (audience.anonymous) {
    const delivered = Math.min(audience.anonymousDeliveries, audience.members.length);
    return { delivered, read: 0, deliveredTo: [], readBy: [] };
  }
  const deliveredTo = audience.members.filter((member) => member.received).map((member) => member.jid);
  const readBy = audience.members.filter((member) => member.read).map((member) => member.jid);
  return { delivered: deliveredTo.length, read: readBy.length, deliveredTo, readBy };
}
