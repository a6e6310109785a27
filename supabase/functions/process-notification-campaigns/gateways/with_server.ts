// For tests: a server of plain sockets, for everything that HTTP servers are too well-behaved to do.
import { createServer, type Socket } from "node:net";

/** Runs `test` against a TCP server that does to each connection what `onConnection` says. */
export async function withServer(
  onConnection: (socket: Socket) => void,
  test: (url: string) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  try {
    await test(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}
