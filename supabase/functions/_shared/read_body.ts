import type { Result } from "./result.ts";

/** Largest body that is read unless a smaller one is asked for, in bytes; Meta's have up to 3 MB. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

const BODY_TIMEOUT_MS = 30_000;

/** What a body may be. */
export interface BodyLimits {
  /** Bytes; 4 MB by default. */
  readonly bytes?: number;
  /** Milliseconds until all of it must be there. */
  readonly timeoutMs?: number;
}

/**
 * The bytes of a request's body, as they arrived, bounded in size and time before anything is made of them.
 *
 * A declared length above the limit is refused unread; a body without one is counted as it arrives and dropped at the
 * limit.
 */
export async function readBody(
  request: Request,
  { bytes: maxBytes = MAX_BODY_BYTES, timeoutMs = BODY_TIMEOUT_MS }: BodyLimits = {},
): Promise<Result<Uint8Array>> {
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > maxBytes) {
    await request.body?.cancel().catch(() => {});
    return tooLarge(maxBytes);
  }
  if (request.body === null) return { ok: true, value: new Uint8Array() };

  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    reader.cancel().catch(() => {});
  }, timeoutMs);
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    while (true) {
      const { done, value } = await reader.read();
      if (timedOut) return { ok: false, failure: { code: "body_timeout" } };
      if (done) return { ok: true, value: joined(chunks, size) };
      size += value.byteLength;
      if (size > maxBytes) {
        await reader.cancel().catch(() => {});
        return tooLarge(maxBytes);
      }
      chunks.push(value);
    }
  } catch {
    // the sender went away in the middle; whatever is answered, nobody hears it
    return { ok: false, failure: { code: "body_timeout" } };
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge(maxBytes: number): Result<never> {
  const detail = `The body is larger than ${maxBytes} bytes; split it.`;
  return { ok: false, failure: { code: "payload_too_large", detail } };
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let from = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, from);
    from += chunk.byteLength;
  }
  return bytes;
}
