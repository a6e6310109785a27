import { z } from "zod";

const count = z.number().int().nonnegative();

const takenSendSchema = z.object({
  clientMessageId: z.string(),
  messageId: z.string(),
  sessionId: z.string(),
  /** `queued` until the message has gone out, or has failed to. */
  status: z.enum(["queued", "sent", "failed"]),
}).readonly();

const groupRecordSchema = z.object({
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

const postRecordSchema = z.object({
  posts: count,
  events: count,
  /** Tries beyond the first of each post. */
  retries: count,
  /** Events whose post was answered with a 4xx. */
  refused: count,
  /** Events whose post was given up. */
  lost: count,
}).readonly();

/** The shape of the answer to `GET /control/record`. */
export const simulatorRecordSchema = z.object({
  seed: count,
  idle: z.boolean(),
  totals: z.object({
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
  }).readonly(),
  /** How often each fault was injected. */
  faults: z.record(z.string(), count).readonly(),
  /** Well-formed posts, by webhook. */
  posts: z.object({ callbacks: postRecordSchema, receipts: postRecordSchema }).readonly(),
  /** Answers that a webhook must not give, the first fifty: a 4xx to a good post, a 5xx or a 200 to a bad one. */
  unexpected: z.array(z.string()).readonly(),
  groups: z.array(groupRecordSchema).readonly(),
}).readonly();

/** One message that the gateway took. */
export type TakenSend = z.infer<typeof takenSendSchema>;

/** What truly happened to one group. */
export type GroupRecord = z.infer<typeof groupRecordSchema>;

/** Well-formed posts to one webhook. */
export type PostRecord = z.infer<typeof postRecordSchema>;

/** The simulator's own record of what it did. */
export type SimulatorRecord = z.infer<typeof simulatorRecordSchema>;
