import type { Mutant } from "./mutant.ts";
import { rewrite } from "./rewrite.ts";

/** Each breaks one law; a property that lets one live does not prove that law. */
export const mutants: readonly Mutant[] = [
  rewrite(
    "an older attempt may fail the row",
    "private.apply_send_outcomes",
    "k.outcome = 'failed' then k.is_newest and ",
    "k.outcome = 'failed' then ",
  ),
  rewrite(
    "failure after success wins",
    "private.apply_send_outcomes",
    "k.status in ('pending', 'processing', 'unconfirmed')",
    "true",
  ),
  rewrite(
    "success after failure is ignored",
    "private.apply_send_outcomes",
    "k.outcome = 'sent' then (k.status <> 'sent'",
    "k.outcome = 'sent' then (k.status not in ('sent', 'failed')",
  ),
  rewrite(
    "the hold policy is ignored",
    "private.apply_send_outcomes",
    "k.unconfirmed_policy = 'hold' then 'unconfirmed'",
    "k.unconfirmed_policy = 'hold' then 'pending'",
  ),
  rewrite(
    "attempts never run out",
    "private.has_attempts_left",
    "count(a.claimed_at) < p_max_attempts",
    "count(a.claimed_at) <= p_max_attempts",
  ),
  rewrite(
    "a second message of an attempt is dropped",
    "private.apply_send_outcomes",
    "or k.attempt_message_id is not null",
    "",
  ),
  rewrite(
    "anonymous and identified deliveries are added up",
    "private.counted_people",
    "GREATEST(p_identified, p_anonymous, p_at_least)",
    "GREATEST(p_identified + p_anonymous, p_at_least)",
  ),
  rewrite(
    "the cap is one too high",
    "private.counted_people",
    "COALESCE(p_member_count,",
    "COALESCE(p_member_count + 1,",
  ),
  rewrite(
    "people are counted once for each of their receipts",
    "private.apply_receipts",
    "filter (where r.attempt_count > 1 or r.message_id <> c.message_id or c.message_count > 1)",
    "filter (where false)",
  ),
  rewrite(
    "a receipt proves nothing",
    "private.apply_receipts",
    "case when c.standing_message_id is not null then 'sent'::public.recipient_status else 'failed' end",
    "case when c.standing_message_id is not null and r.status <> 'failed' then 'sent'::public.recipient_status else 'failed' end",
  ),
  rewrite(
    "an anonymous delivery proves nothing",
    "public.increment_delivered_count",
    "status = 'sent',",
    "status = r.status,",
  ),
  rewrite(
    "the device suffix makes another reader",
    "private.canonical_reader",
    "'^([^@:_]+)(_\\d+)?(:\\d+)?(@|$)'",
    "'^([^@:_]+)(_\\d+)?(@|$)'",
  ),
  drop("receipts that come first are never adopted", "adopt_receipts on private.message_ids"),
  drop("later receipts of the same person are not counted", "apply_changed_receipts on public.message_receipts"),
  drop("new receipts are not counted", "apply_inserted_receipts on public.message_receipts"),
  drop("changed rows are not counted", "count_updated_recipients on public.notification_campaign_recipients"),
];

function drop(name: string, trigger: string): Mutant {
  return { name, plant: (sql) => sql.unsafe(`drop trigger ${trigger}`) };
}
