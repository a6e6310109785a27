import type { Environment } from "./environment.ts";

/**
 * How long a sender may go on sending without anything being heard back, until that is an alarm, in minutes.
 *
 * Throws `EnvironmentError` for a value out of its bounds.
 */
export function silentMinutes(environment: Environment): number {
  return environment.integer("ALERT_SILENT_MINUTES", 1, 1_440) ?? 15;
}
