/**
 * Who may execute a function: `service` is service_role alone, `users` also whoever is signed in and may steer, `readers`
 * also whoever is signed in and may look.
 */
export type FunctionRule = "service" | "users" | "readers";

/** The rule of every function in `public`, by name; one without a rule fails the test. */
export const functionRules: Readonly<Record<string, FunctionRule>> = {
  add_recipients: "users",
  archive_campaigns: "service",
  audit_campaign_counters: "service",
  audit_changed_campaigns: "service",
  campaign_costs: "readers",
  campaign_report: "readers",
  campaign_report_csv: "readers",
  cancel_campaign: "users",
  check_alarms: "service",
  claim_recipients: "service",
  claim_silent_messages: "service",
  claim_stale_attempts: "service",
  confirm_recipient: "users",
  continue_steering: "service",
  finalize_campaigns: "service",
  failure_summary: "readers",
  fold_campaign_counters: "service",
  health_snapshot: "service",
  increment_delivered_count: "service",
  journal_webhook_event: "service",
  milliseconds_until_next_send: "service",
  pause_campaign: "users",
  record_alarms_posted: "service",
  record_gateway_events: "service",
  record_inbound_messages: "service",
  record_receipts: "service",
  record_receipts_with_verdicts: "service",
  record_send_callback: "service",
  record_send_results: "service",
  record_sender_signals: "service",
  record_whatsapp_events: "service",
  recover_stale_recipients: "service",
  repair_campaign_counters: "service",
  replay_webhook_events: "service",
  resume_campaign: "users",
  retry_failed_recipients: "users",
  schedule_campaign: "users",
  schedule_processing: "service",
  schedule_retention: "service",
  start_campaign: "users",
  start_due_campaigns: "service",
  sweep_webhook_events: "service",
  unschedule_processing: "service",
};

/** What policies and views need of `private`: no more of it may be used by whoever is signed in, none of it by anon. */
export const privateRules = {
  /** Rows of the caller's organizations alone, which the statistics are summed from. */
  readable: ["campaign_counter_deltas"],
  /** Asked by policies, by the default of ids, and by triggers that complete what a user writes. */
  executable: [
    "address_of",
    "consent_word",
    "organization_ids_with_role",
    "readable_organization_ids",
    "spelled_address",
    "time_ordered_uuid",
  ],
} as const;
