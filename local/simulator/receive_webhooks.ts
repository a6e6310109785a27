import { z } from "zod";

const eventSchema = z.looseObject({ event: z.string() });

/** An event of the VPS gateway as it was posted. */
export type PostedEvent = z.infer<typeof eventSchema>;

/** A post as it came in. */
export interface ReceivedPost {
  readonly webhook: string;
  /** Its whole address. */
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
  /** What it was answered. */
  readonly status: number;
}

/** Stands where the edge functions would, and keeps what is posted. For tests. */
export interface WebhookReceiver {
  readonly url: string;
  /** Every post, in the order of arrival, those answered with an error included. */
  readonly posts: ReceivedPost[];
  /** Statuses for the next posts; 200 after that. */
  readonly answers: number[];
  /** Decides what is answered, where {@link answers} does not: 200 or what is wrong. Default: 200 to everything. */
  judge: (post: Omit<ReceivedPost, "status">) => number | Promise<number>;
  /** Events of the VPS gateway that were posted to a webhook and answered with 200, arrays taken apart. */
  events(webhook: string): PostedEvent[];
  stop(): Promise<void>;
}

/** Starts a {@link WebhookReceiver} on loopback. */
export function receiveWebhooks(): WebhookReceiver {
  const posts: ReceivedPost[] = [];
  const answers: number[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const post = { webhook: pathname.slice(1), url: request.url, headers: request.headers, body: await request.text() };
    const status = answers.shift() ?? await receiver.judge(post);
    posts.push({ ...post, status });
    return Response.json({ ok: status === 200 }, { status });
  });
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${server.addr.port}`,
    posts,
    answers,
    judge: () => 200,
    events: (webhook) =>
      posts.filter((post) => post.webhook === webhook && post.status === 200).flatMap(({ body }) => eventsIn(body)),
    stop: () => server.shutdown(),
  };
  return receiver;
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
