import { createServer, type IncomingMessage } from "node:http";

/** Answers a request; null breaks the connection without an answer, as a gateway that dies does. */
export type Answer = (request: Request) => Promise<Response | null>;

/** A server on loopback. */
export interface Server {
  readonly port: number;
  /** Stops listening and breaks the connections that are open. */
  close(): Promise<void>;
}

/**
 * Listens on 127.0.0.1. `node:http` and not `Deno.serve`, because only it can break a connection.
 * @param port 0 for any free one
 * @throws when the port is taken
 */
export function serve(port: number, answer: Answer): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  const server = createServer(async (incoming, outgoing) => {
    try {
      const response = await answer(await toRequest(incoming));
      if (response === null) {
        incoming.socket.destroy();
      } else {
        outgoing.writeHead(response.status, Object.fromEntries(response.headers));
        outgoing.end(await response.text());
      }
    } catch {
      incoming.socket.destroy(); // the caller went away while it was being read or answered
    }
  });
  // An idle connection that is closed just as a caller uses it again would be a fault nobody asked for.
  server.keepAliveTimeout = 0;
  server.once("error", reject);
  server.listen(port, "127.0.0.1", () => {
    const address = server.address();
    resolve({
      port: typeof address === "object" && address !== null ? address.port : port,
      close: () =>
        new Promise((closed) => {
          server.close(() => closed());
          server.closeAllConnections();
        }),
    });
  });
  return promise;
}

async function toRequest(incoming: IncomingMessage): Promise<Request> {
  const parts: Uint8Array[] = [];
  for await (const part of incoming) parts.push(part);
  const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, `${value}`]);
  const method = incoming.method ?? "GET";
  const body = method === "GET" || method === "HEAD" ? null : await new Blob(parts.map((part) => part.slice())).text();
  return new Request(new URL(incoming.url ?? "/", "http://127.0.0.1"), { method, headers, body });
}
