/** The keys that open a function with `verify_jwt`. */
export interface FunctionKeys {
  readonly publishable: string;
  readonly secret: string;
  readonly jwtSecret: string;
}

/**
 * What the platform's gateway asks before it calls a function with `verify_jwt`: a key of this project, or a token that
 * this project's Auth signed and that has not expired.
 *
 * @returns null to let the request pass, else the 401 to answer
 */
export async function refuseUnverified(request: Request, keys: FunctionKeys): Promise<Response | null> {
  // A browser asks first, without credentials.
  if (request.method === "OPTIONS") return null;
  const bearer = /^Bearer\s+(.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  const apikey = request.headers.get("apikey");
  if (bearer === undefined && apikey === null) return refusal("Missing authorization header");
  const isKey = (value: string | null | undefined) => value === keys.publishable || value === keys.secret;
  if (bearer === undefined || bearer.startsWith("sb_")) {
    return isKey(bearer ?? apikey) || isKey(apikey) ? null : refusal("Invalid API key");
  }
  return await isValidToken(bearer, keys.jwtSecret) ? null : refusal("Invalid JWT");
}

function refusal(message: string): Response {
  return Response.json({ error: { code: "unauthorized", message } }, { status: 401 });
}

async function isValidToken(token: string, secret: string): Promise<boolean> {
  const [head, body, signature, ...more] = token.split(".");
  if (head === undefined || body === undefined || signature === undefined || more.length > 0) return false;
  try {
    const encoder = new TextEncoder();
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["verify"]);
    const signed = encoder.encode(`${head}.${body}`);
    const { alg } = JSON.parse(new TextDecoder().decode(base64Url(head)));
    if (alg !== "HS256" || !await crypto.subtle.verify("HMAC", key, base64Url(signature), signed)) return false;
    const { exp } = JSON.parse(new TextDecoder().decode(base64Url(body)));
    return typeof exp !== "number" || exp * 1000 > Date.now();
  } catch {
    return false;
  }
}

function base64Url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text, { alphabet: "base64url" });
}
