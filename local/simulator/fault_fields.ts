import { z } from "zod";

/** What fields of faults look like. */
export const faultFields = {
  /** From 0 (never) to 1 (always). */
  rate: z.number().min(0).max(1),
  /** `[least, most]`, in milliseconds. */
  wait: z.tuple([z.number().min(0).max(60_000), z.number().min(0).max(60_000)])
    .refine(([least, most]) => least <= most, "the first number must not be above the second"),
  /** Most events in one post. */
  batchMax: z.number().int().min(1).max(1000),
} as const;
