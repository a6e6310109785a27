import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { deliver } from "./deliver.ts";
import { calm, type Faults } from "./faults.ts";
import { Ledger, type OpenSend, type Webhook } from "./ledger.ts";
import { malformedPost } from "./malformed.ts";
import { defaultMemberCount } from "./members.ts";
import { type Batch, Outbox } from "./outbox.ts";
import { planSend } from "./plan.ts";
import { callBack, goOut, type PlayContext, receive } from "./play.ts";
import { randomFor } from "./random.ts";
import type { SimulatorRecord } from "./record.ts";

/** Where the gateway posts, and as whom. */
export interface GatewayOptions {
  /** Base URL of the edge functions, such as `http://127.0.0.1:54321/functions/v1`. */
  readonly functionsUrl: string;
  /** WEBHOOK_SECRET_KEY: what the gateway presents to the webhooks. */
  readonly webhookKey: string;
}

const sendSchema = z.object({
  sessionId: z.string().min(1),
  groupJid: z.string().regex(/^\d+(-\d+)?@g\.us$/, "must be a group JID such as 120363000000000000@g.us"),
  message: z.object({ type: z.literal("text"), text: z.string().min(1) }),
  clientMessageId: z.string().min(1),
});

/** The body of `POST /send`. */
type SendRequest = z.infer<typeof sendSchema>;

const WEBHOOK_NAMES = {
  callbacks: "whatsapp-send-callback",
  receipts: "whatsapp-read-receipt-webhook",
} as const;

/** Receipts of one message are handed over in so many portions, so that those of many groups mix. */
const PORTIONS = 6;
/** The longest an early callback may hold up the answer to `/send`. */
const EARLY_CALLBACK_MS = 2_000;

/** Plays the VPS gateway: takes messages, calls back, reports receipts, misbehaves as told, and writes it all down. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #memberCounts = new Map<string, number>();
  readonly #outboxes: { readonly callbacks: Outbox; readonly receipts: Outbox };
  #faults: Faults = calm;
  #ledger = new Ledger();
  #life = new AbortController();
  #underWay = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const outbox = (webhook: Webhook, concurrency: number) =>
      new Outbox({ concurrency, sizing: () => this.#faults, post: (batch) => this.#post(webhook, batch) });
    this.#outboxes = { callbacks: outbox("callbacks", 4), receipts: outbox("receipts", 6) };
  }

  get faults(): Faults {
    return this.#faults;
  }

  /** Takes effect for the requests that come from now on. */
  set faults(faults: Faults) {
    this.#faults = faults;
  }

  /** True when nothing is left to answer or to post. */
  get idle(): boolean {
    return this.#underWay === 0 && this.#outboxes.callbacks.idle && this.#outboxes.receipts.idle;
  }

  /** Says how many people are in a group, before anything is sent to it. */
  register(groupJid: string, memberCount: number): void {
    this.#memberCounts.set(groupJid, memberCount);
  }

  /** See {@link Ledger.report}. */
  record(readers = false): SimulatorRecord {
    return this.#ledger.report(this.#faults.seed, this.idle, readers);
  }

  /** Drops everything under way and forgets all groups and the record; the faults stay. */
  reset(): void {
    this.close();
    this.#life = new AbortController();
    this.#ledger = new Ledger();
    this.#memberCounts.clear();
  }

  /** Drops everything under way. */
  close(): void {
    this.#life.abort();
    this.#outboxes.callbacks.clear();
    this.#outboxes.receipts.clear();
  }

  /** Answers `POST /send`; null breaks the connection. */
  async send(body: unknown): Promise<Response | null> {
    const parsed = sendSchema.safeParse(body);
    if (!parsed.success) return refusal(400, z.prettifyError(parsed.error));
    return await this.#whileUnderWay(() => this.#answer(parsed.data));
  }

  /** Answers `GET /message-status`. */
  status(clientMessageId: string): Response {
    const known = this.#ledger.request(clientMessageId);
    if (known === undefined) return Response.json({ found: false });
    if ("rejected" in known) return Response.json({ found: true, status: "failed", error: known.rejected });
    const { status, messageId } = known;
    return Response.json({ found: true, status, ...(status === "sent" ? { messageId } : {}) });
  }

  async #answer(request: SendRequest): Promise<Response | null> {
    const { groupJid, clientMessageId, sessionId } = request;
    const [faults, ledger] = [this.#faults, this.#ledger];
    const group = ledger.group(groupJid, this.#memberCounts.get(groupJid) ?? defaultMemberCount(groupJid));
    const plan = planSend(faults, groupJid, ++group.requests);

    if (plan.answer === "busy") {
      group.busy++;
      await this.#wait(plan.answerMs);
      const status = randomFor(faults.seed, groupJid, "busy status", group.requests).pick([429, 503]);
      ledger.fault(`sends answered ${status}`);
      return refusal(status, "the gateway is busy", { "retry-after": "1" });
    }
    if (plan.answer === "reject") {
      const reason = "not a participant of this group";
      ledger.rejected(group, clientMessageId, reason);
      ledger.fault("sends rejected");
      await this.#wait(plan.answerMs);
      return refusal(200, reason);
    }

    // From here on the message is taken, and what follows happens whether or not the caller hears of it.
    const send: OpenSend = {
      clientMessageId,
      messageId: `3EB0${randomFor(faults.seed, groupJid, clientMessageId, group.sends.length).hex(18)}`,
      sessionId,
      status: "queued",
    };
    ledger.took(group, send);
    const context: PlayContext = {
      faults,
      ledger,
      group,
      send,
      plan,
      callbacks: this.#outboxes.callbacks,
      wait: (ms) => this.#wait(ms),
    };
    if (plan.callback.early) {
      goOut(context);
      ledger.fault("callbacks before the answer");
      await Promise.race([this.#whileUnderWay(() => callBack(context)), this.#wait(EARLY_CALLBACK_MS)]);
    }
    void this.#whileUnderWay(() => this.#carryOn(context));
    if (plan.answer === "hang" || plan.answer === "reset") {
      ledger.fault(plan.answer === "hang" ? "sends never answered" : "sends cut off");
      await this.#wait(plan.answer === "hang" ? plan.hangMs : plan.answerMs);
      return null;
    }
    await this.#wait(plan.answerMs);
    return Response.json({ success: true, accepted: true });
  }

  /** Plays the rest of a message's life: it goes out, its callback is posted, its receipts come in. */
  async #carryOn(context: PlayContext): Promise<void> {
    const { plan, ledger, faults, group } = context;
    await this.#wait(plan.answerMs + plan.callbackMs);
    if (this.#life.signal.aborted) return;
    goOut(context);
    void this.#whileUnderWay(() => this.#postMalformed(context));
    const receipts = receive(context);
    if (!plan.callback.early) {
      if (plan.receiptsEarly && receipts.length > 0) {
        ledger.fault("groups with receipts before the callback");
        await this.#outboxes.receipts.put(receipts.splice(0, Math.ceil(receipts.length / 2)));
      }
      void this.#whileUnderWay(() => callBack(context));
    }
    await this.#postReceipts(faults, group.groupJid, receipts);
  }

  async #postReceipts(faults: Faults, groupJid: string, receipts: readonly unknown[]): Promise<void> {
    const size = Math.ceil(receipts.length / PORTIONS);
    const draw = randomFor(faults.seed, groupJid, "receipt times");
    await Promise.all(Array.from({ length: PORTIONS }, async (_, portion) => {
      await this.#wait(draw.int(...faults.receiptMs));
      if (!this.#life.signal.aborted) {
        await this.#outboxes.receipts.put(receipts.slice(portion * size, (portion + 1) * size));
      }
    }));
  }

  async #postMalformed({ plan, ledger, group, send }: PlayContext): Promise<void> {
    if (plan.malformed === null) return;
    ledger.fault(`malformed ${plan.malformed}`);
    const webhook = plan.malformed.startsWith("callback") ? "callbacks" : "receipts";
    const malformed = malformedPost(plan.malformed, send.sessionId, group.groupJid);
    if (malformed.form === "element") return await this.#outboxes[webhook].putBad(malformed.element);
    const delivery = await this.#deliver(webhook, malformed.body);
    if (delivery.status !== malformed.status && !this.#life.signal.aborted) {
      ledger.unexpected(
        `${WEBHOOK_NAMES[webhook]} answered ${delivery.status ?? "nothing"} instead of ${malformed.status} ` +
          `to a malformed ${plan.malformed}: ${malformed.body.slice(0, 200)}`,
      );
    }
  }

  /** Posts a batch. Bad elements in it are no reason to refuse it, unless there is nothing else in it. */
  async #post(webhook: Webhook, { events, good }: Batch): Promise<void> {
    const ledger = this.#ledger;
    const [first] = events;
    const delivery = await this.#deliver(webhook, JSON.stringify(events.length === 1 && good === 1 ? first : events));
    const refused = delivery.status !== null && delivery.status >= 400 && delivery.status < 500;
    const lost = delivery.status === null || delivery.status >= 500;
    ledger.posted(webhook, {
      posts: 1,
      events: good,
      retries: delivery.tries - 1,
      refused: refused ? good : 0,
      lost: lost ? good : 0,
    });
    if ((lost || (refused && good > 0)) && !this.#life.signal.aborted) {
      ledger.unexpected(
        `${WEBHOOK_NAMES[webhook]} answered ${delivery.status ?? "nothing"} to ${events.length} events: ` +
          JSON.stringify(events).slice(0, 200),
      );
    }
  }

  #deliver(webhook: Webhook, body: string): ReturnType<typeof deliver> {
    const url = `${this.#options.functionsUrl}/${WEBHOOK_NAMES[webhook]}`;
    return deliver(body, { url, key: this.#options.webhookKey, signal: this.#life.signal });
  }

  async #wait(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#life.signal }).catch(() => {});
  }

  async #whileUnderWay<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
    }
  }
}

/** How the gateway says no: nothing was sent, and why. */
function refusal(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ success: false, error }, { status, headers });
}
