// For tests: a post as Meta makes it.
import { createHmac } from "node:crypto";

/** Signs a body, given as text, bytes or a value, the way Meta does. */
export function signedPost(body: unknown, secret = "app-secret"): Request {
  const bytes = body instanceof Uint8Array
    ? body
    : new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
  return new Request("http://f", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(bytes).digest("hex")}`,
    },
    body: Uint8Array.from(bytes),
  });
}
