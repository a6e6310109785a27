import assert from "node:assert/strict";
import { classifyFetchError } from "./classify_fetch_error.ts";

/** What Deno throws: since 2.9 with the story in the cause, before that in the message itself. */
function thrown(story: string): Error[] {
  return [new TypeError("fetch failed", { cause: new Error(story) }), new TypeError(story)];
}

Deno.test("fetch error proves that nothing was sent only when it struck while connecting", () => {
  const url = "error sending request for url (http://gw.example.com/send): client error";
  const stories: [string, string, string][] = [
    [`${url} (Connect): tcp connect error: Connection refused (os error 111)`, "no", "connection_refused"],
    [`${url} (Connect): dns error: failed to lookup address information`, "no", "unknown_host"],
    [`${url} (Connect): tcp connect error: Connection reset by peer (os error 104)`, "no", "connection_failed"],
    [`${url} (Connect): invalid peer certificate: Expired`, "no", "connection_failed"],
    [`${url} (SendRequest): connection closed before message completed`, "perhaps", "connection_lost"],
    ["Connection reset by peer (os error 104)", "perhaps", "connection_lost"],
    ["error reading a body from connection", "perhaps", "connection_lost"],
    ["something never seen before", "perhaps", "connection_lost"],
  ];
  for (const [story, received, code] of stories) {
    for (const error of thrown(story)) {
      const failure = classifyFetchError(error);
      assert.equal(failure.received, received, story);
      assert.equal(failure.code, code, story);
    }
  }
});

Deno.test("fetch error that is a timeout, or no error at all, proves nothing", () => {
  assert.equal(classifyFetchError(new DOMException("late", "TimeoutError")).code, "timeout");
  assert.equal(classifyFetchError("a text").received, "perhaps");
  assert.equal(classifyFetchError(undefined).received, "perhaps");
});
