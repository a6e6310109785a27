import { z } from "zod";
import { ContactGateway } from "../contacts/contact_gateway.ts";
import type { BadPost, Order, Provider, Refusal, RefusalCodes, RefusalReason, Sending } from "../contacts/provider.ts";
import type { Post } from "../deliver.ts";
import type { Faults } from "../faults.ts";
import { type Random, randomFor } from "../random.ts";
import { type Conversation, planActs, planText } from "./acts.ts";
import { errorAnswer } from "./errors.ts";
import type { SmsEvent } from "./event.ts";
import { failureOf, planFate, type SmsStatus } from "./fate.ts";
import { sid } from "./sid.ts";
import { signForm } from "./sign_form.ts";

/** Where Twilio posts, as whom, and how it behaves. */
export interface TwilioOptions {
  /** Asked anew for each request. */
  readonly faults: () => Faults;
  /** Base URL of the edge functions, as Twilio was told it: it signs what it posts to. */
  readonly functionsUrl: string;
  /** TWILIO_ACCOUNT_SID: the user name that callers must present. */
  readonly accountSid: string;
  /** TWILIO_AUTH_TOKEN: the password that callers must present; signs what is posted. */
  readonly authToken: string;
}

/** A send, as Twilio sees it. */
interface SmsOrder extends Order {
  readonly body: string;
  /** Where to report; null: nowhere. */
  readonly statusCallback: string | null;
}

type SmsSending = Sending<SmsStatus, SmsOrder>;

const WEBHOOK = "sms-delivery-webhook";
const POSTS_AT_ONCE = 16;
/** What a segment costs, in dollars. */
const PRICE = 0.0075;

const formSchema = z.object({
  To: z.string().regex(/^\+[1-9]\d{6,14}$/, "21211"),
  Body: z.string("21602").min(1, "21602").max(1600, "21602"),
  From: z.string().optional(),
  MessagingServiceSid: z.string().optional(),
  StatusCallback: z.url({ protocol: /^https?$/, error: "21609" }).optional(),
}).refine(({ From, MessagingServiceSid }) => From !== undefined || MessagingServiceSid !== undefined, "21603");

/** Plays Twilio, as far as text messages go. */
export class Twilio {
  readonly gateway: ContactGateway<SmsStatus, SmsEvent, SmsOrder>;
  readonly #options: TwilioOptions;

  constructor(options: TwilioOptions) {
    this.#options = options;
    this.gateway = new ContactGateway(this.#provider(), options.faults);
  }

  /** Answers `POST /2010-04-01/Accounts/{sid}/Messages.json`; null breaks the connection. */
  async send(request: Request, accountSid: string): Promise<Response | null> {
    if (!this.#authorized(request, accountSid)) return errorAnswer(401, "20003");
    const parsed = formSchema.safeParse(Object.fromEntries(new URLSearchParams(await request.text())));
    if (!parsed.success) return errorAnswer(400, parsed.error.issues[0]?.message ?? "21211");
    const { To, From, MessagingServiceSid, Body, StatusCallback } = parsed.data;
    return await this.gateway.send({
      contact: To.slice(1),
      sessionId: From ?? MessagingServiceSid ?? "",
      // Twilio does not know what it means; but it is how the record tells which attempt this was
      clientMessageId: StatusCallback === undefined ? null : new URL(StatusCallback).searchParams.get("attempt"),
      body: Body,
      statusCallback: StatusCallback ?? null,
    });
  }

  /** Answers `GET /2010-04-01/Accounts/{sid}/Messages/{message sid}.json`. */
  look(request: Request, accountSid: string, messageId: string): Response {
    if (!this.#authorized(request, accountSid)) return errorAnswer(401, "20003");
    const sending = this.gateway.sending(messageId);
    if (sending === undefined) return errorAnswer(404, "20404");
    const { message, fate } = sending;
    if (message.status === "queued") return Response.json(this.#resource(sending, "queued"));
    if (!fate.failed && !fate.delivered) return Response.json(this.#resource(sending, "sent"));
    // Prices come late. Here they are told for the messages that one must ask about, and not for those that somebody asks
    // about a moment before their callback: else the true sum would depend on who was faster.
    const mustAsk = !fate.reports.some(({ status }) => status !== "sent");
    if (mustAsk) message.cost = PRICE;
    return Response.json(this.#resource(sending, fate.failed ? failureOf(fate.errorCode) : "delivered"));
  }

  /** Lets somebody write a text to a number of the business. */
  async write(to: string, contact: string, text: string): Promise<void> {
    const ids = randomFor(this.#options.faults().seed, "ids", crypto.randomUUID());
    await this.gateway.perform(planText(this.#conversation(to, contact), text, ids, null), contact);
  }

  #authorized(request: Request, accountSid: string): boolean {
    const { authToken } = this.#options;
    return accountSid === this.#options.accountSid &&
      request.headers.get("authorization") === `Basic ${btoa(`${accountSid}:${authToken}`)}`;
  }

  #provider(): Provider<SmsStatus, SmsEvent, SmsOrder> {
    return {
      section: "sms",
      webhook: {
        name: WEBHOOK,
        concurrency: POSTS_AT_ONCE,
        sizing: () => ({ seed: this.#options.faults().seed, batchMax: 1 }),
        compose: ({ events: [event] }) => this.#post(event ?? { url: this.#url, form: {} }),
      },
      planFate,
      messageId: (contact, ids) => sid("SM", contact, ids),
      accept: (sending) => Response.json(this.#resource(sending, "queued"), { status: 201 }),
      refuse,
      endsConsent: (code) => code === "21610" || code === "30004",
      report: (sending, status) => this.#callback(sending, status),
      acts: ({ order }, draw, ids) => planActs(this.#conversation(order.sessionId, order.contact), draw, ids),
      badPost: (sending, draw) => this.#badPost(sending, draw),
    };
  }

  get #url(): string {
    return `${this.#options.functionsUrl}/${WEBHOOK}`;
  }

  #conversation(to: string, contact: string): Conversation {
    return { accountSid: this.#options.accountSid, from: `+${contact}`, to, webhookUrl: this.#url };
  }

  /** A message as the API shows it. */
  #resource({ order, message, fate }: SmsSending, status: SmsStatus): unknown {
    const failed = status === "undelivered" || status === "failed";
    return {
      sid: message.messageId,
      account_sid: this.#options.accountSid,
      api_version: "2010-04-01",
      to: `+${order.contact}`,
      from: order.sessionId,
      body: order.body,
      status,
      direction: "outbound-api",
      num_segments: "1",
      error_code: failed ? Number(fate.errorCode) : null,
      error_message: null,
      // Twilio charges: what it costs is below nothing
      price: message.cost === null ? null : `-${message.cost.toFixed(5)}`,
      price_unit: "USD",
      date_created: new Date().toUTCString(),
      uri: `/2010-04-01/Accounts/${this.#options.accountSid}/Messages/${message.messageId}.json`,
    };
  }

  /** A status callback; null where nobody asked for one. */
  #callback({ order, message, fate }: SmsSending, status: SmsStatus): SmsEvent | null {
    if (order.statusCallback === null) return null;
    const failed = status === "undelivered" || status === "failed";
    return {
      url: order.statusCallback,
      form: {
        SmsSid: message.messageId,
        SmsStatus: status,
        MessageStatus: status,
        To: `+${order.contact}`,
        From: order.sessionId,
        MessageSid: message.messageId,
        AccountSid: this.#options.accountSid,
        ApiVersion: "2010-04-01",
        ...(status === "delivered" ? { RawDlrDoneDate: "2611221200" } : {}),
        ...(failed && fate.errorCode !== null ? { ErrorCode: fate.errorCode } : {}),
      },
    };
  }

  #post({ url, form }: SmsEvent, authToken: string = this.#options.authToken): Post {
    return {
      url,
      headers: {
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        "x-twilio-signature": signForm(url, form, authToken),
      },
      body: new URLSearchParams(form).toString(),
    };
  }

  /** A callback that Twilio would not make: forged, and a lie; or a status that nobody knows. */
  #badPost(sending: SmsSending, draw: Random): BadPost<SmsEvent> | null {
    const callback = this.#callback(sending, sending.fate.delivered ? "undelivered" : "delivered");
    if (callback === null) return null;
    const { url, form } = callback;
    if (draw.chance(0.5)) {
      return { form: "post", post: this.#post({ url, form }, "another-token"), status: 401, what: "forged callback" };
    }
    const unknown = { ...form, SmsStatus: "pondering", MessageStatus: "pondering" };
    return { form: "post", post: this.#post({ url, form: unknown }), status: 200, what: "callback of an unknown kind" };
  }
}

function refuse(why: RefusalReason, draw: Random): Refusal {
  const [status, code] = draw.pick(REFUSALS[why]);
  // few say when: a sender that is told so stands still until then
  const headers: Record<string, string> = why === "busy" && draw.chance(0.04) ? { "retry-after": "1" } : {};
  return { code, response: errorAnswer(status, code, headers) };
}

const REFUSALS: Readonly<Record<RefusalReason, RefusalCodes>> = {
  reject: [[400, "21610"], [400, "21614"], [400, "21211"]],
  busy: [[429, "20429"], [503, "20503"]],
  break: [[500, "20500"]],
  "break-yet-take": [[500, "20500"]],
};
