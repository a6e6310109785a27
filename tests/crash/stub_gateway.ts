import { z } from "zod";

/** A message that the gateway took, and will send. */
export interface TakenMessage {
  readonly clientMessageId: string;
  readonly groupJid: string;
  readonly messageId: string;
}

/** A gateway that hangs at the right moment. It calls nobody back: `/message-status` tells what became of a message. */
export interface StubGateway {
  readonly url: string;
  /**
   * What `/send` does: `swallow` never answers and takes nothing; `take and hang` takes the message and never answers;
   * `answer` takes it and says so.
   */
  manner: "swallow" | "take and hang" | "answer";
  /** Sends that were left without an answer. */
  readonly hanging: number;
  readonly taken: readonly TakenMessage[];
  stop(): Promise<void>;
}

const sendSchema = z.object({ clientMessageId: z.string(), groupJid: z.string() });

/** Starts the gateway on any free port of loopback. */
export function startStubGateway(): StubGateway {
  const taken: TakenMessage[] = [];
  const never = new AbortController();
  let hanging = 0;

  const hang = () => {
    hanging++;
    return new Promise<Response>((resolve) =>
      never.signal.addEventListener("abort", () => resolve(new Response(null, { status: 500 })))
    );
  };

  async function answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/message-status") {
      const known = taken.find(({ clientMessageId }) => clientMessageId === searchParams.get("clientMessageId"));
      return Response.json(
        known === undefined ? { found: false } : { found: true, status: "sent", messageId: known.messageId },
      );
    }
    if (gateway.manner === "swallow") return await hang();
    const { clientMessageId, groupJid } = sendSchema.parse(await request.json());
    taken.push({ clientMessageId, groupJid, messageId: `3EB0${taken.length}${clientMessageId}` });
    return gateway.manner === "take and hang" ? await hang() : Response.json({ success: true, accepted: true });
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const gateway: StubGateway = {
    url: `http://127.0.0.1:${server.addr.port}`,
    manner: "answer",
    get hanging() {
      return hanging;
    },
    taken,
    async stop() {
      never.abort();
      await server.shutdown();
    },
  };
  return gateway;
}
