import { CsvError } from "./csv_error.ts";

const UTF_16: Readonly<Record<string, string>> = { "255,254": "utf-16le", "254,255": "utf-16be" };

/**
 * The text of a file as spreadsheets save it: UTF-8, or UTF-16 where its first bytes say so. Without the byte order mark,
 * each line ended by `\n` alone.
 *
 * @param onBytes told how many bytes were read
 * @throws CsvError where bytes are no text: a file in an encoding of old
 */
export async function* csvText(
  bytes: AsyncIterable<Uint8Array<ArrayBuffer>>,
  onBytes: (count: number) => void = () => {},
): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let line = 1;
  let held = "";
  const decode = (chunk: Uint8Array<ArrayBuffer> | undefined): string => {
    decoder ??= new TextDecoder(UTF_16[chunk?.subarray(0, 2).join() ?? ""] ?? "utf-8", { fatal: true });
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw new CsvError(line, "the file is not in UTF-8 from about here on; save it as “CSV UTF-8”");
    }
  };
  for await (const chunk of bytes) {
    onBytes(chunk.byteLength);
    let text = held + decode(chunk);
    // the other half of a line's end may come with the next chunk
    held = text.endsWith("\r") ? "\r" : "";
    text = text.slice(0, text.length - held.length).replace(/\r\n?/g, "\n");
    line += countOf(text);
    yield text;
  }
  const rest = `${held}${decode(undefined)}`.replace(/\r\n?/g, "\n");
  if (rest !== "") yield rest;
}

function countOf(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
