import { createHmac } from "node:crypto";

/** The header `X-Hub-Signature-256` over the bytes of a body. */
export function signBody(body: string, appSecret: string): string {
  return `sha256=${createHmac("sha256", appSecret).update(body, "utf8").digest("hex")}`;
}
