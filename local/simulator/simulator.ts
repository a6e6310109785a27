import { z } from "zod";
import { calm, type Faults, faultsSchema } from "./faults.ts";
import { Gateway, type GatewayOptions } from "./gateway.ts";
import type { SimulatorRecord } from "./record.ts";
import { serve } from "./serve.ts";

/** What the simulator needs to know. */
export interface SimulatorOptions extends GatewayOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** WHATSAPP_VPS_API_KEY: what callers of the gateway must present. */
  readonly apiKey: string;
  /** What differs from {@link calm}. */
  readonly faults?: Partial<Faults>;
}

/** A running simulator. All of it can be had over HTTP as well, under `/control/`. */
export interface Simulator {
  /** `http://127.0.0.1:<port>`: the value of WHATSAPP_VPS_URL. */
  readonly url: string;
  /** Nothing is left to answer or to post. */
  readonly idle: boolean;
  /** Changes some of the faults, for the sends that come from now on. */
  setFaults(faults: Partial<Faults>): void;
  /** Says how many people are in which group. */
  registerGroups(memberCounts: Readonly<Record<string, number>>): void;
  /** What truly happened; with `readers`, also who the people are. */
  record(readers?: boolean): SimulatorRecord;
  /** Drops what is under way and forgets groups and record; the faults stay. */
  reset(): void;
  /** Drops what is under way and gives up the port. */
  stop(): Promise<void>;
}

const someFaultsSchema = z.record(z.string(), z.unknown());
const groupsSchema = z.record(z.string(), z.number().int().min(1).max(10_000));

/**
 * Plays the VPS gateway on loopback, over HTTP alone.
 *
 * For the backend: `POST /send`, `GET /message-status?clientMessageId=`; both demand X-API-Key.
 * For whoever tests it: `POST /control/faults` (some of {@link Faults}), `POST /control/groups` (`{jid: memberCount}`),
 * `POST /control/reset`, `GET /control/record` (`?readers=true` names the people), `GET /control/idle`.
 *
 * @throws when a key is empty, a fault is out of range, or the port is taken
 */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  if (options.apiKey === "") throw new Error("the simulator needs WHATSAPP_VPS_API_KEY: it is empty");
  if (options.webhookKey === "") throw new Error("the simulator needs WEBHOOK_SECRET_KEY: it is empty");
  const gateway = new Gateway(options);
  const setFaults = (faults: unknown) => {
    gateway.faults = faultsSchema.parse({ ...gateway.faults, ...someFaultsSchema.parse(faults) });
  };
  setFaults(options.faults ?? calm);
  const registerGroups = (memberCounts: unknown) => {
    for (const [groupJid, count] of Object.entries(groupsSchema.parse(memberCounts))) gateway.register(groupJid, count);
  };

  async function answer(request: Request): Promise<Response | null> {
    const { pathname, searchParams } = new URL(request.url);
    const ok = Response.json({ ok: true });
    switch (`${request.method} ${pathname}`) {
      case "POST /send":
        return authorized(request) ? await gateway.send(await request.json()) : unauthorized();
      case "GET /message-status":
        return authorized(request) ? gateway.status(searchParams.get("clientMessageId") ?? "") : unauthorized();
      case "POST /control/faults":
        return setFaults(await request.json()), ok;
      case "POST /control/groups":
        return registerGroups(await request.json()), ok;
      case "POST /control/reset":
        return gateway.reset(), ok;
      case "GET /control/record":
        return Response.json(gateway.record(searchParams.get("readers") === "true"));
      case "GET /control/idle":
        return Response.json({ idle: gateway.idle });
      default:
        return Response.json({ success: false, error: `no such route: ${request.method} ${pathname}` }, {
          status: 404,
        });
    }
  }

  function authorized(request: Request): boolean {
    return request.headers.get("x-api-key") === options.apiKey;
  }

  async function answerBadInput(request: Request): Promise<Response | null> {
    try {
      return await answer(request);
    } catch (error) {
      if (error instanceof z.ZodError) return badRequest(z.prettifyError(error));
      if (error instanceof SyntaxError) return badRequest(`the body is not JSON: ${error.message}`);
      throw error;
    }
  }

  const server = await serve(options.port ?? 0, answerBadInput);
  return {
    url: `http://127.0.0.1:${server.port}`,
    get idle() {
      return gateway.idle;
    },
    setFaults,
    registerGroups,
    record: (readers) => gateway.record(readers),
    reset: () => gateway.reset(),
    stop: async () => {
      gateway.close();
      await server.close();
    },
  };
}

function unauthorized(): Response {
  return Response.json({ success: false, error: "X-API-Key is missing or wrong" }, { status: 401 });
}

function badRequest(error: string): Response {
  return Response.json({ success: false, error }, { status: 400 });
}
