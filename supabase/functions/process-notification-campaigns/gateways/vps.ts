import { storable } from "../../_shared/storable.ts";
import { classifySendAnswer, classifyStatusAnswer, type GatewayAnswer } from "./classify_answer.ts";
import { classifyFetchError } from "./classify_fetch_error.ts";
import type { Gateway } from "./gateway.ts";

/** Longer answers are not read to the end; what they say counts as unreadable. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * The VPS gateway, which sends to WhatsApp groups: `POST /send` and `GET /message-status`, with an `X-API-Key`.
 *
 * @param url Its address, without a trailing slash.
 */
export function vpsGateway(url: string, apiKey: string, fetcher: typeof fetch): Gateway {
  async function ask(path: string, init: RequestInit, timeoutMs: number): Promise<GatewayAnswer> {
    const response = await fetcher(url + path, {
      ...init,
      headers: { "x-api-key": apiKey, accept: "application/json" },
      // an address that an answer names is not one that the operator configured
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    return {
      status: response.status,
      retryAfter: response.headers.get("retry-after"),
      body: await readJson(response),
    };
  }

  return {
    async send({ clientMessageId, sessionId, recipient, message }, timeoutMs) {
      try {
        // A blob, because Deno repeats a request with a text body by itself when a kept-alive connection breaks, even
        // after the gateway has read it: the message would go out twice. A body that is streamed cannot be repeated.
        const body = new Blob([JSON.stringify({ sessionId, groupJid: recipient, message, clientMessageId })], {
          type: "application/json",
        });
        return classifySendAnswer(await ask("/send", { method: "POST", body }, timeoutMs));
      } catch (thrown) {
        const { received, code, message: errorMessage } = classifyFetchError(thrown);
        return { outcome: received === "no" ? "deferred" : "unknown", errorCode: code, errorMessage };
      }
    },

    async lookUp(clientMessageId, timeoutMs) {
      const path = `/message-status?clientMessageId=${encodeURIComponent(clientMessageId)}`;
      try {
        return classifyStatusAnswer(await ask(path, { method: "GET" }, timeoutMs));
      } catch (thrown) {
        return { outcome: "unanswered", errorCode: classifyFetchError(thrown).code };
      }
    },
  };
}

/** The body as JSON; undefined when it is too long or no JSON. Throws when the connection breaks or time is up. */
async function readJson(response: Response): Promise<unknown> {
  if (response.body === null) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  try {
    return storable(JSON.parse(text + decoder.decode()));
  } catch {
    return undefined;
  }
}
