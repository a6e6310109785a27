import type { Environment } from "../../_shared/environment.ts";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import type { Gateway } from "./gateway.ts";
import { registry } from "./registry.ts";

/** The gateways that can be used, and why the others cannot. */
export interface ReadyGateways {
  /** By name; at least one. */
  readonly ready: ReadonlyMap<string, Gateway>;
  /** What stands in the way of each gateway that somebody began to configure. */
  readonly faults: readonly EnvironmentError[];
  /** Of every gateway, by name: `ready`, `not configured`, or its fault. */
  readonly states: Readonly<Record<string, string>>;
}

/**
 * Makes the gateways whose variables are set.
 *
 * Throws `EnvironmentError` when none is ready: that of a gateway which somebody began to configure, if there is one.
 */
export function readyGateways(environment: Environment, fetcher: typeof fetch): ReadyGateways {
  const ready = new Map<string, Gateway>();
  const states: Record<string, string> = {};
  const faults: EnvironmentError[] = [];
  const absences: EnvironmentError[] = [];
  for (const { name, variables, create } of registry) {
    const isBegun = variables.some((variable) => environment.optional(variable) !== undefined);
    try {
      ready.set(name, create(environment, fetcher));
      states[name] = "ready";
    } catch (thrown) {
      if (!(thrown instanceof EnvironmentError)) throw thrown;
      states[name] = isBegun ? thrown.message : "not configured";
      (isBegun ? faults : absences).push(thrown);
    }
  }
  const [reason] = [...faults, ...absences];
  if (ready.size === 0 && reason !== undefined) throw reason;
  return { ready, faults, states };
}
