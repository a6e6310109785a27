import { receiptRecorder } from "../_shared/receipt_recorder.ts";

/** Records receipts of either side in one call, which those of other requests may share; the one place that does. */
export const recordReceipts = receiptRecorder("receipt");
