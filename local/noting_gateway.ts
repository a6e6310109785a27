import { pause } from "./within.ts";

/** A gateway that takes everything, and what came to it. */
export interface NotingGateway {
  readonly url: string;
  /** When messages came, by `performance.now()`. */
  readonly arrivedAt: readonly number[];
  readonly stop: () => Promise<void>;
}

/** Starts a gateway that takes everything, after up to so many milliseconds, and notes when it came. */
export function startNotingGateway(answerMs: number): NotingGateway {
  const arrivedAt: number[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    arrivedAt.push(performance.now());
    await request.body?.cancel();
    await pause(Math.random() * answerMs);
    return Response.json({ success: true, accepted: true });
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, arrivedAt, stop: () => server.shutdown() };
}
