import { z } from "zod";
import { orNull } from "./or_null.ts";

/** As for webhooks: ids are keys of indexes. */
const MAX_ID = 256;
const MAX_CODE = 100;
const MAX_WORDS = 500;

const text = z.string().trim().min(1);

/** Fields that answers have in common; null where they are missing, blank or of another type. */
export const answerFields = {
  id: orNull(text.max(MAX_ID)),
  /** Codes come as numbers and as texts. */
  code: orNull(z.union([text, z.number().transform(String)]).transform((code) => code.slice(0, MAX_CODE))),
  words: orNull(text.transform((words) => words.slice(0, MAX_WORDS))),
  flag: orNull(z.boolean()),
} as const;
