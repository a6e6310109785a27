import type { Result } from "./result.ts";

/** Largest body that is read, in bytes. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

const BODY_TIMEOUT_MS = 30_000;

/**
 * The body of a JSON request as text, bounded in type, size and time before anything is made of it.
 *
 * A declared length above the limit is refused unread; a body without one is counted as it arrives and dropped at the
 * limit. Bytes that are not UTF-8 become U+FFFD: a cut emoji in a name is no reason to lose a receipt.
 */
export async function readText(request: Request, timeoutMs: number = BODY_TIMEOUT_MS): Promise<Result<string>> {
  const mediaType = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (mediaType !== "application/json" || encoding !== "identity") {
    await discard(request);
    return { ok: false, failure: { code: "unsupported_media_type" } };
  }
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > MAX_BODY_BYTES) {
    await discard(request);
    return tooLarge;
  }
  if (request.body === null) return { ok: true, value: "" };

  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    reader.cancel().catch(() => {});
  }, timeoutMs);
  try {
    const decoder = new TextDecoder();
    let text = "";
    let size = 0;
    while (true) {
      const { done, value } = await reader.read();
      if (timedOut) return { ok: false, failure: { code: "body_timeout" } };
      if (done) return { ok: true, value: text + decoder.decode() };
      size += value.byteLength;
      if (size > MAX_BODY_BYTES) {
        await reader.cancel().catch(() => {});
        return tooLarge;
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    // the sender went away in the middle; whatever is answered, nobody hears it
    return { ok: false, failure: { code: "body_timeout" } };
  } finally {
    clearTimeout(timer);
  }
}

const tooLarge: Result<never> = {
  ok: false,
  failure: { code: "payload_too_large", detail: `The body is larger than ${MAX_BODY_BYTES} bytes; split it.` },
};

async function discard(request: Request): Promise<void> {
  await request.body?.cancel().catch(() => {});
}
