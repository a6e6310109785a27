import { z } from "zod";
import type { Post } from "../deliver.ts";
import type { Faults } from "../faults.ts";
import { Life } from "../life.ts";
import { Notes } from "../notes.ts";
import { randomFor } from "../random.ts";
import { Webhook } from "../webhook.ts";
import { isContact } from "./is_contact.ts";
import { Ledger, type OpenGroup, type OpenSend } from "./ledger.ts";
import { malformedPost } from "./malformed.ts";
import { defaultMemberCount } from "./members.ts";
import { planSend } from "./plan.ts";
import { callBack, goOut, type PlayContext, receive } from "./play.ts";
import type { GroupRecord, GroupTotals } from "./record.ts";

/** Where the gateway posts, as whom, and how it behaves. */
export interface GatewayOptions {
  /** Asked anew for each request. */
  readonly faults: () => Faults;
  /** Base URL of the edge functions, such as `http://127.0.0.1:54321/functions/v1`. */
  readonly functionsUrl: string;
  /** WHATSAPP_VPS_API_KEY: what callers of the gateway must present. */
  readonly apiKey: string;
  /** WEBHOOK_SECRET_KEY: what the gateway presents to the webhooks. */
  readonly webhookKey: string;
}

const sendSchema = z.object({
  sessionId: z.string().min(1),
  groupJid: z.string().regex(
    /^(\d+(-\d+)?@g\.us|[1-9]\d{6,14}@s\.whatsapp\.net)$/,
    "must be a group JID such as 120363000000000000@g.us, or a contact's such as 919876543210@s.whatsapp.net",
  ),
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
  /** What it did wrong on purpose, and what it was wrongly answered. */
  readonly notes = new Notes();
  readonly webhooks: { readonly callbacks: Webhook<unknown>; readonly receipts: Webhook<unknown> };
  readonly #options: GatewayOptions;
  readonly #memberCounts = new Map<string, number>();
  readonly #ledger = new Ledger();
  readonly #life = new Life();

  constructor(options: GatewayOptions) {
    this.#options = options;
    const webhook = (name: keyof typeof WEBHOOK_NAMES, concurrency: number) =>
      new Webhook<unknown>({
        name: WEBHOOK_NAMES[name],
        concurrency,
        sizing: options.faults,
        compose: ({ events, good }) =>
          this.#postTo(name, JSON.stringify(events.length === 1 && good === 1 ? events[0] : events)),
        notes: this.notes,
        life: this.#life,
      });
    this.webhooks = { callbacks: webhook("callbacks", 4), receipts: webhook("receipts", 6) };
  }

  /** True when nothing is left to answer or to post. */
  get idle(): boolean {
    return this.#life.idle && this.webhooks.callbacks.idle && this.webhooks.receipts.idle;
  }

  get totals(): GroupTotals {
    return this.#ledger.totals;
  }

  /** What became of each group; with `readers`, also who the people are. */
  groups(readers: boolean): GroupRecord[] {
    return this.#ledger.groups(readers);
  }

  /** Says how many people are in a group, before anything is sent to it. */
  register(groupJid: string, memberCount: number): void {
    this.#memberCounts.set(groupJid, memberCount);
  }

  /** Drops everything under way. */
  close(): void {
    this.#life.end();
    this.webhooks.callbacks.clear();
    this.webhooks.receipts.clear();
  }

  /** Answers `POST /send`; null breaks the connection. */
  async send(request: Request): Promise<Response | null> {
    if (!this.#authorized(request)) return refusal(401, "X-API-Key is missing or wrong");
    const parsed = sendSchema.safeParse(await request.json());
    if (!parsed.success) return refusal(400, z.prettifyError(parsed.error));
    return await this.#life.during(() => this.#answer(parsed.data));
  }

  /** Answers `GET /message-status?clientMessageId=`. */
  status(request: Request): Response {
    if (!this.#authorized(request)) return refusal(401, "X-API-Key is missing or wrong");
    const known = this.#ledger.request(new URL(request.url).searchParams.get("clientMessageId") ?? "");
    if (known === undefined) return Response.json({ found: false });
    if ("rejected" in known) return Response.json({ found: true, status: "failed", error: known.rejected });
    const { status, messageId } = known.send;
    if (status !== "sent") return Response.json({ found: true, status });
    return Response.json({ found: true, status: fateOf(known.group), messageId });
  }

  #authorized(request: Request): boolean {
    return request.headers.get("x-api-key") === this.#options.apiKey;
  }

  async #answer(request: SendRequest): Promise<Response | null> {
    const { groupJid, clientMessageId, sessionId } = request;
    const [faults, ledger, life, notes] = [this.#options.faults(), this.#ledger, this.#life, this.notes];
    const group = ledger.group(groupJid, this.#memberCounts.get(groupJid) ?? defaultMemberCount(groupJid));
    const plan = planSend(faults, groupJid, ++group.requests);

    if (plan.answer === "busy") {
      group.busy++;
      await life.wait(plan.answerMs);
      const status = randomFor(faults.seed, groupJid, "busy status", group.requests).pick([429, 503]);
      notes.fault("sends put off (429, 503)");
      return refusal(status, "the gateway is busy", { "retry-after": "1" });
    }
    if (plan.answer === "reject") {
      const reason = "not a participant of this group";
      ledger.rejected(group, clientMessageId, reason);
      notes.fault("sends rejected");
      await life.wait(plan.answerMs);
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
      notes,
      group,
      send,
      plan,
      callbacks: this.webhooks.callbacks,
      wait: (ms) => life.wait(ms),
    };
    if (plan.callback.early) {
      goOut(context);
      notes.fault("reports before the answer");
      await Promise.race([life.during(() => callBack(context)), life.wait(EARLY_CALLBACK_MS)]);
    }
    void life.during(() => this.#carryOn(context));
    if (plan.answer === "hang" || plan.answer === "reset") {
      notes.fault("answers that never came");
      await life.wait(plan.answer === "hang" ? plan.hangMs : plan.answerMs);
      return null;
    }
    await life.wait(plan.answerMs);
    return Response.json({ success: true, accepted: true });
  }

  /** Plays the rest of a message's life: it goes out, its callback is posted, its receipts come in. */
  async #carryOn(context: PlayContext): Promise<void> {
    const { plan, notes, faults, group } = context;
    await this.#life.wait(plan.answerMs + plan.callbackMs);
    if (this.#life.ended) return;
    goOut(context);
    void this.#life.during(() => this.#postMalformed(context));
    const receipts = receive(context);
    if (receipts.length > 0 && isSilent(faults, group.groupJid)) {
      notes.fault("reports lost", receipts.splice(0).length);
    }
    if (!plan.callback.early) {
      if (plan.receiptsEarly && receipts.length > 0) {
        notes.fault("reports out of order");
        await this.webhooks.receipts.put(receipts.splice(0, Math.ceil(receipts.length / 2)));
      }
      void this.#life.during(() => callBack(context));
    }
    await this.#postReceipts(faults, group.groupJid, receipts);
  }

  async #postReceipts(faults: Faults, groupJid: string, receipts: readonly unknown[]): Promise<void> {
    const size = Math.ceil(receipts.length / PORTIONS);
    const draw = randomFor(faults.seed, groupJid, "receipt times");
    await Promise.all(Array.from({ length: PORTIONS }, async (_, portion) => {
      await this.#life.wait(draw.int(...faults.receiptMs));
      if (!this.#life.ended) {
        await this.webhooks.receipts.put(receipts.slice(portion * size, (portion + 1) * size));
      }
    }));
  }

  async #postMalformed({ plan, notes, group, send }: PlayContext): Promise<void> {
    if (plan.malformed === null) return;
    notes.fault("malformed or forged posts");
    const name = plan.malformed.startsWith("callback") ? "callbacks" : "receipts";
    const malformed = malformedPost(plan.malformed, send.sessionId, group.groupJid);
    if (malformed.form === "element") return await this.webhooks[name].putBad(malformed.element);
    await this.webhooks[name].tempt(this.#postTo(name, malformed.body), malformed.status, plan.malformed);
  }

  #postTo(name: keyof typeof WEBHOOK_NAMES, body: string): Post {
    return {
      url: `${this.#options.functionsUrl}/${WEBHOOK_NAMES[name]}`,
      headers: { "content-type": "application/json", "x-api-key": this.#options.webhookKey },
      body,
    };
  }
}

/** What is said of a message that went out: how far it came with one person; of a group, that it went out. */
function fateOf({ groupJid, reception }: OpenGroup): "sent" | "delivered" | "read" {
  if (!isContact(groupJid) || reception === null || reception.delivered === 0) return "sent";
  return reception.read > 0 ? "read" : "delivered";
}

/** Whether nobody will ever hear what a contact did with a message. */
function isSilent(faults: Faults, jid: string): boolean {
  return isContact(jid) && randomFor(faults.seed, jid, "silent").chance(faults.contactsSilent);
}

/** How the gateway says no: nothing was sent, and why. */
function refusal(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ success: false, error }, { status, headers });
}
