import { z } from "zod";
import { faultFields } from "../fault_fields.ts";

const { rate } = faultFields;

/** What Twilio does wrong, and how often. A rate "of the contacts" is drawn once for each message to a contact. */
export const smsFaultsSchema = z.strictObject({
  /** Of the contacts: the send is answered 400 with a code that ends it. Nothing is taken. */
  sendsRejected: rate,
  /** Of the contacts: they have told Twilio STOP before; the send is answered 400 with 21610. */
  sendsOptedOut: rate,
  /** Of the contacts: the first send is answered 429 or 503, now and then with Retry-After; nothing is taken. */
  sendsBusy: rate,
  /** Of the contacts: the first send is answered 500. Nothing is taken. */
  sendsBroken: rate,
  /** Of the contacts: the message is taken, and the answer is 500 all the same. */
  sendsBrokenYetTaken: rate,
  /** Of the contacts: the message is taken, and the send is never answered, or its connection breaks. */
  sendTimeouts: rate,

  /** Of the contacts: `undelivered` or `failed` in the end. */
  undelivered: rate,
  /** Of the contacts: one segment is delivered and one is not, in either order, so that the message is not. */
  segmentsDisagree: rate,

  /** Of the contacts: the first callback is posted, and answered, before the send is. */
  reportsEarly: rate,
  /** Of the contacts: the callbacks come in another order than things happened in. */
  reportsShuffled: rate,
  /** Of the callbacks: posted twice. */
  reportsDoubled: rate,
  /** Of the messages that are settled: the callback `sent` never comes. */
  sentLost: rate,
  /** Of the messages that are settled: the callback that says how never comes; only asking tells. */
  settledLost: rate,
  /**
   * Of the contacts: no callback ever comes; only asking tells. With an answer lost as well, nobody can know that the
   * message went out, and a backend whose policy is to try again sends it twice.
   */
  silent: rate,

  /** Of the people it reaches: they write back. */
  replies: rate,
  /** Of the inbound messages: posted twice, at the same moment. */
  inboundDoubled: rate,

  /** Of the contacts: one forged or unknown callback more. */
  malformedPosts: rate,
});

type SmsFaults = z.infer<typeof smsFaultsSchema>;

/** Everything arrives once and in order. */
export const calmSms: SmsFaults = {
  sendsRejected: 0,
  sendsOptedOut: 0,
  sendsBusy: 0,
  sendsBroken: 0,
  sendsBrokenYetTaken: 0,
  sendTimeouts: 0,
  undelivered: 0,
  segmentsDisagree: 0,
  reportsEarly: 0,
  reportsShuffled: 0,
  reportsDoubled: 0,
  sentLost: 0,
  settledLost: 0,
  silent: 0,
  replies: 0.02,
  inboundDoubled: 0,
  malformedPosts: 0,
};

/**
 * Every fault that was seen in the wild, all at once, but for silence: a message whose answer is lost, be it to a kill
 * of the processor, must be proved by a callback, or nobody could tell it from one that never arrived.
 */
export const stormySms: SmsFaults = {
  sendsRejected: 0.02,
  sendsOptedOut: 0.01,
  sendsBusy: 0.03,
  sendsBroken: 0.01,
  sendsBrokenYetTaken: 0.01,
  sendTimeouts: 0.01,
  undelivered: 0.04,
  segmentsDisagree: 0.03,
  reportsEarly: 0.1,
  reportsShuffled: 0.2,
  reportsDoubled: 0.2,
  sentLost: 0.05,
  settledLost: 0.05,
  silent: 0,
  replies: 0.05,
  inboundDoubled: 1,
  malformedPosts: 0.02,
};
