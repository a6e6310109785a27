import { z } from "zod";
import { faultFields } from "../fault_fields.ts";

const { rate, batchMax } = faultFields;

/** What Meta does wrong, and how often. A rate "of the contacts" is drawn once for each message to a contact. */
export const cloudApiFaultsSchema = z.strictObject({
  /** Of the contacts: the send is answered 400 with a code that ends it. Nothing is taken. */
  sendsRejected: rate,
  /** Of the contacts: the first send is answered 429, 400 with a rate limit, or 503, now and then with Retry-After; nothing is taken. */
  sendsBusy: rate,
  /** Of the contacts: the first send is answered 500. Nothing is taken. */
  sendsBroken: rate,
  /** Of the contacts: the message is taken, and the answer is 500 all the same. */
  sendsBrokenYetTaken: rate,
  /** Of the contacts: the message is taken, and the send is never answered, or its connection breaks. */
  sendTimeouts: rate,

  /** Of the contacts: `failed` instead of `sent`, most often 131026. */
  failed: rate,
  /** Of the contacts: `failed` after `sent`. */
  failedAfterSent: rate,
  /** Of the contacts: `failed` by one device, and `delivered` by another: it did arrive. */
  failedThenDelivered: rate,

  /** Of the contacts: the first status is posted, and answered, before the send is. */
  reportsEarly: rate,
  /** Of the contacts: the statuses come in another order than they happened in. */
  reportsShuffled: rate,
  /** Of the statuses: posted twice. */
  reportsDoubled: rate,
  /** Of the messages that were delivered: `sent` never comes. */
  sentLost: rate,
  /** Of the people who read: `delivered` never comes, because the chat was open. */
  readsWithoutDelivery: rate,
  /**
   * Of the contacts: no status ever comes. With an answer lost as well, nobody can know that the message went out, and
   * a backend whose policy is to try again sends it twice.
   */
  silent: rate,
  /** Of the contacts: known by a username; no status and no message of theirs names a phone number. */
  usernames: rate,

  /** Of the people it reaches: they write back, or react, or ask for an end of it. */
  replies: rate,
  /** Of the inbound messages: posted twice, at the same moment. */
  inboundDoubled: rate,

  /** Of the contacts: one forged or undigestible post (or element) more. */
  malformedPosts: rate,
  /** Most events in one post. */
  batchMax,
});

type CloudApiFaults = z.infer<typeof cloudApiFaultsSchema>;

/** Everything arrives once and in order. */
export const calmCloudApi: CloudApiFaults = {
  sendsRejected: 0,
  sendsBusy: 0,
  sendsBroken: 0,
  sendsBrokenYetTaken: 0,
  sendTimeouts: 0,
  failed: 0,
  failedAfterSent: 0,
  failedThenDelivered: 0,
  reportsEarly: 0,
  reportsShuffled: 0,
  reportsDoubled: 0,
  sentLost: 0,
  readsWithoutDelivery: 0,
  silent: 0,
  usernames: 0,
  replies: 0.05,
  inboundDoubled: 0,
  malformedPosts: 0,
  batchMax: 100,
};

/**
 * Every fault that was seen in the wild, all at once, but for silence: a message whose answer is lost, be it to a kill
 * of the processor, must be proved by a status, or nobody could tell it from one that never arrived.
 */
export const stormyCloudApi: CloudApiFaults = {
  sendsRejected: 0.02,
  sendsBusy: 0.03,
  sendsBroken: 0.01,
  sendsBrokenYetTaken: 0.01,
  sendTimeouts: 0.01,
  failed: 0.03,
  failedAfterSent: 0.02,
  failedThenDelivered: 0.01,
  reportsEarly: 0.1,
  reportsShuffled: 0.2,
  reportsDoubled: 0.2,
  sentLost: 0.05,
  readsWithoutDelivery: 0.2,
  silent: 0,
  usernames: 0.05,
  replies: 0.1,
  inboundDoubled: 1,
  malformedPosts: 0.02,
  batchMax: 1000,
};
