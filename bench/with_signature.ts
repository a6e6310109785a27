import { signBody } from "../local/simulator/cloud_api/sign_body.ts";

/** Headers of a post of this body; with Meta's signature where a secret is given. */
export function withSignature(
  headers: Readonly<Record<string, string>>,
  body: string,
  appSecret: string | null,
): Readonly<Record<string, string>> {
  return appSecret === null ? headers : { ...headers, "x-hub-signature-256": signBody(body, appSecret) };
}
