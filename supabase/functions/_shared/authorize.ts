import { acceptsApiKey } from "./accepts_api_key.ts";
import type { Environment } from "./environment.ts";
import type { Failure } from "./failure.ts";
import { matchesSecret } from "./matches_secret.ts";

/** What may differ from a POST with its key in `X-API-Key`. */
interface Access {
  /** Methods that come with the key; default POST. */
  readonly methods?: readonly string[];
  /** What the function takes altogether, for other callers too; default `methods`. */
  readonly allow?: string;
  /** The key may also come as `Authorization: Bearer`, from callers that cannot set a header of their own. */
  readonly takesBearer?: boolean;
}

/**
 * What refuses a request before its body is looked at, or undefined for one that may go on: it must come with a method
 * of `access` and a key listed in `secretVariable`, or in any of several.
 *
 * Throws `EnvironmentError` when no secret is configured, which becomes a 500: nobody gets in, and the log says why.
 */
export function authorize(
  request: Request,
  environment: Environment,
  secretVariable: string | readonly string[],
  access: Access = {},
): Failure | undefined {
  const methods = access.methods ?? ["POST"];
  if (!methods.includes(request.method)) {
    return { code: "method_not_allowed", headers: { allow: access.allow ?? methods.join(", ") } };
  }
  const variables = typeof secretVariable === "string" ? [secretVariable] : secretVariable;
  const set = variables.filter((name) => environment.optional(name) !== undefined);
  // with none of them set, asking for the first says so
  const keys = (set.length > 0 ? set : variables.slice(0, 1)).flatMap((name) => environment.list(name));
  const hasKey = acceptsApiKey(request, keys);
  // compared whatever came of the other, so that the time tells nothing
  const hasBearer = access.takesBearer === true && matchesSecret(bearerOf(request), keys);
  return hasKey || hasBearer ? undefined : { code: "unauthorized" };
}

/** The token of `Authorization: Bearer`; empty for none. */
function bearerOf(request: Request): string {
  return /^Bearer +(\S+) *$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
}
