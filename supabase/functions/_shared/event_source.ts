/** Where an event came in, or what it is about; the journal keeps it under this name. */
export type EventSource = "send_callback" | "receipt" | "inbound" | "sms_delivery" | "signal";
