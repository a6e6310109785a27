import type { Measurement } from "../measurement.ts";
import { audits } from "./audits.ts";
import { contacts } from "./contacts.ts";
import { history } from "./history.ts";
import { hotCampaign } from "./hot_campaign.ts";
import { inbound } from "./inbound.ts";
import { metaStatuses } from "./meta_statuses.ts";
import { pacing } from "./pacing.ts";
import { partitions } from "./partitions.ts";
import { queues } from "./queues.ts";
import { readThenWrite } from "./read_then_write.ts";
import { receiptBatches } from "./receipt_batches.ts";
import { receiptHistory } from "./receipt_history.ts";
import { reports } from "./reports.ts";
import { sizes } from "./sizes.ts";
import { webhook } from "./webhook.ts";

/** Everything that `deno task bench` measures, in this order; last what leaves millions of rows behind. */
export const measurements: readonly Measurement[] = [
  hotCampaign,
  receiptBatches,
  webhook,
  metaStatuses,
  inbound,
  queues,
  contacts,
  pacing,
  readThenWrite,
  audits,
  reports,
  sizes,
  partitions,
  receiptHistory,
  history,
];
