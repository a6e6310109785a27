import type { Faults } from "../faults.ts";
import { randomFor } from "../random.ts";

/** Who somebody is to Meta. */
export interface Person {
  /** Digits; what the business sent to. */
  readonly contact: string;
  /** Digits; what Meta calls them, which is not always what was dialled. */
  readonly waId: string;
  /** Goes by a username: nothing that Meta posts about them names their number. */
  readonly hidden: boolean;
  readonly userId: string;
  /** What the list `contacts` says of them. */
  readonly entry: unknown;
}

const NAMES = [
  "Anita Rao",
  "Zoë Müller",
  "José Ñáñez",
  "अनिता शर्मा",
  "محمد علي",
  "Kim/Lee",
  "Émilie 😀",
  "李小龙",
] as const;

/** The person behind a number. */
export function personOf(faults: Faults, contact: string): Person {
  const draw = (purpose: string) => randomFor(faults.seed, "cloud-api", contact, purpose);
  const userId = `IN.${draw("user id").int(1, 9)}${contact}`;
  const hidden = draw("username").chance(faults.cloudApi.usernames);
  const name = draw("name").pick(NAMES);
  const waId = waIdOf(contact);
  return {
    contact,
    waId,
    hidden,
    userId,
    entry: hidden
      ? { profile: { name, username: `user.${userId.slice(-6)}` }, user_id: userId }
      : { profile: { name }, wa_id: waId },
  };
}

/** Mexico's mobile numbers have a 1 at WhatsApp that nobody dials any more: 52 55… is 521 55… */
function waIdOf(contact: string): string {
  return contact.replace(/^52(\d{10})$/, "521$1");
}
