import type { Measurement } from "../measurement.ts";
import { history } from "./history.ts";
import { hotCampaign } from "./hot_campaign.ts";
import { queues } from "./queues.ts";
import { readThenWrite } from "./read_then_write.ts";
import { receiptBatches } from "./receipt_batches.ts";
import { webhook } from "./webhook.ts";

/** Everything that `deno task bench` measures, in this order; history last, which leaves its two million rows behind. */
export const measurements: readonly Measurement[] = [
  hotCampaign,
  receiptBatches,
  webhook,
  queues,
  readThenWrite,
  history,
];
