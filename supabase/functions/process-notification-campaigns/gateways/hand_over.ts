import { askGateway, type GatewayAnswer } from "./ask_gateway.ts";
import { classifyFetchError } from "./classify_fetch_error.ts";
import type { SendOutcome } from "./gateway.ts";

/** What is posted to a gateway. */
export interface Parcel {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Blob;
}

/**
 * Posts a message to a gateway, once, and says what came of it: by `classify` where there is an answer, else by what
 * went wrong. Never throws.
 */
export async function handOver(
  fetcher: typeof fetch,
  url: string,
  parcel: Parcel,
  timeoutMs: number,
  classify: (answer: GatewayAnswer) => SendOutcome,
): Promise<SendOutcome> {
  try {
    return classify(await askGateway(fetcher, url, { method: "POST", ...parcel }, timeoutMs));
  } catch (thrown) {
    const { received, code, message } = classifyFetchError(thrown);
    return { outcome: received === "no" ? "deferred" : "unknown", errorCode: code, errorMessage: message };
  }
}
