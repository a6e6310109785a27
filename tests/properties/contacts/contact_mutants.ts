import type { Mutant } from "../mutant.ts";
import { rewrite } from "../rewrite.ts";

/** Each breaks one law of messages to contacts; the properties of messages must notice. */
export const contactMutants: readonly Mutant[] = [
  rewrite("a failure outranks deliveries", "private.is_delivered", "OR (p_reader <> 'sms'::text)", ""),
  rewrite(
    "a failed segment is made good by the others",
    "private.is_delivered",
    "OR (p_reader <> 'sms'::text)",
    "OR true",
  ),
  rewrite(
    "a message that failed is proved by having been sent",
    "private.proves_send",
    "AND (NOT private.is_failed(p_reader, p_delivered_at, p_failed_at))",
    "",
  ),
  rewrite("a late answer brings a failed message back", "private.apply_send_outcomes", "and not k.is_refuted", ""),
  rewrite(
    "a failure does not touch a message that was sent",
    "private.apply_receipts",
    "when r.status = 'sent' then c.is_final and (r.message_id = c.message_id or private.message_failed(r.message_id))",
    "when r.status = 'sent' then false",
  ),
  rewrite(
    "a message that failed and arrived stays failed",
    "private.apply_receipts",
    "(c.proves_send and (r.status <> 'sent' or r.message_id is null))",
    "(c.proves_send and (r.status not in ('sent', 'failed') or r.message_id is null))",
  ),
  rewrite(
    "a status that carries its attempt names nothing",
    "private.record_receipts",
    "perform private.name_messages(v_unknown, v_facts);",
    "null;",
  ),
  rewrite(
    "a read is not read",
    "private.record_receipts",
    "filter (where v.kind in (2, 4) and v.reader <> '')",
    "filter (where v.kind = 4 and v.reader <> '')",
  ),
  rewrite(
    "a cost counts each time its receipt changes",
    "private.apply_changed_receipts",
    "sum(n.n * n.cost)",
    "sum(n.cost) filter (where n.n > 0)",
  ),
  rewrite(
    "a cost that comes later is left out",
    "private.record_receipts",
    "cost = coalesce(m.cost, excluded.cost),",
    "cost = m.cost,",
  ),
  rewrite(
    "the class of a failure stays when the message arrives",
    "private.apply_receipts",
    "failure_class = case when c.standing_message_id is null then private.failure_class_of(c.error_code) end",
    "failure_class = private.failure_class_of(c.error_code)",
  ),
];

/** Each breaks the law of the last word. */
export const consentMutants: readonly Mutant[] = [
  rewrite(
    "an older word counts when it comes later",
    "private.apply_consents",
    "where excluded.said_at > k.said_at or (excluded.said_at = k.said_at and excluded.action = 'stop' and k.action = 'start')",
    "",
  ),
  rewrite(
    "the first of two words in one second counts",
    "private.apply_consents",
    "or (excluded.said_at = k.said_at and excluded.action = 'stop' and k.action = 'start')",
    "",
  ),
  rewrite(
    "any word of one post counts",
    "private.apply_consents",
    "order by c.organization_id, c.channel, c.address, c.said_at desc, c.action",
    "order by c.organization_id, c.channel, c.address, c.said_at, c.action",
  ),
  rewrite("start lifts nothing", "private.apply_consents", "s.action = 'start' and", "false and"),
];

/** Breaks the order of locks; only two sessions can notice. */
export const lockMutants: readonly Mutant[] = [
  rewrite(
    "statuses name messages without holding them",
    "private.name_messages",
    "perform private.lock_message_ids(p_message_ids);",
    "",
  ),
];

/** Each lets somebody be written to who must not be. */
export const lifeMutants: readonly Mutant[] = [
  rewrite("a sender that is held back is used", "private.send_sources", "where u.is_active", "where true"),
  rewrite(
    "who opted out is written to",
    "public.claim_recipients",
    "and o.address = coalesce(r.address, r.recipient)",
    "and false",
  ),
  rewrite(
    "who has the message already is written to again",
    "private.apply_receipts",
    "(c.proves_send and (r.status <> 'sent' or r.message_id is null))",
    "(c.proves_send and (r.status in ('processing', 'failed')))",
  ),
];
