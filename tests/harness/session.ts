import type { Sql } from "./connect.ts";
import { until } from "./until.ts";

/** One database session, steered step by step. */
export interface Session {
  readonly name: string;
  /** Its single connection; `begin` and `commit` may be sent as statements. */
  readonly sql: Sql;
  readonly pid: number;
  begin(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /**
   * Starts a step that is expected to wait for a lock, and returns once Postgres says that it does.
   *
   * @returns the step, still on its way, in a box: a bare promise would be awaited
   * @throws Error when the step ended without waiting
   */
  blocked<T>(step: (sql: Sql) => Promise<T>): Promise<{ readonly done: Promise<T> }>;
}

/** Takes a client with one connection; `watcher` looks at it from outside. */
export async function openSession(name: string, sql: Sql, watcher: Sql): Promise<Session> {
  const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  if (row === undefined) throw new Error(`Session ${name} has no backend`);
  const { pid } = row;
  return {
    name,
    sql,
    pid,
    begin: async () => void await sql`begin`,
    commit: async () => void await sql`commit`,
    rollback: async () => void await sql`rollback`,
    async blocked(step) {
      let ended = false;
      const done = step(sql).finally(() => ended = true);
      // who awaits `done` gets its error; until then it must not count as unhandled
      done.catch(() => {});
      await until(`session ${name} to wait for a lock`, async () => {
        if (ended) {
          await done;
          throw new Error(`Session ${name} was expected to wait for a lock, but its step ended`);
        }
        const waiting = await watcher`
          select 1 from pg_catalog.pg_locks where pid = ${pid} and not granted
        `;
        return waiting.length > 0;
      });
      return { done };
    },
  };
}
