import { z } from "zod";
import { eventFields } from "../../_shared/event_fields.ts";

/** A person as Meta describes them; the number is absent for whoever uses a name instead of it. */
export interface MetaContact {
  /** The phone number, digits alone. */
  readonly contact: string | null;
  /** The business-scoped user id, which stands where there is no number. */
  readonly userId: string | null;
  readonly name: string | null;
}

/** Finds the person with a number or a user id. */
export type MetaContacts = (contact: string | null, userId: string | null) => MetaContact;

const schema = z.object({
  wa_id: eventFields.context,
  user_id: eventFields.context,
  profile: z.object({ name: eventFields.message }).catch({ name: null }),
}).transform(({ wa_id, user_id, profile }): MetaContact => ({
  contact: wa_id || null,
  userId: user_id || null,
  name: profile.name || null,
}));

const NOBODY: MetaContact = { contact: null, userId: null, name: null };

/**
 * Reads the `contacts` of a value, as tolerantly as all of it.
 *
 * @returns what fills in a person of whom the number or the user id is known: from the contact that has it, else from the
 * only contact there is
 */
export function metaContacts(contacts: unknown): MetaContacts {
  const known = (Array.isArray(contacts) ? contacts : []).flatMap((contact) => {
    const parsed = schema.safeParse(contact);
    return parsed.success ? [parsed.data] : [];
  });
  const byNumber = new Map(known.map((each) => [each.contact, each]));
  const byUserId = new Map(known.map((each) => [each.userId, each]));
  const only = known.length === 1 ? known[0] : undefined;
  return (contact, userId) => {
    const found = (contact === null ? undefined : byNumber.get(contact)) ??
      (userId === null ? undefined : byUserId.get(userId)) ?? only ?? NOBODY;
    return { contact: contact ?? found.contact, userId: userId ?? found.userId, name: found.name };
  };
}
