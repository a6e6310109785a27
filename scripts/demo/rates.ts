/** What WhatsApp messages cost in the demo, by category and country, as in the rate cards that Meta publishes. */
export const rates = [
  { category: "marketing", address_prefix: "", cost: 0.0604, currency: "USD" },
  { category: "marketing", address_prefix: "+91", cost: 0.0118, currency: "USD" },
  { category: "marketing", address_prefix: "+49", cost: 0.1365, currency: "USD" },
  { category: "utility", address_prefix: "", cost: 0.0077, currency: "USD" },
  { category: "utility", address_prefix: "+91", cost: 0.0014, currency: "USD" },
] as const;

/**
 * What a delivered message costs: the rate with the longest prefix.
 * @param contact digits
 */
export function rateOf(category: string, contact: string): number {
  const fitting = rates.filter((rate) => rate.category === category && `+${contact}`.startsWith(rate.address_prefix));
  const [longest] = fitting.toSorted((one, other) => other.address_prefix.length - one.address_prefix.length);
  return longest?.cost ?? 0;
}
