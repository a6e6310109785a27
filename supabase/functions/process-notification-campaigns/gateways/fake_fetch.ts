// For tests: a gateway's other side, without a network.

/** A request as it left. */
export interface SentRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

/** A `fetch` that answers every request with this, and the requests it got. */
export function fakeFetch(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) {
  const requests: SentRequest[] = [];
  const fetcher: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const { method, url } = request;
    requests.push({ method, url, headers: request.headers, body: await request.text() });
    const text = body === undefined ? null : JSON.stringify(body);
    return new Response(text, { status, headers });
  };
  return { fetch: fetcher, requests };
}
