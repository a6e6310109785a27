import { z } from "zod";

const eventSchema = z.looseObject({ event: z.string() });

/** An event as it was posted. */
export type PostedEvent = z.infer<typeof eventSchema>;

/** Stands where the edge functions would, and keeps what is posted. For tests. */
export interface WebhookReceiver {
  readonly url: string;
  /** Every post, in the order of arrival, those answered with an error included. */
  readonly posts: { readonly webhook: string; readonly body: string; readonly status: number }[];
  /** Statuses for the next posts; 200 after that. */
  readonly answers: number[];
  /** Answer 400 to bad JSON and to single objects without the fields a webhook needs. */
  judgeMalformed: boolean;
  /** Posts that did not carry the key `hook-key`. */
  readonly wrongKeys: number;
  /** Events that were posted to a webhook and answered with 200, arrays taken apart. */
  events(webhook: string): PostedEvent[];
  stop(): Promise<void>;
}

/** Starts a {@link WebhookReceiver} on loopback. */
export function receiveWebhooks(): WebhookReceiver {
  const posts: WebhookReceiver["posts"] = [];
  const answers: number[] = [];
  let wrongKeys = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const body = await request.text();
    if (request.headers.get("x-api-key") !== "hook-key") wrongKeys++;
    const status = answers.shift() ?? (receiver.judgeMalformed && isMalformed(body) ? 400 : 200);
    posts.push({ webhook: new URL(request.url).pathname.slice(1), body, status });
    return Response.json({ ok: status === 200 }, { status });
  });
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${server.addr.port}`,
    posts,
    answers,
    judgeMalformed: false,
    get wrongKeys() {
      return wrongKeys;
    },
    events: (webhook) =>
      posts.filter((post) => post.webhook === webhook && post.status === 200).flatMap(({ body }) => eventsIn(body)),
    stop: () => server.shutdown(),
  };
  return receiver;
}

const goodSchema = z.object({
  event: z.string(),
  sessionId: z.string(),
  groupJid: z.string(),
  messageId: z.string().nullable().optional(),
  reader: z.string().nullable().optional(),
});

function isMalformed(body: string): boolean {
  try {
    const parsed: unknown = JSON.parse(body);
    if (Array.isArray(parsed)) return false;
    const known = ["message_sent", "message_failed", "message_delivered", "message_read"];
    const good = goodSchema.safeParse(parsed);
    if (!good.success) return true;
    return known.includes(good.data.event) && good.data.messageId === undefined;
  } catch {
    return true;
  }
}

function eventsIn(body: string): PostedEvent[] {
  const parsed: unknown = JSON.parse(body);
  return (Array.isArray(parsed) ? parsed : [parsed]).flatMap((element) => {
    const event = eventSchema.safeParse(element);
    return event.success && typeof event.data.messageId !== "number" && !Array.isArray(event.data.messageId)
      ? [event.data]
      : [];
  });
}
