import { z } from "zod";
import { faultFields } from "../fault_fields.ts";

const { rate, batchMax } = faultFields;

/** What the VPS gateway does wrong, and how often. A rate "of the groups" is drawn once for each send to a group. */
export const vpsFaultsSchema = z.strictObject({
  /** Of the groups: `/send` answers `{success: false, error}` and sends nothing. */
  sendsRejected: rate,
  /** Of the groups: accepted, then `message_failed` is called back. Nobody receives anything. */
  sendsFailed: rate,
  /** Of the groups: `message_failed` is called back and `message_sent` after it; the message did go out. */
  sendsFailedThenSent: rate,
  /** Of the groups: the message is taken, and `/send` never answers, or its connection breaks. */
  sendTimeouts: rate,
  /** Of the groups: the first `/send` is answered 429 or 503 with Retry-After, and nothing is taken. */
  sendsBusy: rate,

  /** Of the groups: the callback is posted twice. */
  callbacksDoubled: rate,
  /** Of the groups: the callback is posted, and answered, before `/send` answers. */
  callbacksEarly: rate,
  /** Of the groups: the callback never comes; only `/message-status` tells. */
  callbacksLost: rate,
  /** Of the groups: the callback carries no clientMessageId. */
  callbacksWithoutId: rate,

  /** How many sessions report each receipt. */
  receiptSessions: z.number().int().min(1).max(10),
  /** Each session reports in an order of its own, so that some reads come before their deliveries. */
  receiptsShuffled: z.boolean(),
  /** Of the contacts: no receipt is ever posted; only `/message-status` tells. */
  contactsSilent: rate,
  /** Of the groups: half of the receipts are posted, and answered, before the send callback. */
  receiptsEarly: rate,
  /** Of the people who read: nobody reports their delivery. */
  readsWithoutDelivery: rate,
  /** Of the receipts: the reader carries a device suffix (`91987:12@s.whatsapp.net`). */
  deviceSuffixes: rate,
  /** Of the receipts: the timestamp is in milliseconds, a string, or ISO 8601 instead of unix seconds. */
  oddTimestamps: rate,
  /** Of the groups: one session more reports half of the deliveries, and does not know whose they are. */
  sessionsWithoutNames: rate,
  /** Of the groups: no receipt names its reader. Such groups report deliveries alone. */
  anonymousGroups: rate,

  /** Of the groups: one undigestible post (or array element) more, to one of the two webhooks. */
  malformedPosts: rate,

  /** Most events in one post. */
  batchMax,
});

type VpsFaults = z.infer<typeof vpsFaultsSchema>;

/** Everything arrives once and in order. */
export const calmVps: VpsFaults = {
  sendsRejected: 0,
  sendsFailed: 0,
  sendsFailedThenSent: 0,
  sendTimeouts: 0,
  sendsBusy: 0,
  callbacksDoubled: 0,
  callbacksEarly: 0,
  callbacksLost: 0,
  callbacksWithoutId: 0,
  receiptSessions: 1,
  receiptsShuffled: false,
  contactsSilent: 0,
  receiptsEarly: 0,
  readsWithoutDelivery: 0,
  deviceSuffixes: 0,
  oddTimestamps: 0,
  sessionsWithoutNames: 0,
  anonymousGroups: 0,
  malformedPosts: 0,
  batchMax: 100,
};

/** Every fault that was seen in the wild, all at once. */
export const stormyVps: VpsFaults = {
  sendsRejected: 0.05,
  sendsFailed: 0.02,
  sendsFailedThenSent: 0.02,
  sendTimeouts: 0.02,
  sendsBusy: 0.03,
  callbacksDoubled: 0.2,
  callbacksEarly: 0.1,
  callbacksLost: 0.05,
  callbacksWithoutId: 0.1,
  receiptSessions: 3,
  receiptsShuffled: true,
  contactsSilent: 0.05,
  receiptsEarly: 0.1,
  readsWithoutDelivery: 0.1,
  deviceSuffixes: 0.2,
  oddTimestamps: 0.1,
  sessionsWithoutNames: 0.1,
  anonymousGroups: 0.04,
  malformedPosts: 0.25,
  batchMax: 300,
};
