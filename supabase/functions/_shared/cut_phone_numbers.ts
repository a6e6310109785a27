const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const longNumber = /\d{7,}/g;

/**
 * A text with every run of seven digits or more cut to its first two and last two: enough to recognise a number that
 * one already knows, not enough to call it. UUIDs stay whole.
 *
 * @example `cutPhoneNumbers("919876543210@s.whatsapp.net")` is `"91…10@s.whatsapp.net"`.
 */
export function cutPhoneNumbers(text: string): string {
  if (uuid.test(text)) return text;
  return text.replace(longNumber, (digits) => `${digits.slice(0, 2)}…${digits.slice(-2)}`);
}
