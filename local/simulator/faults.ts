import { z } from "zod";
import { calmCloudApi, cloudApiFaultsSchema, stormyCloudApi } from "./cloud_api/faults.ts";
import { faultFields } from "./fault_fields.ts";
import { calmSms, smsFaultsSchema, stormySms } from "./sms/faults.ts";
import { calmVps, stormyVps, vpsFaultsSchema } from "./vps/faults.ts";

const { rate, wait } = faultFields;

/**
 * What the simulated gateways do, and how often. Rates run from 0 (never) to 1 (always); waits are `[least, most]` in
 * milliseconds. What stands here without a section is the VPS gateway's.
 */
export const faultsSchema = z.strictObject({
  /** Same seed, same decisions. */
  seed: z.number().int().min(0).max(0xffffffff),

  ...vpsFaultsSchema.shape,
  /** The Graph API of Meta. */
  cloudApi: cloudApiFaultsSchema,
  /** Twilio. */
  sms: smsFaultsSchema,

  // From here on: all gateways.

  /** Of the people: the message reaches their phone. */
  deliveredShare: rate,
  /** Of the people it reaches: they read it. */
  readShare: rate,

  /** How long a send takes to be answered. */
  answerMs: wait,
  /** How long after the answer the message goes out and is first reported on. */
  callbackMs: wait,
  /** How long after that people receive and read. */
  receiptMs: wait,
  /** How long a send that will not be answered is held open. */
  hangMs: wait,
});

/** How the simulated gateways behave; see {@link faultsSchema} for each field. */
export type Faults = z.infer<typeof faultsSchema>;

/** Some of the faults, for a change. */
export type SomeFaults = Partial<Omit<Faults, "cloudApi" | "sms">> & {
  readonly cloudApi?: Partial<Faults["cloudApi"]>;
  readonly sms?: Partial<Faults["sms"]>;
};

/** A good day: everything arrives once and in order. What `deno task start` begins with. */
export const calm: Faults = {
  seed: 1,
  ...calmVps,
  cloudApi: calmCloudApi,
  sms: calmSms,
  deliveredShare: 0.97,
  readShare: 0.6,
  answerMs: [5, 40],
  callbackMs: [50, 500],
  receiptMs: [0, 3000],
  hangMs: [15_000, 15_000],
};

/** The worst day: every fault that was seen in the wild, all at once. What the demo runs. */
export const storm: Faults = { ...calm, ...stormyVps, cloudApi: stormyCloudApi, sms: stormySms };
