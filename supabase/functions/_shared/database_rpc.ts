import type { SupabaseClient } from "@supabase/supabase-js";
import { classifyDatabaseError } from "./classify_database_error.ts";
import type { Clock } from "./clock.ts";
import type { Database } from "./database.types.ts";
import type { Failure } from "./failure.ts";
import type { FailureCode } from "./failures.ts";
import type { Logger } from "./logger.ts";
import type { Arguments, FunctionName, Rpc } from "./rpc.ts";

/** A call, its repeats and their waits included: gateways give up after 10 to 15 s. */
const TIMEOUT_MS = 10_000;
const MAX_TRIES = 4;

/** What may differ from a call with the rights of the service. */
export interface DatabaseRpcOptions {
  /** Default 10 s. */
  readonly timeoutMs?: number;
  /** What an answer says to the caller, by its status and code; undefined: it is our own fault. */
  readonly refusal?: (status: number, code: string) => FailureCode | undefined;
}

const unavailable: Failure = { code: "database_unavailable", headers: { "retry-after": "5" } };

/**
 * The database over its HTTP API. A call that lost a race (deadlock, serialization) is tried again a few times after
 * a short random wait; every call, its repeats included, ends within ten seconds.
 */
export function databaseRpc(
  client: SupabaseClient<Database>,
  clock: Clock,
  log: Logger,
  { timeoutMs = TIMEOUT_MS, refusal = () => undefined }: DatabaseRpcOptions = {},
): Rpc {
  return async function rpc<Name extends FunctionName>(name: Name, args?: Arguments<Name>) {
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new DOMException("the database did not answer", "TimeoutError")),
      timeoutMs,
    );
    try {
      for (let attempt = 1;; attempt++) {
        const { data, error, status } = await client.rpc(name, args).abortSignal(deadline.signal);
        if (error === null) return { ok: true, value: data };

        // the layers below do not always hold to their types: a proxy's answer has no code
        const code = typeof error.code === "string" ? error.code : "";
        const refused = refusal(status, code);
        if (refused !== undefined) return { ok: false, failure: { code: refused } };
        const kind = classifyDatabaseError(status, code);
        const fields = { rpc: name, sqlstate: code, status, attempt, message: error.message };
        if (kind === "retry" && attempt < MAX_TRIES && !deadline.signal.aborted) {
          log.warn("database_race_lost", fields);
          await clock.sleep(Math.random() * 25 * 2 ** attempt, deadline.signal);
          continue;
        }
        if (kind === "fault") {
          log.error("database_error", fields);
          return { ok: false, failure: { code: "internal" } };
        }
        log.error("database_unavailable", fields);
        return { ok: false, failure: unavailable };
      }
    } finally {
      clearTimeout(timer);
    }
  };
}
