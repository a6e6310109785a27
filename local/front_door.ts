import type { Config } from "./config.ts";
import { type FunctionKeys, refuseUnverified } from "./function_auth.ts";
import type { Functions } from "./functions.ts";

/** What stands behind the front door. */
export interface FrontDoorOptions {
  readonly port: number;
  /** What is behind it by now; null: still starting. */
  readonly backends: () => Backends | null;
  readonly config: Config;
  readonly keys: FunctionKeys;
  readonly log: (line: string) => void;
}

/** Where requests go. */
export interface Backends {
  /** The Data and Auth API's. */
  readonly dataApiPort: number;
  readonly functions: Functions;
}

/** The one address that callers know. */
export interface FrontDoor {
  readonly port: number;
  stop(): Promise<void>;
}

/** As on the platform: a function that says nothing for 150 s is given up. */
const ANSWER_TIMEOUT_MS = 150_000;
/** A function's own restart takes half a second; more than one try would answer later than callers wait. */
const START_ATTEMPTS = 2;

/**
 * Opens the API port: /rest/v1 and /auth/v1 go to the Data API, /functions/v1/<name> to the function, bodies streaming
 * both ways. What cannot be reached is answered 503.
 *
 * @throws Error naming the port and TRUETICK_API_PORT when the port is taken
 */
export function openFrontDoor(options: FrontDoorOptions): FrontDoor {
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 256 });
  const listen = (port: number) =>
    Deno.serve({
      hostname: "127.0.0.1",
      port,
      onListen: () => {},
      onError: (error) => {
        options.log(`front door: ${error instanceof Error ? error.message : error}`);
        return failure(500, "internal", "The local stack failed; see its log");
      },
    }, (request) => route(request));
  const server = orTaken(() => listen(options.port), options.port);

  async function route(request: Request): Promise<Response> {
    const backends = options.backends();
    if (backends === null) return failure(503, "starting", "The local stack is starting");
    const start = request.url.indexOf("/", "http://".length);
    const target = request.url.slice(start);
    if (target.startsWith("/rest/v1/") || target.startsWith("/auth/v1/")) {
      return await forward(request, `http://127.0.0.1:${backends.dataApiPort}${target}`) ??
        failure(503, "data_api_unavailable", "The Data API cannot be reached");
    }
    const name = /^\/functions\/v1\/([^/?#]+)/.exec(target)?.[1];
    if (name === undefined) return failure(404, "not_found", "Try /rest/v1/, /auth/v1/ or /functions/v1/<name>");
    return await callFunction(backends.functions, name, request, target);
  }

  async function callFunction(functions: Functions, name: string, request: Request, target: string): Promise<Response> {
    const { config, keys } = options;
    if (!functions.names.includes(name)) return failure(404, "function_not_found", `There is no function "${name}"`);
    if (config.verifyJwt(name)) {
      const refused = await refuseUnverified(request, keys);
      if (refused !== null) return refused;
    }
    for (let attempt = 1; attempt <= START_ATTEMPTS; attempt++) {
      let port: number;
      try {
        port = await functions.portOf(name);
      } catch (error) {
        options.log(`${name}: ${error instanceof Error ? error.message : error}`);
        break;
      }
      // The platform passes the path without its prefix.
      const answer = await forward(request, `http://127.0.0.1:${port}${target.slice("/functions/v1".length)}`);
      if (answer !== null) return answer;
      // What was sent of a body cannot be sent again, and may have been worked on: the caller decides.
      if (request.body !== null) break;
    }
    return failure(503, "function_unavailable", `The function "${name}" cannot be reached`);
  }

  async function forward(request: Request, url: string): Promise<Response | null> {
    const headers = new Headers(request.headers);
    headers.delete("host");
    headers.delete("connection");
    // Cleared once the answer begins: a body may stream for as long as it likes.
    const tooLate = new AbortController();
    const timer = setTimeout(() => tooLate.abort(), ANSWER_TIMEOUT_MS);
    try {
      const answer = await fetch(url, {
        method: request.method,
        headers,
        body: request.body,
        redirect: "manual",
        client,
        signal: tooLate.signal,
      });
      return answer;
    } catch {
      return tooLate.signal.aborted ? failure(504, "timeout", `No answer in ${ANSWER_TIMEOUT_MS / 1000} s`) : null;
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    port: server.addr.port,
    async stop() {
      await server.shutdown();
      client.close();
    },
  };
}

function orTaken<T>(open: () => T, port: number): T {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Error(
      `Port ${port} for the API is taken by another program; stop it or set TRUETICK_API_PORT to a free port`,
    );
  }
}

function failure(status: number, code: string, message: string): Response {
  return Response.json({ error: { code, message } }, { status });
}
