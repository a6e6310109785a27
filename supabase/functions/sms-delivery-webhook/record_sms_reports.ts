import { receiptRecorder } from "../_shared/receipt_recorder.ts";

/** Records what providers report about SMS in one call, which those of other requests may share. */
export const recordSmsReports = receiptRecorder("sms_delivery");
