import { type Random, randomFor } from "../../local/simulator/random.ts";

/** Whom a campaign to contacts is for, as a CRM has them: in every spelling, with mistakes. */
export interface Audience {
  /** One for each row, in this order. */
  readonly recipients: readonly string[];
  /** Who must get the message, exactly once: the digits, by the recipient as written. */
  readonly due: ReadonlyMap<string, string>;
  /** Who must not get any, and why: the `skip_reason`, by the recipient as written. */
  readonly skipped: ReadonlyMap<string, SkipReason>;
  /** Those of them who said no before: the digits, by another spelling than the campaign's. */
  readonly optedOut: ReadonlyMap<string, string>;
}

/** Why nothing is sent to somebody. */
export type SkipReason = "invalid_phone_number" | "duplicate_recipient" | "opted_out";

const SHARES = { invalid_phone_number: 0.01, duplicate_recipient: 0.02, opted_out: 0.02 } as const;
/** Eight digits follow. */
const COUNTRIES = ["9198", "9198", "9198", "4915", "5511"] as const;

/** Makes up the audience of a campaign with `size` rows; the same for the same seed and channel. */
export function makeAudience(seed: number, channel: "whatsapp" | "sms", size: number): Audience {
  const due = new Map<string, string>();
  const skipped = new Map<string, SkipReason>();
  const optedOut = new Map<string, string>();
  const repeats: string[] = [];
  const count = (reason: SkipReason) => Math.ceil(size * SHARES[reason]);

  for (let place = 0; place < size - count("duplicate_recipient"); place++) {
    const draw = randomFor(seed, channel, "audience", place);
    if (place < count("invalid_phone_number")) {
      skipped.set(unreachable(place, draw), "invalid_phone_number");
      continue;
    }
    // no two places have the same digits: the factor shares no divisor with the modulus
    const digits = draw.pick(COUNTRIES) + `${(place * 7919 + 12_345_678) % 1e8}`.padStart(8, "0");
    const [written, otherwise = ""] = draw.shuffle(spellings(digits));
    if (written === undefined) continue;
    if (place < count("invalid_phone_number") + count("opted_out")) {
      skipped.set(written, "opted_out");
      optedOut.set(otherwise, digits);
    } else {
      due.set(written, digits);
      if (repeats.length < count("duplicate_recipient")) repeats.push(otherwise);
    }
  }
  const first = randomFor(seed, channel, "row order").shuffle([...due.keys(), ...skipped.keys()]);
  // whoever is there twice got there first in one spelling and then in another
  for (const repeat of repeats) skipped.set(repeat, "duplicate_recipient");
  return { recipients: [...first, ...repeats], due, skipped, optedOut };
}

/** One number, as people write it. */
function spellings(digits: string): string[] {
  const [country, area, rest] = [digits.slice(0, 2), digits.slice(2, 4), digits.slice(4)];
  return [
    digits,
    `+${digits}`,
    `00${digits}`,
    `+${country} ${area} ${rest.slice(0, 4)} ${rest.slice(4)}`,
    `+${country} (${area}) ${rest.slice(0, 4)}-${rest.slice(4)}`,
    `${digits}@s.whatsapp.net`,
  ];
}

/** What stands in address books where a number should be. */
function unreachable(place: number, draw: Random): string {
  return draw.pick([
    `ask Anita (${place})`,
    `+91 98 ${place}`,
    `+999 555 ${`${place}`.padStart(6, "0")}`,
    `n/a ${place}`,
  ]);
}
