import { acceptsApiKey } from "./accepts_api_key.ts";
import type { Environment } from "./environment.ts";
import type { Failure } from "./failure.ts";

/**
 * What refuses a request before its body is looked at, or undefined for one that may go on: it must be a POST that
 * carries a key listed in `secretVariable`. `allow` lists the methods that the function takes, for other callers too.
 *
 * Throws `EnvironmentError` when no secret is configured, which becomes a 500: nobody gets in, and the log says why.
 */
export function authorize(
  request: Request,
  environment: Environment,
  secretVariable: string,
  allow = "POST",
): Failure | undefined {
  if (request.method !== "POST") return { code: "method_not_allowed", headers: { allow } };
  if (!acceptsApiKey(request, environment.list(secretVariable))) return { code: "unauthorized" };
  return undefined;
}
