import postgres, { type Sql } from "postgres";

/** Longer than any statement takes here; nothing waits for ever. */
const STATEMENT_TIMEOUT_MS = 120_000;

/** Settings of every connection of a pool, e.g. `commit_delay`. */
export type Settings = Readonly<Record<string, string>>;

/** Opens a pool as the superuser. */
export function connect(url: string, connections: number, settings: Settings = {}): Sql {
  return postgres(url, {
    max: connections,
    connect_timeout: 10,
    idle_timeout: 0,
    max_lifetime: null,
    onnotice: () => {},
    connection: { application_name: "bench", statement_timeout: STATEMENT_TIMEOUT_MS, ...settings },
  });
}

/**
 * Brings counters and dead rows to where the background work of a running system keeps them, so that one run does not
 * pay for the run before it.
 */
export async function tidy(sql: Sql): Promise<void> {
  while (await foldOnce(sql) > 0);
  await sql.unsafe("vacuum private.campaign_counter_deltas, public.notification_campaign_recipients");
}

async function foldOnce(sql: Sql): Promise<number> {
  const [row] = await sql<{ folded: number }[]>`select public.fold_campaign_counters() as folded`;
  return row?.folded ?? 0;
}

/** Empties every table of the project, but for what its migrations put there. */
export async function empty(sql: Sql): Promise<void> {
  await sql.unsafe(`
    begin;
    create temporary table common_keywords on commit drop as
      select k.keyword, k.action from public.consent_keywords k where k.organization_id is null;
    truncate public.organizations, public.message_receipts, private.message_ids, private.webhook_events,
      public.campaign_counters, private.campaign_counter_deltas, public.counter_discrepancies, private.campaign_audits cascade;
    insert into public.consent_keywords (keyword, action) select k.keyword, k.action from common_keywords k;
    commit;
  `).simple();
}
