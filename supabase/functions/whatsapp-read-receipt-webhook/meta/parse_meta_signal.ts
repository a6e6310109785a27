import { z } from "zod";
import { eventFields } from "../../_shared/event_fields.ts";
import { isObject } from "../../_shared/is_object.ts";
import type { ParsedEvent } from "../../_shared/parsed_event.ts";
import { storable } from "../../_shared/storable.ts";
import { storableText } from "../../_shared/storable_text.ts";
import { parseDailyLimit } from "./parse_daily_limit.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What a change means for the senders of an account, or for one of them; undefined: nothing that anybody must do now. */
type Meaning = {
  readonly event: "sender_restricted" | "sender_restored";
  /** What lifts it again must have the same. */
  readonly cause: "restriction" | "ban" | "connection" | "deletion";
  readonly reason: string;
} | {
  readonly event: "sender_limited";
  readonly cause: "limit";
  readonly reason: string;
  /** Null: no limit. */
  readonly dailyLimit: number | null;
};

/** Restrictions of an account that leave its messages alone. Any other, known or not, stops its senders. */
const HARMLESS = /CALLING|ADD_PHONE_NUMBER|UTILITY_TEMPLATES/;
const MAX_REASON = 500;

const restrictions = z.array(
  z.object({
    restriction_type: z.string().catch("unnamed"),
    expiration: z.union([z.number(), z.string()]).optional().catch(undefined),
    remediation: z.string().optional().catch(undefined),
  }),
).catch([]);

/** Meta's documentation has one state, its examples an array of all there are. */
const banInfo = z.object({
  waba_ban_state: z.union([z.string().transform((state) => [state]), z.array(z.string())]).catch([]),
  waba_ban_date: z.string().optional().catch(undefined),
}).catch({ waba_ban_state: [] });

const identity = z.object({
  id: z.union([eventFields.requiredId, z.number().transform(String)]).nullable().catch(null).default(null),
  time: eventFields.timestamp,
});
const displayNumber = z.string().trim().min(1).max(64).nullable().catch(null).default(null);

/**
 * Reads what Meta says about an account or a number: that it may not send, that it may again, how much it may send.
 *
 * Restrictions, bans and deletions name the account (`entry.id`), limits of a number its display number. What only warns
 * (`ACCOUNT_VIOLATION`, `FLAGGED`) or is about something else is none.
 *
 * @returns undefined for a change that is no such signal
 */
export function parseMetaSignal(change: Fields, entry: Fields): ParsedEvent | undefined {
  const { field, value } = change;
  if (!isObject(value)) return undefined;
  const meaning = meaningOf(field, value);
  if (meaning === undefined) return undefined;
  const { id, time } = identity.parse(entry);
  const number = displayNumber.parse(field === "account_update" ? value.phone_number : value.display_phone_number);
  // one number's limit is not that of the others of its account
  const accountId = field === "phone_number_quality_update" ? null : id;
  if (accountId === null && number === null) {
    return { ok: false, field: "entry.id", reason: "is missing, and so is the number" };
  }
  return {
    ok: true,
    event: {
      ...meaning,
      reason: storableText(meaning.reason.slice(0, MAX_REASON)),
      accountId,
      displayPhoneNumber: number,
      timestamp: time,
      payload: storable({ field, entry: entry.id, value }),
    },
  };
}

function meaningOf(field: unknown, value: Fields): Meaning | undefined {
  switch (field) {
    case "account_update":
      return accountUpdate(value);
    case "phone_number_quality_update":
      return limit(`${textOf(value.event)}`, value.max_daily_conversations_per_business, value.current_limit);
    case "business_capability_update":
      return limit(
        "business_capability_update",
        value.max_daily_conversations_per_business,
        value.max_daily_conversation_per_phone,
      );
    default:
      return undefined;
  }
}

function accountUpdate(value: Fields): Meaning | undefined {
  const reason = `Meta: ${textOf(value.event)}`;
  switch (value.event) {
    case "ACCOUNT_RESTRICTION": {
      const given = restrictions.parse(value.restriction_info);
      const ofMessages = given.filter(({ restriction_type }) => !HARMLESS.test(restriction_type));
      if (given.length > 0 && ofMessages.length === 0) return undefined;
      const words = ofMessages.map(({ restriction_type, expiration, remediation }) =>
        [restriction_type, untilText(expiration), remediation === undefined ? "" : ` (${remediation})`].join("")
      );
      return { event: "sender_restricted", cause: "restriction", reason: [reason, ...words].join(", ") };
    }
    case "DISABLED_UPDATE": {
      const { waba_ban_state: states, waba_ban_date: date } = banInfo.parse(value.ban_info);
      const isLifted = states.length > 0 && states.every((state) => state === "REINSTATE");
      // also while it is only scheduled: what is sent until then is what it is disabled for
      const words = [reason, ...states, ...(date === undefined ? [] : [date])].join(", ");
      return { event: isLifted ? "sender_restored" : "sender_restricted", cause: "ban", reason: words };
    }
    case "ACCOUNT_DELETED":
      return { event: "sender_restricted", cause: "deletion", reason };
    case "ACCOUNT_OFFBOARDED":
      return { event: "sender_restricted", cause: "connection", reason };
    case "ACCOUNT_RECONNECTED":
      return { event: "sender_restored", cause: "connection", reason };
    default:
      return undefined;
  }
}

/** The first of the values that is a limit. */
function limit(name: string, ...values: readonly unknown[]): Meaning | undefined {
  for (const value of values) {
    const dailyLimit = parseDailyLimit(value);
    if (dailyLimit !== undefined) {
      return { event: "sender_limited", cause: "limit", reason: `Meta: ${name}, ${textOf(value)}`, dailyLimit };
    }
  }
  return undefined;
}

/** Unix seconds, or a text that is passed on. */
function untilText(expiration: number | string | undefined): string {
  if (expiration === undefined) return "";
  const seconds = Number(expiration);
  const isTime = Number.isFinite(seconds) && seconds > 0 && seconds < 1e11;
  return ` until ${isTime ? new Date(seconds * 1000).toISOString().slice(0, 16) + "Z" : expiration}`;
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value).slice(0, 64) : "";
}
