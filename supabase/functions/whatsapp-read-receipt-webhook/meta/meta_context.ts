import type { MetaContacts } from "./meta_contacts.ts";

/** What the elements of one value of Meta's have in common. */
export interface MetaContext {
  /** The phone number id that the value is about: our sender. */
  readonly sessionId: string | null;
  readonly contacts: MetaContacts;
}
