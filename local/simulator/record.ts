import { z } from "zod";
import { contactsSchema, contactTotalsSchema } from "./contacts/record.ts";
import { groupRecordSchema, groupTotalsSchema } from "./vps/record.ts";

const count = z.number().int().nonnegative();
/** How often each fault was injected. */
const faultsSchema = z.record(z.string(), count).readonly();

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

const contactSummarySchema = z.object({ totals: contactTotalsSchema, faults: faultsSchema });

const summaryFields = z.object({
  seed: count,
  /** Nothing is left to answer or to post. */
  idle: z.boolean(),
  totals: groupTotalsSchema,
  faults: faultsSchema,
  cloudApi: contactSummarySchema.readonly(),
  sms: contactSummarySchema.readonly(),
  /** Well-formed posts: callbacks and receipts of the VPS gateway, and what Meta and Twilio posted. */
  posts: z.object({
    callbacks: postRecordSchema,
    receipts: postRecordSchema,
    cloudApi: postRecordSchema,
    sms: postRecordSchema,
  }).readonly(),
  /** Answers that a webhook must not give, the first fifty of each gateway: a 4xx to a good post, a 5xx or a 200 to a bad one. */
  unexpected: z.array(z.string()).readonly(),
});

/** The shape of the answer to `GET /control/summary`. What stands in it without a section is the VPS gateway's. */
export const simulatorSummarySchema = summaryFields.readonly();

const contactsRecordSchema = contactSummarySchema.extend(contactsSchema.unwrap().shape).readonly();

/** The shape of the answer to `GET /control/record`: the summary, and everything one by one. */
export const simulatorRecordSchema = summaryFields.extend({
  groups: z.array(groupRecordSchema).readonly(),
  cloudApi: contactsRecordSchema,
  sms: contactsRecordSchema,
}).readonly();

/** Well-formed posts to one webhook. */
export type PostRecord = z.infer<typeof postRecordSchema>;

/** Sums and faults of everything so far. */
export type SimulatorSummary = z.infer<typeof simulatorSummarySchema>;

/** What truly happened to the contacts of one provider. */
export type ContactsRecord = z.infer<typeof contactsRecordSchema>;

/** The simulator's own record of what it did. */
export type SimulatorRecord = z.infer<typeof simulatorRecordSchema>;
