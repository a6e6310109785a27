import { parseIncompletePhoneNumber, parsePhoneNumberFromString } from "libphonenumber-js/min";

/** A person's id on WhatsApp: the number, perhaps with one of the person's devices. */
const JID = /^([1-9]\d{6,14})(?::\d+)?@(?:s\.whatsapp\.net|c\.us)$/;

/** Some plans say that they allow more digits than a number has in the whole world. */
const E164 = /^\+[1-9]\d{4,14}$/;

/**
 * Numbers as their countries once wrote them, which the plans of today have no place for and WhatsApp still uses:
 * Mexican mobiles until 2019, Côte d'Ivoire until 2021, Benin until 2024.
 */
const FORMER_PLANS = [/^\+521\d{10}$/, /^\+225\d{8}$/, /^\+229\d{8}$/];

/**
 * A recipient as a phone number in E.164 (`+919876543210`); undefined when it cannot be one.
 *
 * Takes a number with its country code, however it is written: with `+`, `00` or neither, with spaces, dashes and
 * brackets; and the JID of a person, which WhatsApp itself made and which therefore counts as it is. Only the length
 * is checked: the plans that say which numbers are assigned lag behind, and a wrong refusal loses a message.
 */
export function normalizePhoneNumber(recipient: string): string | undefined {
  // marks without a width come along when a number is copied out of a chat
  const text = recipient.replace(/\p{Cf}/gu, "").trim();
  const jid = JID.exec(text);
  if (jid !== null) return `+${jid[1]}`;

  const international = text.replace(/^(?:\+|＋|00)?/, "+");
  const number = parsePhoneNumberFromString(international, { extract: false });
  if (number === undefined) return undefined;
  const asWritten = parseIncompletePhoneNumber(international);
  if (FORMER_PLANS.some((plan) => plan.test(asWritten))) return asWritten;
  if (!number.isPossible()) return undefined;
  // the parser drops what it takes for a trunk prefix, as in +44 (0)20…; it is right where that makes a valid number
  const normalized = number.isValid() ? number.number : asWritten;
  return E164.test(normalized) ? normalized : undefined;
}
