import { Buffer } from "node:buffer";
import { z } from "zod";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import { textMessage } from "../text_message.ts";
import { answerFields } from "./answer_fields.ts";
import { askGateway, type GatewayAnswer } from "./ask_gateway.ts";
import type { GatewayDefinition, Receipt, SendOutcome } from "./gateway.ts";
import { handOver } from "./hand_over.ts";
import { orNull } from "./or_null.ts";
import { refusalOutcome } from "./refusal_outcome.ts";

const ADDRESS = "TWILIO_API_URL";
const ACCOUNT = "TWILIO_ACCOUNT_SID";
const TOKEN = "TWILIO_AUTH_TOKEN";
const DEFAULT_SENDER = "TWILIO_FROM";
const FUNCTIONS = "PUBLIC_FUNCTIONS_URL";

/**
 * SMS through Twilio's API: `POST …/Messages.json`, a form. The id of the attempt travels in the address of the status
 * callback. Nobody can be asked about an attempt, for Twilio knows its own ids alone; by those,
 * `GET …/Messages/{sid}.json` tells what became of a message.
 */
export const sms: GatewayDefinition = {
  name: "sms",
  variables: [ADDRESS, ACCOUNT, TOKEN, DEFAULT_SENDER],
  create(environment, fetcher) {
    const url = environment.url(ADDRESS);
    const account = environment.required(ACCOUNT);
    // more than one while they are rotated: the first authenticates us, all verify callbacks
    const [token] = environment.list(TOKEN);
    const defaultSender = environment.optional(DEFAULT_SENDER);
    if (defaultSender !== undefined && senderFields(defaultSender) === undefined) {
      throw new EnvironmentError(
        DEFAULT_SENDER,
        "must be a number such as +14155550123, or another sender of Twilio's",
      );
    }
    const functions = environment.optional(FUNCTIONS) === undefined ? undefined : environment.url(FUNCTIONS);
    const messages = `${url}/2010-04-01/Accounts/${encodeURIComponent(account)}/Messages`;
    const headers = { authorization: `Basic ${Buffer.from(`${account}:${token}`).toString("base64")}` };

    return {
      ...(defaultSender === undefined ? {} : { defaultSender }),

      async send({ clientMessageId, sessionId, recipient, message }, timeoutMs) {
        const text = textMessage.safeParse(message).data?.text;
        if (text === undefined) {
          return { outcome: "failed", errorCode: "invalid_content", errorMessage: "an SMS can hold nothing but text" };
        }
        const sender = senderFields(sessionId) ?? senderFields(defaultSender ?? "");
        if (sender === undefined) {
          const errorMessage = `the session is no sender of Twilio's, and ${DEFAULT_SENDER} is not set`;
          return { outcome: "deferred", errorCode: "no_sender", errorMessage };
        }
        const callback = functions === undefined
          ? {}
          : { StatusCallback: `${functions}/sms-delivery-webhook?attempt=${encodeURIComponent(clientMessageId)}` };
        const form = new URLSearchParams({ To: recipient, ...sender, Body: text, ...callback });
        const body = new Blob([form.toString()], { type: "application/x-www-form-urlencoded" });
        return await handOver(fetcher, `${messages}.json`, { headers, body }, timeoutMs, sendOutcome);
      },

      lookUp: () => Promise.resolve({ outcome: "not_found", asked: false }),

      async report({ messageId }, timeoutMs) {
        const question = `${messages}/${encodeURIComponent(messageId)}.json`;
        try {
          return receiptOf(messageId, await askGateway(fetcher, question, { method: "GET", headers }, timeoutMs));
        } catch {
          // it is asked again, later
          return undefined;
        }
      },
    };
  },
};

const MESSAGING_SERVICE = /^MG[0-9a-f]{32}$/i;
const E164 = /^\+[1-9]\d{6,14}$/;
const SHORT_CODE = /^\d{3,8}$/;
/** Up to eleven characters, at least one of them a letter. An underscore is for ids of ours, such as `sms_1`. */
const ALPHANUMERIC = /^(?=.*[a-z])[a-z\d &+-]{1,11}$/i;

/** The fields of the form that name a sender; undefined for what is none. */
function senderFields(sender: string): Readonly<Record<string, string>> | undefined {
  if (MESSAGING_SERVICE.test(sender)) return { MessagingServiceSid: sender };
  // E.164 without its plus, which is too long for a short code
  if (/^[1-9]\d{8,14}$/.test(sender)) return { From: `+${sender}` };
  return [E164, SHORT_CODE, ALPHANUMERIC].some((kind) => kind.test(sender)) ? { From: sender } : undefined;
}

const { code, words, id } = answerFields;

/** The parts of the answer to a send that are looked at; errors have `code` and `message`. */
const sendAnswer = z.object({ sid: id, code, message: words });

function sendOutcome(answer: GatewayAnswer): SendOutcome {
  const read = sendAnswer.safeParse(answer.body).data;
  const refusal = refusalOutcome(answer, { code: read?.code ?? null, words: read?.message ?? null }, ADDRESS);
  if (refusal !== undefined) return refusal;
  const messageId = read?.sid ?? null;
  return messageId === null
    ? { outcome: "unknown", errorCode: "unreadable_answer", errorMessage: "the answer names no message id" }
    : { outcome: "sent", messageId };
}

const EVENTS = {
  sent: "message_sent",
  delivered: "message_delivered",
  read: "message_read",
  undelivered: "message_failed",
  failed: "message_failed",
  canceled: "message_failed",
} as const;

/** The parts of a message, as Twilio keeps it, that are looked at. */
const messageResource = z.object({
  status: z.enum(["sent", "delivered", "read", "undelivered", "failed", "canceled"]),
  error_code: code,
  error_message: words,
  /** What it takes from the account, so a negative number; null until it is known. */
  price: orNull(z.string().regex(/^-?\d+(\.\d+)?$/).transform(Number)),
  price_unit: orNull(z.string().regex(/^[a-z]{3}$/i)),
  date_updated: orNull(z.string().transform((date) => Date.parse(date)).pipe(z.number())),
});

/** What Twilio says of a message; undefined while it is still on its way, or where it says nothing. */
function receiptOf(messageId: string, { status, body }: GatewayAnswer): Receipt | undefined {
  const read = messageResource.safeParse(body).data;
  if (status !== 200 || read === undefined) return undefined;
  return {
    event: EVENTS[read.status],
    messageId,
    reader: "sms",
    ...(read.date_updated === null ? {} : { timestamp: read.date_updated }),
    ...(read.error_code === null ? {} : { errorCode: read.error_code }),
    ...(read.error_message === null ? {} : { errorMessage: read.error_message }),
    ...(read.price === null || read.price_unit === null
      ? {}
      : { cost: Math.abs(read.price), currency: read.price_unit.toUpperCase() }),
  };
}
