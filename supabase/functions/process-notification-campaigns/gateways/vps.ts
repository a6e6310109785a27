import { z } from "zod";
import { answerFields } from "./answer_fields.ts";
import { askGateway, type GatewayAnswer } from "./ask_gateway.ts";
import { classifyFetchError } from "./classify_fetch_error.ts";
import type { GatewayDefinition, LookUpOutcome, OutgoingMessage, Receipt, SendOutcome } from "./gateway.ts";
import { handOver } from "./hand_over.ts";
import { orNull } from "./or_null.ts";
import { type Reason, refusalOutcome } from "./refusal_outcome.ts";

const ADDRESS = "WHATSAPP_VPS_URL";
const KEY = "WHATSAPP_VPS_API_KEY";

/**
 * The VPS gateway, whose WhatsApp sessions (`wa_…`) send to groups and to contacts: `POST /send` and
 * `GET /message-status`, with an `X-API-Key`.
 */
export const vps: GatewayDefinition = {
  name: "vps",
  variables: [ADDRESS, KEY],
  create(environment, fetcher) {
    const url = environment.url(ADDRESS);
    const headers = { "x-api-key": environment.required(KEY) };
    const ask = (clientMessageId: string, timeoutMs: number) => {
      const question = `${url}/message-status?clientMessageId=${encodeURIComponent(clientMessageId)}`;
      return askGateway(fetcher, question, { method: "GET", headers }, timeoutMs);
    };
    return {
      send(message, timeoutMs) {
        const { clientMessageId, sessionId } = message;
        const content = { sessionId, groupJid: jidOf(message), message: message.message, clientMessageId };
        const body = new Blob([JSON.stringify(content)], { type: "application/json" });
        return handOver(fetcher, `${url}/send`, { headers, body }, timeoutMs, sendOutcome);
      },

      async lookUp({ clientMessageId }, timeoutMs) {
        try {
          return lookUpOutcome(await ask(clientMessageId, timeoutMs));
        } catch (thrown) {
          return { outcome: "unanswered", errorCode: classifyFetchError(thrown).code };
        }
      },

      async report({ messageId, clientMessageId }, timeoutMs) {
        try {
          return receiptOf(messageId, await ask(clientMessageId, timeoutMs));
        } catch {
          // it is asked again, later
          return undefined;
        }
      },
    };
  },
};

/** The chat's id: a group has one already, a person's is made of the number. */
function jidOf({ channel, recipient }: OutgoingMessage): string {
  return channel === "whatsapp_group" ? recipient : `${recipient.replace("+", "")}@s.whatsapp.net`;
}

const { flag, words, code, id } = answerFields;

/** The parts of an answer that are looked at. */
const answerBody = z.object({
  success: flag,
  accepted: flag,
  found: flag,
  status: words,
  messageId: id,
  message: words,
  reason: words,
  code,
  error: orNull(
    z.union([
      z.string().transform((text) => ({ code: null, message: words.parse(text) })),
      z.object({ code, message: words }),
    ]),
  ),
});

/** What a send came to, by the answer. */
function sendOutcome(answer: GatewayAnswer): SendOutcome {
  const read = answerBody.safeParse(answer.body);
  const reason = reasonOf(answer.status, read.data);
  const refusal = refusalOutcome(answer, reason, ADDRESS);
  if (refusal !== undefined) return refusal;
  if (!read.success) {
    return { outcome: "unknown", errorCode: "unreadable_answer", errorMessage: "the gateway's answer is not JSON" };
  }

  const { success, accepted, messageId } = read.data;
  if (success === false) return { outcome: "failed", ...rejection(reason) };
  if (accepted === true) {
    return { outcome: "accepted", ...(messageId === null ? {} : { messageId }) };
  }
  if (success === true && messageId !== null) {
    return { outcome: "sent", messageId };
  }
  if (success === true && accepted === null) return { outcome: "accepted" };
  return {
    outcome: "unknown",
    errorCode: "unreadable_answer",
    errorMessage: "the gateway's answer says neither success nor failure",
  };
}

const DELIVERED = new Set(["delivered", "delivery_ack"]);
const READ = new Set(["read", "played"]);
const SENT = new Set(["sent", "server_ack", ...DELIVERED, ...READ]);
const FAILED = new Set(["failed", "error", "rejected"]);

/**
 * What became of an attempt, by the answer to `/message-status`.
 *
 * 404 and 501 without a word about the message are a gateway that has no such route: it cannot be asked. Any status
 * that means neither sent nor failed means that the gateway still has the message in hand.
 */
function lookUpOutcome({ status, body }: GatewayAnswer): LookUpOutcome {
  const read = answerBody.safeParse(body);
  if ((status === 404 || status === 501) && read.data?.found !== false) {
    return { outcome: "not_found", asked: false };
  }
  if (status !== 404 && (status < 200 || status >= 300)) {
    return { outcome: "unanswered", errorCode: `http_${status}` };
  }
  if (!read.success || read.data.found === null) {
    return { outcome: "unanswered", errorCode: "unreadable_answer" };
  }
  if (!read.data.found) return { outcome: "not_found" };

  const state = read.data.status?.toLowerCase() ?? "";
  const messageId = read.data.messageId === null ? {} : { messageId: read.data.messageId };
  if (SENT.has(state)) return { outcome: "sent", ...messageId };
  if (FAILED.has(state)) {
    return { outcome: "failed", ...messageId, ...rejection(reasonOf(status, read.data)) };
  }
  return { outcome: "accepted", ...messageId };
}

/** What became of a message to a contact, by the answer to `/message-status`; that it was sent is known already. */
function receiptOf(messageId: string, { status, body }: GatewayAnswer): Receipt | undefined {
  const read = answerBody.safeParse(body).data;
  if (status !== 200 || read?.found !== true) return undefined;
  const state = read.status?.toLowerCase() ?? "";
  // the one person whom the message was for: whoever else reports it has the same in mind
  const about = { messageId, reader: "recipient" };
  if (READ.has(state)) return { event: "message_read", ...about };
  if (DELIVERED.has(state)) return { event: "message_delivered", ...about };
  return FAILED.has(state) ? { event: "message_failed", ...about, ...rejection(reasonOf(status, read)) } : undefined;
}

/** The gateway's own code and words; a 401 is about us, whatever else it says, and keeps its number. */
function reasonOf(status: number, body: z.output<typeof answerBody> | undefined): Reason {
  return {
    code: status === 401 ? null : body?.error?.code ?? body?.code ?? null,
    words: body?.error?.message ?? body?.reason ?? body?.message ?? null,
  };
}

function rejection({ code, words }: Reason): { readonly errorCode: string; readonly errorMessage: string } {
  return { errorCode: code ?? "rejected", errorMessage: words ?? "the gateway gave no reason" };
}
