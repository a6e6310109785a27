import { z } from "zod";
import { retryAfterSeconds } from "./retry_after_seconds.ts";
import type { LookUpOutcome, SendOutcome } from "./gateway.ts";

/** An answer of the gateway: its body is undefined when it could not be read as JSON. */
export interface GatewayAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: unknown;
}

const MAX_REASON = 500;
/** As for webhooks: ids are keys of indexes. */
const MAX_ID = 256;

const text = z.string().trim().min(1).nullable().catch(null).default(null);
const codeText = z.union([z.string(), z.number().transform(String)]).nullable().catch(null).default(null);

/** The parts of an answer that are looked at; anything of another type counts as missing. */
const answer = z.object({
  success: z.boolean().nullable().catch(null).default(null),
  accepted: z.boolean().nullable().catch(null).default(null),
  found: z.boolean().nullable().catch(null).default(null),
  status: text,
  messageId: z.string().trim().min(1).max(MAX_ID).nullable().catch(null).default(null),
  message: text,
  reason: text,
  code: codeText,
  error: z.union([
    z.string().transform((message) => ({ code: null, message })),
    z.object({ code: codeText, message: text }),
  ]).nullable().catch(null).default(null),
});

type Answer = z.output<typeof answer>;

/**
 * What a send came to, by the answer of the VPS gateway.
 *
 * 429 and 503 say "not now" and so prove that nothing was sent. Every other 5xx, a 408, a redirect and an answer that
 * cannot be read prove nothing: the gateway may have sent the message before it broke.
 */
export function classifySendAnswer({ status, retryAfter, body }: GatewayAnswer): SendOutcome {
  const read = answer.safeParse(body);
  if (status === 429 || status === 503 || status === 425) {
    const seconds = retryAfterSeconds(retryAfter);
    const outcome = { outcome: "deferred", ...reason(status, read.data) } as const;
    return seconds === undefined ? outcome : { ...outcome, retryAfterSeconds: seconds };
  }
  if (status >= 300 && status < 400) {
    return {
      outcome: "unknown",
      errorCode: `http_${status}`,
      errorMessage: "the gateway redirects; WHATSAPP_VPS_URL must be its final address",
    };
  }
  if (status >= 500 || status === 408) return { outcome: "unknown", ...reason(status, read.data) };
  if (status >= 400) return { outcome: "failed", ...reason(status, read.data) };
  if (!read.success) {
    return { outcome: "unknown", errorCode: "unreadable_answer", errorMessage: "the gateway's answer is not JSON" };
  }

  const { success, accepted, messageId } = read.data;
  const id = messageId === null ? {} : { messageId };
  if (success === false) return { outcome: "failed", ...reason(status, read.data) };
  if (accepted === true) return { outcome: "accepted", ...id };
  if (success === true && messageId !== null) return { outcome: "sent", messageId };
  if (success === true && accepted === null) return { outcome: "accepted" };
  return {
    outcome: "unknown",
    errorCode: "unreadable_answer",
    errorMessage: "the gateway's answer says neither success nor failure",
  };
}

const SENT = new Set(["sent", "server_ack", "delivered", "delivery_ack", "read", "played"]);
const FAILED = new Set(["failed", "error", "rejected"]);

/**
 * What became of an attempt, by the answer to `/message-status`.
 *
 * 404 and 501 without a word about the message are a gateway that has no such route: it never will know. Any status
 * that means neither sent nor failed means that the gateway still has the message in hand.
 */
export function classifyStatusAnswer({ status, body }: GatewayAnswer): LookUpOutcome {
  if (status === 404 || status === 501) return { outcome: "not_found" };
  const read = answer.safeParse(body);
  if (status < 200 || status >= 300) return { outcome: "unanswered", errorCode: `http_${status}` };
  if (!read.success || read.data.found === null) return { outcome: "unanswered", errorCode: "unreadable_answer" };
  if (!read.data.found) return { outcome: "not_found" };

  const state = read.data.status?.toLowerCase() ?? "";
  const id = read.data.messageId === null ? {} : { messageId: read.data.messageId };
  if (SENT.has(state)) return { outcome: "sent", ...id };
  if (FAILED.has(state)) return { outcome: "failed", ...id, ...reason(status, read.data) };
  return { outcome: "accepted", ...id };
}

/** The gateway's own code and words, as far as it gave any. */
function reason(status: number, body: Answer | undefined): { errorCode: string; errorMessage: string } {
  const code = body?.error?.code ?? body?.code ?? (status >= 300 ? `http_${status}` : "rejected");
  const words = body?.error?.message ?? body?.reason ?? body?.message ?? `the gateway answered ${status}`;
  return { errorCode: code.slice(0, 100), errorMessage: words.slice(0, MAX_REASON) };
}
