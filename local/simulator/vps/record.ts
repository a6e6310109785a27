import { z } from "zod";

const count = z.number().int().nonnegative();

const takenSendSchema = z.object({
  clientMessageId: z.string(),
  messageId: z.string(),
  sessionId: z.string(),
  /** `queued` until the message has gone out, or has failed to. */
  status: z.enum(["queued", "sent", "failed"]),
}).readonly();

/** What truly happened to one group. */
export const groupRecordSchema = z.object({
  groupJid: z.string(),
  memberCount: count,
  /** `sent` when a message went out, `queued` while one is on its way, `failed` when every request failed. */
  status: z.enum(["none", "queued", "sent", "failed"]),
  /** Every message taken, a second one included. */
  sends: z.array(takenSendSchema).readonly(),
  /** Requests answered `{success: false}`. */
  rejected: count,
  /** Requests answered 429 or 503. */
  busy: count,
  /** True when its receipts name no reader; `delivered` is then capped at the member count. */
  anonymous: z.boolean(),
  /** People who got the message, and people who read it: what the backend's counters must come to. */
  delivered: count,
  read: count,
  /** Who they are; there only when asked for. */
  deliveredTo: z.array(z.string()).readonly().optional(),
  readBy: z.array(z.string()).readonly().optional(),
}).readonly();

/** What truly happened to all groups. */
export const groupTotalsSchema = z.object({
  /** Groups that somebody tried to send to. */
  groups: count,
  requests: count,
  /** Messages taken. */
  sends: count,
  /** Messages that went out to a group that had already got one. */
  doubleSends: count,
  /** Groups, by status. */
  sent: count,
  failed: count,
  /** People. */
  delivered: count,
  read: count,
  /** Groups in which somebody got the message. */
  reached: count,
}).readonly();

/** One message that the gateway took. */
export type TakenSend = z.infer<typeof takenSendSchema>;

/** See {@link groupRecordSchema}. */
export type GroupRecord = z.infer<typeof groupRecordSchema>;

/** See {@link groupTotalsSchema}. */
export type GroupTotals = z.infer<typeof groupTotalsSchema>;
