import { z } from "zod";

/** Ids are keys of indexes, which hold at most 2,704 bytes: a longer one would sink its whole batch. */
const MAX_ID = 256;
const MAX_TEXT = 1_000;

/** No message costs more; the database's column ends at a hundred times that. */
const MAX_COST = 1_000_000;

const id = z.string({ error: (issue) => issue.input === undefined ? "is missing" : "must be a text" }).trim().max(
  MAX_ID,
  `must have at most ${MAX_ID} characters`,
);

/** A text cut to a length; half an emoji at its end, which `jsonb` refuses, becomes U+FFFD. */
const cut = (length: number) => z.string().transform((text) => text.slice(0, length).toWellFormed());

/** Codes arrive as numbers and as texts. */
const code = z.union([cut(MAX_ID), z.number().transform(String)]);
const message = cut(MAX_TEXT);

/** A decimal number, as such or as a text. */
const decimal = z.union([
  z.number(),
  z.string().trim().max(32).regex(/^\d+(\.\d+)?$/).transform(Number),
]);

/** The fields that events have in common, each as tolerant as counting exactly allows. */
export const eventFields = {
  /** An id that must be there. */
  requiredId: id.min(1, "must not be empty"),
  /** An id that may be missing; null and blank are missing. */
  optionalId: id.nullish().transform((value) => value || null),
  /** Context that is stored and never matched by: of another type or too long, it is left out. */
  context: z.string().max(MAX_ID).nullable().catch(null).default(null),
  /** Seconds, milliseconds or ISO; anything else is left out, and the database takes the time of arrival. */
  timestamp: z.union([z.number(), z.string().max(64)]).nullable().catch(null).default(null),
  /** Why something failed: a text, or an object with a code and a message. */
  error: z.union([
    message,
    z.object({
      code: code.nullable().catch(null).default(null),
      message: message.nullable().catch(null).default(null),
    }),
    z.number().transform(String),
  ]).nullable().catch(null).default(null),
  code: code.nullable().catch(null).default(null),
  message: message.nullable().catch(null).default(null),
  /** What a message cost, never negative; anything else is left out. */
  cost: decimal.refine((cost) => cost >= 0 && cost <= MAX_COST).nullable().catch(null).default(null),
  /** Three letters; anything else is left out. */
  currency: z.string().trim().regex(/^[A-Za-z]{3}$/).toUpperCase().nullable().catch(null).default(null),
} as const;
