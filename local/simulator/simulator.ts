import { z } from "zod";
import { CloudApi } from "./cloud_api/cloud_api.ts";
import { calm, type Faults, faultsSchema, type SomeFaults } from "./faults.ts";
import type { SimulatorRecord, SimulatorSummary } from "./record.ts";
import { serve } from "./serve.ts";
import { Twilio } from "./sms/twilio.ts";
import { Gateway } from "./vps/gateway.ts";

/** What the simulator needs to know. Keys that are empty are refused, by the name of their variable. */
export interface SimulatorOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Base URL of the edge functions, such as `http://127.0.0.1:54321/functions/v1`. */
  readonly functionsUrl: string;
  /** PUBLIC_FUNCTIONS_URL: as Twilio was told it; default: the above. */
  readonly publicFunctionsUrl?: string;
  readonly keys: {
    /** What callers of the VPS gateway present, and what the gateway presents to the webhooks. */
    readonly WHATSAPP_VPS_API_KEY: string;
    readonly WEBHOOK_SECRET_KEY: string;
    /** What callers of the Graph API present, and what signs Meta's posts. */
    readonly WHATSAPP_ACCESS_TOKEN: string;
    readonly WHATSAPP_APP_SECRET: string;
    /** What callers of Twilio present; the token signs Twilio's posts. */
    readonly TWILIO_ACCOUNT_SID: string;
    readonly TWILIO_AUTH_TOKEN: string;
  };
  /** What differs from {@link calm}. */
  readonly faults?: SomeFaults;
}

/** A running simulator. All of it can be had over HTTP as well, under `/control/`. */
export interface Simulator {
  /** `http://127.0.0.1:<port>`: the value of WHATSAPP_VPS_URL, WHATSAPP_CLOUD_API_URL and TWILIO_API_URL. */
  readonly url: string;
  /** Nothing is left to answer or to post. */
  readonly idle: boolean;
  /** Changes some of the faults, for the requests that come from now on. */
  setFaults(faults: SomeFaults): void;
  /** Says how many people are in which group. */
  registerGroups(memberCounts: Readonly<Record<string, number>>): void;
  /** Lets somebody write a text to a number of the business; settles when it was posted. */
  write(message: WrittenMessage): Promise<void>;
  /** Sums and faults of everything so far. */
  summary(): SimulatorSummary;
  /** What truly happened, one by one; with `readers`, also who the people in groups are. */
  record(readers?: boolean): SimulatorRecord;
  /** Drops what is under way and forgets groups and record; the faults stay. */
  reset(): void;
  /** Drops what is under way and gives up the port. */
  stop(): Promise<void>;
}

const writtenMessageSchema = z.strictObject({
  channel: z.enum(["whatsapp", "sms"]),
  /** The sender of the business: a phone number id, or a number. */
  to: z.string().min(1),
  /** Digits of who writes. */
  from: z.string().regex(/^[1-9]\d{6,14}$/, "must be the digits of a phone number"),
  text: z.string(),
});

/** A text that somebody writes to the business. */
export type WrittenMessage = z.infer<typeof writtenMessageSchema>;

const object = z.record(z.string(), z.unknown());
const groupsSchema = z.record(z.string(), z.number().int().min(1).max(10_000));

/**
 * Plays the VPS gateway, the Graph API of Meta and Twilio on loopback, over HTTP alone.
 *
 * For the backend: `POST /send` and `GET /message-status?clientMessageId=` of the VPS;
 * `POST /v23.0/{phone number id}/messages` of Meta; `POST /2010-04-01/Accounts/{sid}/Messages.json` and
 * `GET /2010-04-01/Accounts/{sid}/Messages/{message sid}.json` of Twilio.
 *
 * For whoever tests it: `POST /control/faults` (some of {@link Faults}), `POST /control/groups` (`{jid: memberCount}`),
 * `POST /control/write` ({@link WrittenMessage}), `POST /control/reset`, `GET /control/summary`, `GET /control/record`
 * (`?readers=true` names the people), `GET /control/idle`.
 *
 * @throws when a key is empty, a fault is out of range, or the port is taken
 */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  for (const [name, key] of Object.entries(options.keys)) {
    if (key === "") throw new Error(`the simulator needs ${name}: it is empty`);
  }
  let faults: Faults = calm;
  let cast = castOf(options, () => faults);
  const gateways = () => [cast.vps, cast.cloudApi.gateway, cast.sms.gateway] as const;
  const idle = () => gateways().every((gateway) => gateway.idle);
  const close = () => gateways().forEach((gateway) => gateway.close());

  function setFaults(changes: unknown): void {
    const { cloudApi, sms, ...others } = object.parse(changes);
    faults = faultsSchema.parse({
      ...faults,
      ...others,
      cloudApi: { ...faults.cloudApi, ...object.parse(cloudApi ?? {}) },
      sms: { ...faults.sms, ...object.parse(sms ?? {}) },
    });
  }
  setFaults(options.faults ?? {});

  function registerGroups(memberCounts: unknown): void {
    for (const [groupJid, count] of Object.entries(groupsSchema.parse(memberCounts))) {
      cast.vps.register(groupJid, count);
    }
  }

  async function write(message: unknown): Promise<void> {
    const { channel, to, from, text } = writtenMessageSchema.parse(message);
    await (channel === "whatsapp" ? cast.cloudApi : cast.sms).write(to, from, text);
  }

  function reset(): void {
    close();
    cast = castOf(options, () => faults);
  }

  function summary(): SimulatorSummary {
    const { vps, cloudApi, sms } = cast;
    return {
      seed: faults.seed,
      idle: idle(),
      totals: vps.totals,
      faults: vps.notes.faults,
      cloudApi: cloudApi.gateway.summary,
      sms: sms.gateway.summary,
      posts: {
        callbacks: vps.webhooks.callbacks.posted,
        receipts: vps.webhooks.receipts.posted,
        cloudApi: cloudApi.gateway.webhook.posted,
        sms: sms.gateway.webhook.posted,
      },
      unexpected: gateways().flatMap(({ notes }) => notes.unexpectedAnswers),
    };
  }

  function record(readers = false): SimulatorRecord {
    const { vps, cloudApi, sms } = cast;
    const sums = summary();
    return {
      ...sums,
      groups: vps.groups(readers),
      cloudApi: { ...sums.cloudApi, ...cloudApi.gateway.ledger.record },
      sms: { ...sums.sms, ...sms.gateway.ledger.record },
    };
  }

  async function control(request: Request, path: string, readers: boolean): Promise<Response | null> {
    const ok = () => Response.json({ ok: true });
    switch (`${request.method} ${path}`) {
      case "POST faults":
        return setFaults(await request.json()), ok();
      case "POST groups":
        return registerGroups(await request.json()), ok();
      case "POST write":
        return await write(await request.json()), ok();
      case "POST reset":
        return reset(), ok();
      case "GET summary":
        return Response.json(summary());
      case "GET record":
        return Response.json(record(readers));
      case "GET idle":
        return Response.json({ idle: idle() });
      default:
        return null;
    }
  }

  async function answer(request: Request): Promise<Response | null> {
    const { pathname, searchParams } = new URL(request.url);
    const [first = "", ...rest] = pathname.slice(1).split("/");
    const [one = "", two = "", three = "", four = ""] = rest;
    switch (`${request.method} ${first}`) {
      case "POST send":
        return await cast.vps.send(request);
      case "GET message-status":
        return cast.vps.status(request);
      case "POST v23.0":
        if (two === "messages") return await cast.cloudApi.send(request, one);
        break;
      case "POST 2010-04-01":
        if (one === "Accounts" && three === "Messages.json") return await cast.sms.send(request, two);
        break;
      case "GET 2010-04-01":
        if (one === "Accounts" && three === "Messages") return cast.sms.look(request, two, four.replace(/\.json$/, ""));
        break;
      case "POST control":
      case "GET control": {
        const answered = await control(request, one, searchParams.get("readers") === "true");
        if (answered !== null) return answered;
      }
    }
    return Response.json({ success: false, error: `no such route: ${request.method} ${pathname}` }, { status: 404 });
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
      return idle();
    },
    setFaults,
    registerGroups,
    write,
    summary,
    record,
    reset,
    stop: async () => {
      close();
      await server.close();
    },
  };
}

/** Everybody the simulator plays, from the beginning. */
function castOf({ functionsUrl, publicFunctionsUrl = functionsUrl, keys }: SimulatorOptions, faults: () => Faults) {
  return {
    vps: new Gateway({ faults, functionsUrl, apiKey: keys.WHATSAPP_VPS_API_KEY, webhookKey: keys.WEBHOOK_SECRET_KEY }),
    cloudApi: new CloudApi({
      faults,
      functionsUrl,
      accessToken: keys.WHATSAPP_ACCESS_TOKEN,
      appSecret: keys.WHATSAPP_APP_SECRET,
    }),
    sms: new Twilio({
      faults,
      functionsUrl: publicFunctionsUrl,
      accountSid: keys.TWILIO_ACCOUNT_SID,
      authToken: keys.TWILIO_AUTH_TOKEN,
    }),
  };
}

function badRequest(error: string): Response {
  return Response.json({ success: false, error }, { status: 400 });
}
