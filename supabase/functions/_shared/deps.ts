import type { Clock } from "./clock.ts";
import type { Environment } from "./environment.ts";
import type { Logger } from "./logger.ts";
import type { Rpc } from "./rpc.ts";

/** What a handler needs of the world outside its request. */
export interface Deps {
  readonly environment: Environment;
  readonly rpc: Rpc;
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  readonly log: Logger;
  /** Aborts when the platform is about to retire the isolate. */
  readonly shutdown: AbortSignal;
}
