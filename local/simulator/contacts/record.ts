import { z } from "zod";

const count = z.number().int().nonnegative();

const messageSchema = z.object({
  /** What the caller named it: the attempt. Null when it named none. */
  clientMessageId: z.string().nullable(),
  messageId: z.string(),
  /** The sender: a phone number id, or a number. */
  sessionId: z.string(),
  /** `queued` until the message has gone out, or has failed to; `failed` also when it went out and never arrived. */
  status: z.enum(["queued", "sent", "failed"]),
  delivered: z.boolean(),
  read: z.boolean(),
  /** Why it failed, as the provider says it. */
  errorCode: z.string().nullable(),
  /** What Meta bills it as, once it is delivered. */
  category: z.string().nullable(),
  /** What Twilio has told that it cost, in dollars: only those who asked after it was settled know. */
  cost: z.number().nullable(),
}).readonly();

const contactSchema = z.object({
  /** Digits alone. */
  contact: z.string(),
  /** `sent` when a message went out, `queued` while one is on its way, `failed` when everything failed. */
  status: z.enum(["none", "queued", "sent", "failed"]),
  requests: count,
  /** Every message taken, a second one included. */
  messages: z.array(messageSchema).readonly(),
  /** Why the last request was refused for good. */
  rejectedWith: z.string().nullable(),
  /** 1 when it arrived, and when it was read: what the backend's counters must come to. */
  delivered: count,
  read: count,
}).readonly();

const inboundSchema = z.object({
  messageId: z.string(),
  /** Who it was sent to: a phone number id, or a number. */
  sessionId: z.string(),
  /** Digits of who wrote it; null for somebody known by a user id alone. */
  contact: z.string().nullable(),
  userId: z.string().nullable(),
  /** As the provider names it: text, image, reaction, … */
  type: z.string(),
  /** What was written; null where nothing was. */
  text: z.string().nullable(),
}).readonly();

/** The sums of what a provider of contacts did. */
export const contactTotalsSchema = z.object({
  /** Contacts that somebody tried to send to. */
  contacts: count,
  requests: count,
  /** Messages taken. */
  messages: count,
  /** Messages taken for a contact for whom one had been taken already. */
  doubleSends: count,
  /** Contacts, by status. */
  sent: count,
  failed: count,
  delivered: count,
  read: count,
  /** Messages that people wrote, each once. */
  inbound: count,
  optedOut: count,
}).readonly();

/** What truly happened to the contacts of one provider. */
export const contactsSchema = z.object({
  contacts: z.array(contactSchema).readonly(),
  /** What people wrote, in the order in which they did. */
  inbound: z.array(inboundSchema).readonly(),
  /** Digits of those who want nothing more, in the end. */
  optedOut: z.array(z.string()).readonly(),
}).readonly();

/** One message that a provider took. */
export type ContactMessage = z.infer<typeof messageSchema>;

/** What truly happened to one contact. */
export type ContactRecord = z.infer<typeof contactSchema>;

/** A message that a person wrote. */
export type InboundRecord = z.infer<typeof inboundSchema>;

/** See {@link contactTotalsSchema}. */
export type ContactTotals = z.infer<typeof contactTotalsSchema>;

/** See {@link contactsSchema}. */
export type Contacts = z.infer<typeof contactsSchema>;
