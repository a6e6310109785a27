import { z } from "zod";
import type { Json } from "../../_shared/database.types.ts";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import { answerFields } from "./answer_fields.ts";
import type { GatewayAnswer } from "./ask_gateway.ts";
import type { GatewayDefinition, SendOutcome } from "./gateway.ts";
import { handOver } from "./hand_over.ts";
import { orNull } from "./or_null.ts";
import { type Reason, refusalOutcome } from "./refusal_outcome.ts";

const ADDRESS = "WHATSAPP_CLOUD_API_URL";
const TOKEN = "WHATSAPP_ACCESS_TOKEN";
const DEFAULT_SENDER = "WHATSAPP_PHONE_NUMBER_ID";
const VERSION = "v23.0";

/** How a session is told from one that has a name of its own. */
const PHONE_NUMBER_ID = /^\d+$/;

/**
 * WhatsApp's Cloud API: `POST /{phone number id}/messages`. The id of the attempt travels as
 * `biz_opaque_callback_data` and comes back with every status of the message. Nobody can be asked about an attempt.
 */
export const cloudApi: GatewayDefinition = {
  name: "cloud-api",
  variables: [ADDRESS, TOKEN, DEFAULT_SENDER],
  create(environment, fetcher) {
    const url = environment.url(ADDRESS);
    const headers = { authorization: `Bearer ${environment.required(TOKEN)}` };
    const defaultSender = environment.optional(DEFAULT_SENDER);
    if (defaultSender !== undefined && !/^[\w-]+$/.test(defaultSender)) {
      throw new EnvironmentError(DEFAULT_SENDER, "must be the id of a phone number, not the number itself");
    }
    return {
      ...(defaultSender === undefined ? {} : { defaultSender }),

      async send({ clientMessageId, channel, sessionId, recipient, message }, timeoutMs) {
        const sender = PHONE_NUMBER_ID.test(sessionId) ? sessionId : defaultSender;
        if (sender === undefined) {
          const errorMessage = `the session is no phone number id, and ${DEFAULT_SENDER} is not set`;
          return { outcome: "deferred", errorCode: "no_sender", errorMessage };
        }
        const content = {
          ...metaContent(message),
          // after the content, which has no say in these
          messaging_product: "whatsapp",
          recipient_type: channel === "whatsapp_group" ? "group" : "individual",
          to: recipient,
          biz_opaque_callback_data: clientMessageId,
        };
        const body = new Blob([JSON.stringify(content)], { type: "application/json" });
        const messages = `${url}/${VERSION}/${sender}/messages`;
        return await handOver(fetcher, messages, { headers, body }, timeoutMs, sendOutcome);
      },

      lookUp: () => Promise.resolve({ outcome: "not_found", asked: false }),
    };
  },
};

const plainText = z.object({ type: z.literal("text"), text: z.string() });
const anyContent = z.record(z.string(), z.unknown());

/** The message in Meta's words, which all of it but a plain text has already. */
function metaContent(message: Json): Record<string, unknown> {
  const plain = plainText.safeParse(message);
  return plain.success ? { type: "text", text: { body: plain.data.text } } : anyContent.parse(message);
}

/** Errors that say that nothing was done, even where the status of the answer is a 5xx. */
const NOTHING_DONE = new Set(["4", "190", "368", "80007", "130429", "131056"]);

const { code, words, id } = answerFields;

/** The parts of an answer that are looked at. */
const answerBody = z.object({
  messages: orNull(z.array(z.object({ id }))),
  contacts: orNull(z.array(z.object({ input: words, wa_id: orNull(z.string().regex(/^\d{6,15}$/)) }))),
  error: orNull(z.object({ code, message: words, error_data: orNull(z.object({ details: words })) })),
});

/**
 * What a send came to, by the answer. A message that Meta holds back for now (`held_for_quality_assessment`, `paused`)
 * has its id, and its statuses will tell: it counts as sent.
 */
function sendOutcome(answer: GatewayAnswer): SendOutcome {
  const read = answerBody.safeParse(answer.body).data;
  const reason: Reason = {
    code: read?.error?.code ?? null,
    words: read?.error?.error_data?.details ?? read?.error?.message ?? null,
  };
  if (answer.status >= 500 && answer.status !== 503 && reason.code !== null && NOTHING_DONE.has(reason.code)) {
    return {
      outcome: "failed",
      errorCode: reason.code,
      errorMessage: reason.words ?? `Meta answered ${answer.status}`,
    };
  }
  const refusal = refusalOutcome(answer, reason, ADDRESS);
  if (refusal !== undefined) return refusal;

  const messageId = read?.messages?.[0]?.id ?? null;
  return messageId === null
    ? { outcome: "unknown", errorCode: "unreadable_answer", errorMessage: "the answer names no message id" }
    : { outcome: "sent", messageId, ...otherSpelling(read?.contacts?.[0]) };
}

/** What WhatsApp calls the recipient, where that is not what was dialled: Mexico's 521, Argentina's 549, Brazil's nine. */
function otherSpelling(
  contact: { readonly input: string | null; readonly wa_id: string | null } | undefined,
): { readonly waId?: string } {
  if (contact === undefined || contact.wa_id === null || contact.input === null) return {};
  return contact.input.replace(/\D/g, "") === contact.wa_id ? {} : { waId: contact.wa_id };
}
