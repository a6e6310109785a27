/**
 * Opens a function to the pages of any origin: answers their preflights, and lets them read its answers, failures
 * included. That is safe where callers are known by a token that they send, never by a cookie.
 *
 * @param serve the function
 * @param methods those it takes, such as `GET`
 */
export function withCors(
  serve: (request: Request) => Promise<Response>,
  methods: string,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const isPreflight = request.method === "OPTIONS";
    const response = isPreflight ? new Response(null, { status: 204 }) : await serve(request);
    response.headers.set("access-control-allow-origin", "*");
    if (isPreflight) {
      response.headers.set("access-control-allow-methods", `${methods}, OPTIONS`);
      response.headers.set("access-control-allow-headers", "authorization, apikey, content-type, x-client-info");
      response.headers.set("access-control-max-age", "86400");
    } else {
      response.headers.set("access-control-expose-headers", "content-disposition, retry-after, x-request-id");
    }
    return response;
  };
}
