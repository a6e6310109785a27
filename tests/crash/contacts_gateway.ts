import { createHmac } from "node:crypto";
import { z } from "zod";
import { randomFor } from "../../local/simulator/random.ts";
import { pause } from "../../local/within.ts";

/** A message that the provider took, and has sent. */
export interface SentMessage {
  /** In E.164. */
  readonly to: string;
  readonly messageId: string;
  /** The id of the attempt, which comes back with every status. */
  readonly clientMessageId: string;
  readonly isDelivered: boolean;
  readonly isRead: boolean;
}

/** Where statuses go. */
export interface StatusWebhook {
  readonly url: string;
  readonly appSecret: string;
}

/**
 * WhatsApp's Cloud API, as far as a campaign of texts meets it: what it takes is sent, whether or not anybody is there to
 * hear the answer, and its webhook is told of everything.
 */
export interface ContactsGateway {
  readonly url: string;
  readonly phoneNumberId: string;
  readonly accessToken: string;
  /** `answer` takes a message, sends it, and says so a little later; `swallow` takes nothing and never answers. */
  manner: "answer" | "swallow";
  readonly sent: readonly SentMessage[];
  /** Messages that are sent, and whose sender does not know it yet. */
  readonly answering: number;
  /** Requests that were left without an answer. */
  readonly swallowed: number;
  /** Requests that are none of the API's. */
  readonly malformed: readonly string[];
  /** Whether every status has been taken by the webhook. */
  readonly isIdle: boolean;
  /** Begins to post statuses; until then they gather. */
  report(webhook: StatusWebhook): void;
  stop(): Promise<void>;
}

const SEED = 104;
const DELIVERED_SHARE = 0.8;
/** Of those delivered. Of every third of them no delivery is reported: a read says as much. */
const READ_SHARE = 0.5;

/** How long the provider thinks about a message: time to kill who asks. */
const ANSWER_MS = 25;
const LATER_MS = [100, 2_000] as const;

/** As Meta does it: many statuses in one post, several posts at a time, and now and then one of them twice. */
const STATUSES_PER_POST = 400;
const POSTS_AT_ONCE = 2;
const REPEATED_POST = 6;
const POST_TIMEOUT_MS = 10_000;
const POLL_MS = 20;
const RETRY_MS = 100;

const sendSchema = z.object({
  messaging_product: z.literal("whatsapp"),
  recipient_type: z.literal("individual"),
  to: z.string().regex(/^\+[1-9]\d{6,14}$/),
  type: z.literal("text"),
  text: z.object({ body: z.string().min(1) }),
  biz_opaque_callback_data: z.uuid(),
});

interface Status {
  readonly message: SentMessage;
  readonly status: "sent" | "delivered" | "read";
  /** When it is reported, by `performance.now()`. */
  readonly at: number;
}

/** Starts the provider on any free port of loopback. */
export function startContactsGateway(): ContactsGateway {
  const phoneNumberId = "106540352242922";
  const accessToken = "crash-test-token";
  const sent: SentMessage[] = [];
  const malformed: string[] = [];
  let due: Status[] = [];
  let later: Status[] = [];
  let answering = 0;
  let swallowed = 0;
  let posting = 0;
  let posts = 0;
  const life = new AbortController();
  const never = new Promise((resolve) => life.signal.addEventListener("abort", resolve));
  let pumps: Promise<unknown> = Promise.resolve();

  async function answer(request: Request): Promise<Response> {
    if (gateway.manner === "swallow") {
      swallowed++;
      await never;
      return new Response(null, { status: 500 });
    }
    const { pathname } = new URL(request.url);
    const body = sendSchema.safeParse(await request.json().catch(() => null));
    if (
      request.method !== "POST" || pathname !== `/v23.0/${phoneNumberId}/messages` ||
      request.headers.get("authorization") !== `Bearer ${accessToken}` || !body.success
    ) {
      malformed.push(`${request.method} ${pathname}: ${body.error?.message ?? "not for us"}`);
      return Response.json({ error: { message: "Invalid parameter", type: "OAuthException", code: 100 } }, {
        status: 400,
      });
    }
    const message = take(body.data.to, body.data.biz_opaque_callback_data);
    answering++;
    await pause(ANSWER_MS);
    answering--;
    return Response.json({
      messaging_product: "whatsapp",
      contacts: [{ input: message.to, wa_id: message.to.slice(1) }],
      messages: [{ id: message.messageId }],
    });
  }

  /** From here on the message is on its way, whatever becomes of whoever asked for it. */
  function take(to: string, clientMessageId: string): SentMessage {
    const random = randomFor(SEED, to);
    const isDelivered = random.chance(DELIVERED_SHARE);
    const isRead = isDelivered && random.chance(READ_SHARE);
    const messageId = `wamid.${btoa(`${to} ${sent.length}`)}`;
    const message = { to, messageId, clientMessageId, isDelivered, isRead };
    sent.push(message);
    const now = performance.now();
    due.push({ message, status: "sent", at: now });
    if (isDelivered && !(isRead && random.chance(1 / 3))) {
      later.push({ message, status: "delivered", at: now + random.int(...LATER_MS) });
    }
    if (isRead) later.push({ message, status: "read", at: now + random.int(...LATER_MS) });
    return message;
  }

  /** Those of which it is time: what was sent first, for somebody may wait for it. */
  function nextPost(): Status[] {
    const batch = due.slice(0, STATUSES_PER_POST);
    due = due.slice(STATUSES_PER_POST);
    if (batch.length < STATUSES_PER_POST) {
      const now = performance.now();
      const rest: Status[] = [];
      for (const status of later) {
        (status.at <= now && batch.length < STATUSES_PER_POST ? batch : rest).push(status);
      }
      later = rest;
    }
    // in one post a delivery may stand before the sending
    return randomFor(SEED, posts).shuffle(batch);
  }

  async function pump(webhook: StatusWebhook): Promise<void> {
    while (!life.signal.aborted) {
      const batch = nextPost();
      if (batch.length === 0) {
        await pause(POLL_MS);
        continue;
      }
      posting++;
      const body = bodyOf(batch, phoneNumberId);
      const times = ++posts % REPEATED_POST === 0 ? 2 : 1;
      for (let time = 0; time < times; time++) await post(webhook, body);
      posting--;
    }
  }

  /** Again and again until it is taken, as Meta does for days. */
  async function post({ url, appSecret }: StatusWebhook, body: string): Promise<void> {
    const signature = createHmac("sha256", appSecret).update(body).digest("hex");
    while (!life.signal.aborted) {
      try {
        const response = await fetch(url, {
          method: "POST",
          headers: { "content-type": "application/json", "x-hub-signature-256": `sha256=${signature}` },
          body,
          signal: AbortSignal.any([life.signal, AbortSignal.timeout(POST_TIMEOUT_MS)]),
        });
        await response.body?.cancel();
        if (response.ok) return;
      } catch {
        // nobody there: posted again
      }
      await pause(RETRY_MS);
    }
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const gateway: ContactsGateway = {
    url: `http://127.0.0.1:${server.addr.port}`,
    phoneNumberId,
    accessToken,
    manner: "answer",
    sent,
    malformed,
    get answering() {
      return answering;
    },
    get swallowed() {
      return swallowed;
    },
    get isIdle() {
      return due.length + later.length + posting === 0;
    },
    report(webhook) {
      pumps = Promise.all(Array.from({ length: POSTS_AT_ONCE }, () => pump(webhook)));
    },
    async stop() {
      life.abort();
      await Promise.all([pumps, server.shutdown()]);
    },
  };
  return gateway;
}

function bodyOf(statuses: readonly Status[], phoneNumberId: string): string {
  const timestamp = `${Math.floor(Date.now() / 1000)}`;
  return JSON.stringify({
    object: "whatsapp_business_account",
    entry: [{
      id: "102290129340398",
      changes: [{
        field: "messages",
        value: {
          messaging_product: "whatsapp",
          metadata: { display_phone_number: "15550783881", phone_number_id: phoneNumberId },
          statuses: statuses.map(({ message, status }) => ({
            id: message.messageId,
            status,
            timestamp,
            recipient_id: message.to.slice(1),
            biz_opaque_callback_data: message.clientMessageId,
          })),
        },
      }],
    }],
  });
}
