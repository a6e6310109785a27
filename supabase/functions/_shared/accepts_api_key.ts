import { matchesSecret } from "./matches_secret.ts";

/** Whether the request carries one of the keys in its `X-API-Key` header. */
export function acceptsApiKey(request: Request, keys: readonly string[]): boolean {
  return matchesSecret(request.headers.get("x-api-key") ?? "", keys);
}
