import { callerClient } from "./caller_client.ts";
import { callerRefusal } from "./caller_refusal.ts";
import { type Clock, systemClock } from "./clock.ts";
import { databaseClient } from "./database_client.ts";
import { databaseRpc } from "./database_rpc.ts";
import type { Deps } from "./deps.ts";
import { Environment } from "./environment.ts";
import { EnvironmentError } from "./environment_error.ts";
import { failureResponse } from "./failure_response.ts";
import { Logger } from "./logger.ts";
import type { Arguments, FunctionName } from "./rpc.ts";
import { shutdownSignal } from "./shutdown_signal.ts";

/** What a test may put in place of the real thing. */
export interface EndpointOptions {
  readonly environment?: Environment;
  readonly clock?: Clock;
  readonly fetch?: typeof fetch;
  readonly writeLog?: (line: string) => void;
}

const REQUEST_ID = /^[\w-]{8,64}$/;

/**
 * Makes the `fetch` of a function out of its handler: gives it its dependencies, puts a request id on the answer, and
 * turns whatever was not foreseen into a 500 that tells the caller the id and the log the rest.
 *
 * @example
 * ```ts
 * export default { fetch: endpoint("whatsapp-send-callback", handle) };
 * ```
 */
export function endpoint(
  name: string,
  handle: (request: Request, deps: Deps) => Promise<Response>,
  options: EndpointOptions = {},
): (request: Request) => Promise<Response> {
  const environment = options.environment ?? new Environment();
  const clock = options.clock ?? systemClock;
  return async (request) => {
    const given = request.headers.get("x-request-id") ?? "";
    const requestId = REQUEST_ID.test(given) ? given : crypto.randomUUID();
    const log = new Logger({ function: name, request_id: requestId }, options.writeLog);
    const deps: Deps = {
      environment,
      clock,
      log,
      fetch: options.fetch ?? fetch,
      shutdown: shutdownSignal(),
      // made at the call: a function that lacks the key of its database still answers 405 and 401
      rpc: async <Name extends FunctionName>(rpc: Name, args?: Arguments<Name>) =>
        await databaseRpc(databaseClient(environment), clock, log)(rpc, args),
      rpcAs: (accessToken) =>
        databaseRpc(callerClient(environment, accessToken), clock, log, { refusal: callerRefusal }),
    };
    const response = await answer(() => handle(request, deps), log);
    response.headers.set("x-request-id", requestId);
    return response;
  };
}

/** The outermost catch. */
async function answer(handle: () => Promise<Response>, log: Logger): Promise<Response> {
  try {
    return await handle();
  } catch (thrown) {
    if (thrown instanceof EnvironmentError) {
      log.error("misconfigured", { variable: thrown.variable, message: thrown.message });
      return failureResponse({ code: "misconfigured" });
    }
    log.error("unforeseen", {
      message: thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown),
      stack: thrown instanceof Error ? thrown.stack : undefined,
    });
    return failureResponse({ code: "internal" });
  }
}
