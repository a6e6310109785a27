import { connect } from "./database.ts";

const ROWS_PER_CAMPAIGN = 10_000;

/**
 * Fills a database with messages that were sent long ago: recipients, attempts, message ids and folded counters, as the
 * triggers would have left them. The triggers themselves are off while it loads. All keys are random, as in life, but
 * written in their order, which is what makes it fast.
 */
export async function loadHistory(url: string, rows: number): Promise<void> {
  const [first, second] = [connect(url, 1), connect(url, 1)];
  try {
    for (const sql of [first, second]) await sql.unsafe("set session_replication_role = replica");
    await first.unsafe(`
      create schema if not exists bench;
      create unlogged table bench.campaigns as
        select n as number, gen_random_uuid() as id from generate_series(0, ${
      Math.ceil(rows / ROWS_PER_CAMPAIGN) - 1
    }) n;
      create unlogged table bench.messages as
        select row_number() over () as number, s.*
        from (
          select gen_random_uuid() as id, gen_random_uuid() as attempt_id, '3EB0' || upper(encode(uuid_send(gen_random_uuid()), 'hex')) as message_id
          from generate_series(1, ${rows})
        ) as s;
      insert into public.notification_campaigns (id, organization_id, name, channel, session_id, content, status, started_at, completed_at)
        select c.id, s.organization_id, 'history', 'whatsapp_group', s.id, '{"type": "text", "text": "Hello"}', 'completed', now() - interval '30 days', now() - interval '30 days'
        from bench.campaigns c cross join public.gateway_sessions s;
    `).simple();
    await Promise.all([
      first.unsafe(`
        insert into public.notification_campaign_recipients
          (id, campaign_id, recipient, status, attempt_count, attempt_id, next_attempt_at, message_id, sent_at, member_count, delivered_count, identified_delivered_count)
        select m.id, c.id, '1203630' || m.number || '@g.us', 'sent', 1, m.attempt_id, now() - interval '30 days', m.message_id, now() - interval '30 days', 100, 50, 50
        from bench.messages m
        join bench.campaigns c on c.number = m.number % (select count(*) from bench.campaigns)
        order by m.id;
      `),
      second.unsafe(`
        insert into public.send_attempts
          (id, recipient_id, attempt_number, session_id, message_id, outcome, claimed_at, accepted_at, finished_at)
        select m.attempt_id, m.id, 1, s.id, m.message_id, 'sent', now() - interval '30 days', now() - interval '30 days', now() - interval '30 days'
        from bench.messages m cross join public.gateway_sessions s
        order by m.attempt_id;
        insert into private.message_ids (message_id, recipient_id)
        select m.message_id, m.id from bench.messages m order by m.message_id collate "C";
      `).simple(),
    ]);
    await first.unsafe("drop schema bench cascade");
    await Promise.all([
      first.unsafe("vacuum (analyze) public.notification_campaign_recipients"),
      second.unsafe("vacuum (analyze) public.send_attempts, private.message_ids, public.notification_campaigns"),
    ]);
    await first.unsafe("checkpoint");
  } finally {
    await Promise.all([first.end({ timeout: 5 }), second.end({ timeout: 5 })]);
  }
}
