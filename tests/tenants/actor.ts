import postgres from "postgres";
import { type ApiRole, asRole, type RoleSql, type Sql } from "../harness/mod.ts";

/** Whoever may come through the API, as seen from organization A. */
export type ActorName = "anon" | "stranger" | "viewer" | "operator" | "owner" | "other owner" | "service_role";

/** Somebody who calls. */
export interface Actor {
  readonly name: ActorName;
  readonly role: ApiRole;
  readonly userId: string | null;
}

/** How an attempt ended; nothing of it is kept. */
export type Attempt =
  | { readonly kind: "done"; readonly rows: number }
  /** 42501: a missing grant, a policy, or a function's own check. */
  | { readonly kind: "denied"; readonly message: string }
  | { readonly kind: "refused"; readonly code: string; readonly message: string };

/** Runs statements as the actor and takes everything back. */
export async function attempt(
  sql: Sql,
  actor: Actor,
  work: (sql: RoleSql) => Promise<{ readonly count: number }>,
): Promise<Attempt> {
  const takenBack = new Error("taken back");
  let rows = 0;
  try {
    await asRole(sql, actor.role, actor.userId, async (transaction) => {
      rows = (await work(transaction)).count;
      throw takenBack;
    });
  } catch (error) {
    if (error === takenBack) return { kind: "done", rows };
    if (!(error instanceof postgres.PostgresError)) throw error;
    const { code, message } = error;
    return code === "42501" ? { kind: "denied", message } : { kind: "refused", code, message };
  }
  throw new Error("The attempt was kept");
}
