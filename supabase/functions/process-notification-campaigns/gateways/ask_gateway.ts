import { storable } from "../../_shared/storable.ts";

/** Longer answers are not read to the end; what they say counts as unreadable. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** A request to a gateway. */
export interface GatewayRequest {
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  /**
   * A blob, because Deno repeats a request with a text body by itself when a kept-alive connection breaks, even after
   * the gateway has read it: the message would go out twice. A body that is streamed cannot be repeated.
   */
  readonly body?: Blob;
}

/** An answer of a gateway. */
export interface GatewayAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  /** Undefined when it could not be read as JSON. */
  readonly body: unknown;
}

/** Asks a gateway and reads its answer, both within the time. Throws what `fetch` throws. */
export async function askGateway(
  fetcher: typeof fetch,
  url: string,
  { method, headers, body }: GatewayRequest,
  timeoutMs: number,
): Promise<GatewayAnswer> {
  const response = await fetcher(url, {
    method,
    headers: { ...headers, accept: "application/json" },
    ...(body === undefined ? {} : { body }),
    // an address that an answer names is not one that the operator configured
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
  return { status: response.status, retryAfter: response.headers.get("retry-after"), body: await readJson(response) };
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
