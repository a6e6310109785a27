import type { HealthSnapshot } from "./health_snapshot.ts";
import type { Metric } from "./prometheus_text.ts";

/** A snapshot as metrics. Times are unix seconds, and left out where there is none; ages of nothing are 0. */
export function healthMetrics(snapshot: HealthSnapshot): Metric[] {
  const { alarms, queue, receipts, journal, senders, processor, audit } = snapshot;
  return [
    gauge("truetick_alarms", "Open alarms.", alarms.length),
    {
      name: "truetick_alarm_opened_timestamp_seconds",
      help: "When each open alarm was opened; docs/alarms.md says what each cause means.",
      samples: alarms.flatMap(({ cause, subject, opened_at }) => timed({ cause, subject }, opened_at)),
    },
    gauge("truetick_processing_campaigns", "Campaigns that are being sent.", queue.processing_campaigns),
    labelled(
      "truetick_campaigns_with_due",
      "Campaigns with due messages, by what these wait for.",
      "state",
      snapshot.campaigns_with_due,
    ),
    labelled("truetick_recipients", "Messages still owed, by status.", "status", {
      pending: queue.pending,
      processing: queue.processing,
      unconfirmed: queue.unconfirmed,
    }),
    gauge("truetick_due_recipients", "Messages that are due; 10001 is more than 10000.", queue.due),
    gauge(
      "truetick_oldest_due_age_seconds",
      "How long the oldest due message has been due.",
      queue.oldest_due_seconds ?? 0,
    ),
    gauge(
      "truetick_recipients_past_lease",
      "Sends without a confirmation in time; 10001 is more than 10000.",
      queue.past_lease,
    ),
    gauge(
      "truetick_parked_messages",
      "Unknown messages with receipts; 10001 is more than 10000.",
      receipts.parked_messages,
    ),
    gauge(
      "truetick_oldest_parked_age_seconds",
      "How long the oldest receipt has waited for its message.",
      receipts.oldest_parked_seconds ?? 0,
    ),
    labelled(
      "truetick_journal_events",
      "Journaled events that nobody replayed, by reason; 10001 is more than 10000.",
      "reason",
      Object.fromEntries(journal.map(({ reason, count }) => [reason, count])),
    ),
    labelled(
      "truetick_journal_events_last_hour",
      "Those that came within the hour.",
      "reason",
      Object.fromEntries(journal.map(({ reason, last_hour_count }) => [reason, last_hour_count])),
    ),
    labelled(
      "truetick_journal_oldest_age_seconds",
      "Age of the oldest of them.",
      "reason",
      Object.fromEntries(journal.map(({ reason, oldest_seconds }) => [reason, oldest_seconds ?? 0])),
    ),
    labelled("truetick_senders", "Senders, by status; held: a default sender of the installation.", "status", {
      active: 0,
      paused: 0,
      restricted: 0,
      held: 0,
      ...tally(senders.map(({ status }) => status)),
    }),
    {
      name: "truetick_sender_last_claim_timestamp_seconds",
      help: "When a sender was last given a message to send.",
      samples: senders.flatMap(({ session_id, last_claimed_at }) => timed({ session: session_id }, last_claimed_at)),
    },
    {
      name: "truetick_sender_last_heard_timestamp_seconds",
      help: "When a callback or a receipt last came through a sender.",
      samples: senders.flatMap(({ session_id, last_heard_at }) => timed({ session: session_id }, last_heard_at)),
    },
    {
      name: "truetick_sender_deaf_seconds",
      help: "How long a sender has been sending without anything being heard back; 0 when all is well.",
      samples: senders.map(({ session_id, deaf_seconds }) => ({
        labels: { session: session_id },
        value: deaf_seconds ?? 0,
      })),
    },
    {
      name: "truetick_sender_attempts",
      help: "Attempts of a sender that has a limit, within the window; 10001 is more than 10000.",
      samples: senders.flatMap(({ session_id, attempts_last_minute, attempts_last_day }) =>
        windowed(session_id, attempts_last_minute, attempts_last_day)
      ),
    },
    {
      name: "truetick_sender_attempts_limit",
      help: "The limit of a sender within the window; that of a day as its warm-up has it.",
      samples: senders.flatMap(({ session_id, messages_per_minute, daily_allowance }) =>
        windowed(session_id, messages_per_minute, daily_allowance)
      ),
    },
    {
      name: "truetick_processor_last_run_timestamp_seconds",
      help: "When a run of the processor last ended.",
      samples: timed({}, processor.last_run_at),
    },
    {
      name: "truetick_audit_last_timestamp_seconds",
      help: "When counters were last audited.",
      samples: timed({}, audit.last_audit_at),
    },
    {
      name: "truetick_audit_campaigns_waiting",
      help: "Campaigns that changed since their last audit.",
      samples: audit.campaigns_waiting === null ? [] : [{ value: audit.campaigns_waiting }],
    },
    gauge(
      "truetick_counter_discrepancies",
      "Counters that are not what their rows say; 10001 is more than 10000.",
      snapshot.discrepancies,
    ),
  ];
}

function gauge(name: string, help: string, value: number): Metric {
  return { name, help, samples: [{ value }] };
}

function labelled(name: string, help: string, label: string, values: Readonly<Record<string, number>>): Metric {
  return {
    name,
    help,
    samples: Object.entries(values).map(([text, value]) => ({ labels: { [label]: text }, value })),
  };
}

function windowed(session: string, minute: number | null, day: number | null): Metric["samples"] {
  return Object.entries({ minute, day }).flatMap(([window, value]) =>
    value === null ? [] : [{ labels: { session, window }, value }]
  );
}

function timed(labels: Readonly<Record<string, string>>, time: string | null): Metric["samples"] {
  return time === null ? [] : [{ labels, value: Date.parse(time) / 1000 }];
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
