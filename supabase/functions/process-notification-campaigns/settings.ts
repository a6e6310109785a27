import type { Environment } from "../_shared/environment.ts";
import type { SlotLimits } from "./send_slots.ts";

/** How a run goes about its work. */
export interface Settings {
  /** Nothing is claimed once this has passed. */
  readonly budgetMs: number;
  /** The lease of claimed rows; undefined for the channel's own. */
  readonly leaseSeconds: number | undefined;
  readonly sendTimeoutMs: number;
  readonly lookUpTimeoutMs: number;
  /** How long a sent message may go without a report until the provider is asked, where it can be. */
  readonly pollAfterSeconds: number;
  readonly slots: SlotLimits;
}

/** The lease of group messages, in the database. */
const DEFAULT_LEASE_SECONDS = 300;
const LOOK_UP_TIMEOUT_MS = 10_000;

/** Reads the processor's variables; throws `EnvironmentError` for one that is out of its bounds. */
export function readSettings(environment: Environment): Settings {
  const leaseSeconds = environment.integer("PROCESS_LEASE_SECONDS", 1, 86_400);
  const sendTimeoutMs = environment.integer("PROCESS_SEND_TIMEOUT_MS", 100, 120_000) ?? 30_000;
  return {
    budgetMs: environment.integer("PROCESS_TIME_BUDGET_MS", 0, 350_000) ?? 50_000,
    leaseSeconds,
    // a send must end within its lease, or another run would ask about it, and send again, while it is still under way
    sendTimeoutMs: Math.min(sendTimeoutMs, ((leaseSeconds ?? DEFAULT_LEASE_SECONDS) * 1000) / 2),
    lookUpTimeoutMs: LOOK_UP_TIMEOUT_MS,
    pollAfterSeconds: environment.integer("PROCESS_POLL_SECONDS", 1, 86_400) ?? 600,
    slots: {
      total: environment.integer("PROCESS_CONCURRENCY", 1, 1_000) ?? 64,
      perSession: environment.integer("PROCESS_SESSION_CONCURRENCY", 1, 1_000) ?? 8,
    },
  };
}
