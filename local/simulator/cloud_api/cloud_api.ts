import { z } from "zod";
import { ContactGateway } from "../contacts/contact_gateway.ts";
import type { Order, Provider, Refusal, RefusalCodes, RefusalReason, Sending } from "../contacts/provider.ts";
import type { Post } from "../deliver.ts";
import type { Faults } from "../faults.ts";
import { type Random, randomFor } from "../random.ts";
import { type Conversation, planActs, planText } from "./acts.ts";
import { badPost } from "./bad_post.ts";
import { errorAnswer, statusError } from "./errors.ts";
import { escapeJson } from "./escape_json.ts";
import type { CloudApiEvent } from "./event.ts";
import { type CloudApiStatus, planFate } from "./fate.ts";
import { personOf } from "./person.ts";
import { signBody } from "./sign_body.ts";
import { wamid } from "./wamid.ts";
import { webhookBody } from "./webhook_body.ts";

/** Where the Graph API posts, as whom, and how it behaves. */
export interface CloudApiOptions {
  /** Asked anew for each request. */
  readonly faults: () => Faults;
  /** Base URL of the edge functions, such as `http://127.0.0.1:54321/functions/v1`. */
  readonly functionsUrl: string;
  /** WHATSAPP_ACCESS_TOKEN: the bearer token that callers must present. */
  readonly accessToken: string;
  /** WHATSAPP_APP_SECRET: signs what is posted. */
  readonly appSecret: string;
}

const WEBHOOK = "whatsapp-read-receipt-webhook";
/** Few posts at once: under load they grow, as Meta's do. */
const POSTS_AT_ONCE = 3;

const bodySchema = z.looseObject({
  messaging_product: z.literal("whatsapp"),
  recipient_type: z.literal("individual").optional(),
  to: z.string().regex(/^\+?[1-9]\d{6,14}$/, "must be a phone number with its country code"),
  type: z.string().min(1).default("text"),
  biz_opaque_callback_data: z.string().max(512).optional(),
}).refine((body) => typeof body[body.type] === "object" && body[body.type] !== null, {
  error: "the object that the type names is missing",
  path: ["type"],
}).refine(
  (body) => body.type !== "text" || z.object({ body: z.string().min(1).max(4096) }).safeParse(body.text).success,
  {
    error: "must be a text of 1 to 4,096 characters",
    path: ["text", "body"],
  },
);

type CloudApiSending = Sending<CloudApiStatus, Order>;

/** Plays the Graph API of Meta, as far as messages to people go. */
export class CloudApi {
  readonly gateway: ContactGateway<CloudApiStatus, CloudApiEvent, Order>;
  readonly #options: CloudApiOptions;
  #bodies = 0;

  constructor(options: CloudApiOptions) {
    this.#options = options;
    this.gateway = new ContactGateway(this.#provider(), options.faults);
  }

  /** Answers `POST /v23.0/{phone number id}/messages`; null breaks the connection. */
  async send(request: Request, phoneNumberId: string): Promise<Response | null> {
    if (request.headers.get("authorization") !== `Bearer ${this.#options.accessToken}`) {
      return errorAnswer(401, "190", "AuthTrace");
    }
    const parsed = bodySchema.safeParse(await request.json().catch(() => null));
    if (!parsed.success) return errorAnswer(400, "100", "BodyTrace", {}, z.prettifyError(parsed.error));
    const { to, biz_opaque_callback_data } = parsed.data;
    return await this.gateway.send({
      contact: to.replace("+", ""),
      sessionId: phoneNumberId,
      clientMessageId: biz_opaque_callback_data ?? null,
    });
  }

  /** Lets somebody write a text to a number of the business. */
  async write(phoneNumberId: string, contact: string, text: string): Promise<void> {
    const faults = this.#options.faults();
    const conversation = { phoneNumberId, person: personOf(faults, contact), about: "" };
    const ids = randomFor(faults.seed, "ids", crypto.randomUUID());
    await this.gateway.perform(planText(conversation, text, ids), contact);
  }

  #provider(): Provider<CloudApiStatus, CloudApiEvent, Order> {
    const post = (body: unknown) => this.#post(escapeJson(body));
    return {
      section: "cloudApi",
      webhook: {
        name: WEBHOOK,
        concurrency: POSTS_AT_ONCE,
        sizing: () => ({ seed: this.#options.faults().seed, batchMax: this.#options.faults().cloudApi.batchMax }),
        compose: ({ events }) =>
          post(webhookBody(events, randomFor(this.#options.faults().seed, "cloudApi", "body", ++this.#bodies))),
      },
      planFate,
      messageId: wamid,
      accept: ({ order, message }) =>
        Response.json({
          messaging_product: "whatsapp",
          contacts: [{ input: `+${order.contact}`, wa_id: personOf(this.#options.faults(), order.contact).waId }],
          messages: [{ id: message.messageId, message_status: "accepted" }],
        }),
      refuse,
      endsConsent: (code) => code === "131050",
      report,
      acts: (sending, draw, ids) => planActs(conversationOf(sending), draw, ids),
      badPost: (sending, draw) => {
        // a lie about a true message, which changes a counter of whoever believes it
        const event = report(sending, sending.fate.read ? "failed" : "read");
        const lie = escapeJson(webhookBody([event], draw));
        return badPost(event, lie, (body, appSecret) => this.#post(body, appSecret), draw);
      },
    };
  }

  #post(body: string, appSecret: string = this.#options.appSecret): Post {
    return {
      url: `${this.#options.functionsUrl}/${WEBHOOK}`,
      headers: { "content-type": "application/json", "x-hub-signature-256": signBody(body, appSecret) },
      body,
    };
  }
}

function refuse(why: RefusalReason, draw: Random): Refusal {
  const [status, code] = draw.pick(REFUSALS[why]);
  // few say when: a sender that is told so stands still until then
  const headers: Record<string, string> = why === "busy" && draw.chance(0.04) ? { "retry-after": "1" } : {};
  return { code, response: errorAnswer(status, code, `A${draw.hex(10)}`, headers) };
}

const REFUSALS: Readonly<Record<RefusalReason, RefusalCodes>> = {
  reject: [[400, "131026"], [400, "131047"], [400, "131009"], [400, "131050"]],
  busy: [[429, "130429"], [400, "131056"], [503, "131016"]],
  // "temporarily unavailable" means that nothing was done, "something went wrong" may mean anything
  break: [[500, "131000"], [500, "2"]],
  "break-yet-take": [[500, "131000"]],
};

function conversationOf({ faults, order, message }: CloudApiSending): Conversation {
  return {
    phoneNumberId: order.sessionId,
    person: personOf(faults, order.contact),
    about: message.messageId,
  };
}

/** A status of Meta's. Billed is what was delivered, which is told with one of the two statuses that say so. */
function report({ faults, order, message, fate }: CloudApiSending, status: CloudApiStatus): CloudApiEvent {
  const { contact, waId, hidden, userId, entry } = personOf(faults, order.contact);
  const [billedBy] = randomFor(faults.seed, "cloudApi", contact, "billed by").shuffle(
    fate.reports.map((each) => each.status).filter((each) => each === "delivered" || each === "read"),
  );
  const isPriced = status === "sent" || status === billedBy;
  return {
    phoneNumberId: order.sessionId,
    list: "statuses",
    element: {
      id: message.messageId,
      status,
      timestamp: `${Math.floor(Date.now() / 1000)}`,
      ...(hidden ? { recipient_user_id: userId } : { recipient_id: waId }),
      ...(order.clientMessageId === null ? {} : { biz_opaque_callback_data: order.clientMessageId }),
      ...(isPriced
        ? { pricing: { billable: true, pricing_model: "PMP", type: "regular", category: fate.category } }
        : {}),
      ...(status === "failed" ? { errors: [statusError(fate.errorCode ?? "131000")] } : {}),
    },
    person: entry,
  };
}
