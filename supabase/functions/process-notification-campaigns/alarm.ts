import { z } from "zod";

/** An alarm that is to be posted, as `check_alarms` hands it out. */
export const alarm = z.object({
  id: z.number().int(),
  /** `resolved`: what was posted before is over. */
  kind: z.enum(["opened", "resolved"]),
  cause: z.string(),
  subject: z.string(),
  message: z.string(),
  opened_at: z.string(),
  resolved_at: z.string().nullable(),
});

/** See {@linkcode alarm}. */
export type Alarm = z.output<typeof alarm>;
