import type { Result } from "../_shared/result.ts";
import type { ReportPage } from "./read_page.ts";

/** How a report ended. */
export type ReportEnd = "complete" | "failed" | "cancelled";

/** Excel takes a file without it for one in the code page of the country, and mangles all but ASCII. */
const BYTE_ORDER_MARK = "\uFEFF";

/**
 * A report as one file, in UTF-8, page after page: the next one is read when the reader has taken the last but one, so
 * that two are held in memory however long the file is.
 *
 * A page that cannot be read breaks the stream with an error: the reader must not take what came so far for all.
 *
 * @param first the first page, read already
 * @param read reads the page after a recipient
 * @param ended is told once how it ended, and after how many pages
 */
export function streamPages(
  first: ReportPage,
  read: (after: string) => Promise<Result<ReportPage>>,
  ended: (end: ReportEnd, pages: number) => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let after = first.next;
  let pages = 0;
  let isCancelled = false;
  const give = (controller: ReadableStreamDefaultController<Uint8Array>, text: string) => {
    pages++;
    // nothing was left, if what was left has been deleted meanwhile
    if (text !== "") controller.enqueue(encoder.encode(text));
    if (after !== null) return;
    controller.close();
    ended("complete", pages);
  };
  return new ReadableStream<Uint8Array>({
    start: (controller) => give(controller, BYTE_ORDER_MARK + first.csv),
    async pull(controller) {
      if (after === null) return;
      const page = await read(after);
      if (isCancelled) return;
      if (!page.ok) {
        ended("failed", pages);
        throw new Error("the report broke off; ask for it again");
      }
      after = page.value.csv === "" ? null : page.value.next;
      give(controller, page.value.csv);
    },
    cancel() {
      isCancelled = true;
      ended("cancelled", pages);
    },
  });
}
