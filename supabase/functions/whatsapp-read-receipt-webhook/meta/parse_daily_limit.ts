/** `TIER_250`, `TIER_2K`, `TIER_100K`. */
const TIER = /^TIER_(\d{1,6})(K|M)?$/;
const FACTORS: Readonly<Record<string, number>> = { K: 1_000, M: 1_000_000 };
const MAX = 999_999_999;

/**
 * Reads how many people a business may write to in a day: a number, its text, or the name of a tier.
 *
 * @returns null for no limit (-1, `TIER_UNLIMITED`), undefined for what says nothing (`TIER_NOT_SET`)
 */
export function parseDailyLimit(value: unknown): number | null | undefined {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string") return undefined;
  if (text === "-1" || text === "TIER_UNLIMITED") return null;
  const tier = TIER.exec(/^\d{1,9}$/.test(text) ? `TIER_${text}` : text);
  const limit = tier === null ? 0 : Number(tier[1]) * (FACTORS[tier[2] ?? ""] ?? 1);
  return limit >= 1 && limit <= MAX ? limit : undefined;
}
