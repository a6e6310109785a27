import type { Clock } from "./clock.ts";
import type { Environment } from "./environment.ts";
import type { Logger } from "./logger.ts";
import type { Rpc } from "./rpc.ts";

/** What a handler needs of the world outside its request. */
export interface Deps {
  readonly environment: Environment;
  readonly rpc: Rpc;
  /**
   * The database with the rights of the user whose access token it is, and no more. Besides the failures of any call it
   * answers `unauthorized` (the token is none of ours, or has expired), `forbidden` and `not_found`.
   */
  readonly rpcAs: (accessToken: string) => Rpc;
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  readonly log: Logger;
  /** Aborts when the platform is about to retire the isolate. */
  readonly shutdown: AbortSignal;
}
