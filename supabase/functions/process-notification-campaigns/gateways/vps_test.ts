import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import type { SendOutcome } from "./gateway.ts";
import { vpsGateway } from "./vps.ts";

const message = {
  clientMessageId: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  sessionId: "wa_1",
  recipient: "120363040000000001@g.us",
  message: { type: "text", text: "Hello" },
};

/** Runs `test` against a TCP server that does to each connection what `onConnection` says. */
async function withServer(onConnection: (socket: Socket) => void, test: (url: string) => Promise<void>): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  try {
    await test(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A server that answers every request with these bytes and then closes. */
const answering = (text: string) => (socket: Socket) => {
  socket.once("data", () => socket.end(text));
};

function httpAnswer(status: number, body: string, headers = ""): string {
  return `HTTP/1.1 ${status} X\r\ncontent-length: ${body.length}\r\nconnection: close\r\n${headers}\r\n${body}`;
}

const send = (url: string, timeoutMs = 5_000) => vpsGateway(url, "key", fetch).send(message, timeoutMs);
const lookUp = (url: string, timeoutMs = 5_000) => vpsGateway(url, "key", fetch).lookUp("id", timeoutMs);

/** A port of this machine on which nobody listens. */
async function deadUrl(): Promise<string> {
  let url = "";
  await withServer(() => {}, (given) => {
    url = given;
    return Promise.resolve();
  });
  return url;
}

async function outcomeOf(onConnection: (socket: Socket) => void, timeoutMs?: number): Promise<SendOutcome> {
  let outcome: SendOutcome = { outcome: "unknown", errorCode: "test did not run" };
  await withServer(onConnection, async (url) => {
    outcome = await send(url, timeoutMs);
  });
  return outcome;
}

Deno.test("vps defers a send when the connection is refused", async () => {
  const outcome = await send(await deadUrl());
  assert.equal(outcome.outcome, "deferred");
  assert.equal(outcome.errorCode, "connection_refused");
});

Deno.test("vps defers a send when the host is unknown", async () => {
  const outcome = await send("http://gateway.invalid");
  assert.equal(outcome.outcome, "deferred");
  assert.equal(outcome.errorCode, "unknown_host");
});

Deno.test("vps does not know of a send when the connection is reset after the request", async () => {
  const outcome = await outcomeOf((socket) => socket.once("data", () => socket.resetAndDestroy()));
  assert.equal(outcome.outcome, "unknown");
  assert.equal(outcome.errorCode, "connection_lost");
});

Deno.test("vps does not know of a send when the connection is closed without an answer", async () => {
  const outcome = await outcomeOf((socket) => socket.once("data", () => socket.end()));
  assert.equal(outcome.outcome, "unknown");
  assert.equal(outcome.errorCode, "connection_lost");
});

Deno.test("vps does not know of a send when no answer comes in time", async () => {
  const outcome = await outcomeOf(() => {}, 50);
  assert.equal(outcome.outcome, "unknown");
  assert.equal(outcome.errorCode, "timeout");
});

Deno.test("vps does not know of a send when the answer stops half way", async () => {
  const half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
  assert.equal((await outcomeOf((socket) => socket.once("data", () => socket.write(half)), 100)).errorCode, "timeout");
  assert.equal((await outcomeOf(answering(half))).errorCode, "connection_lost");
});

Deno.test("vps does not know of a send when the answer is no HTTP, no JSON or too long", async () => {
  for (const text of ["garbage\r\n\r\n", httpAnswer(200, "<html>"), httpAnswer(200, `"${"x".repeat(100_000)}"`)]) {
    assert.equal((await outcomeOf(answering(text))).outcome, "unknown");
  }
});

Deno.test("vps defers a send that is answered 429 or 503, with Retry-After", async () => {
  for (const status of [429, 503]) {
    const outcome = await outcomeOf(answering(httpAnswer(status, "{}", "retry-after: 17\r\n")));
    assert.equal(outcome.outcome, "deferred");
    assert.equal(outcome.errorCode, `http_${status}`);
    assert.equal(outcome.retryAfterSeconds, 17);
  }
});

Deno.test("vps follows no redirect", async () => {
  let connections = 0;
  const elsewhere = (socket: Socket) => {
    connections++;
    answering(httpAnswer(307, "", `location: http://${"127.0.0.1"}:${socket.localPort}/elsewhere\r\n`))(socket);
  };
  const outcome = await outcomeOf(elsewhere);
  assert.equal(outcome.outcome, "unknown");
  assert.equal(outcome.errorCode, "http_307");
  assert.equal(connections, 1);
});

Deno.test("vps sends what the contract says", async () => {
  let request = "";
  const outcome = await outcomeOf((socket) =>
    socket.on("data", (bytes) => {
      request += bytes.toString();
      if (request.endsWith("}")) socket.end(httpAnswer(200, `{"success":true,"accepted":true}`));
    })
  );
  assert.deepEqual(outcome, { outcome: "accepted" });
  const [head = "", body = ""] = request.split("\r\n\r\n");
  assert.ok(head.startsWith("POST /send HTTP/1.1\r\n"));
  assert.match(head, /^x-api-key: key$/im);
  assert.match(head, /^content-type: application\/json$/im);
  assert.deepEqual(JSON.parse(body), {
    sessionId: "wa_1",
    groupJid: "120363040000000001@g.us",
    message: { type: "text", text: "Hello" },
    clientMessageId: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  });
});

Deno.test("vps hands a message over once when a kept-alive connection breaks under it", async () => {
  let requests = 0;
  const breakTheSecond = (socket: Socket) => {
    socket.on("data", (bytes) => {
      if (!bytes.toString().startsWith("POST")) return;
      if (++requests === 1) {
        socket.write(httpAnswer(200, `{"success":true,"accepted":true}`).replace("close", "keep-alive"));
      } else socket.resetAndDestroy();
    });
  };
  await withServer(breakTheSecond, async (url) => {
    const gateway = vpsGateway(url, "key", fetch);
    assert.equal((await gateway.send(message, 5_000)).outcome, "accepted");
    assert.equal((await gateway.send(message, 5_000)).outcome, "unknown");
    assert.equal(requests, 2);
  });
});

Deno.test("vps asks for the status by the id of the attempt", async () => {
  await withServer((socket) =>
    socket.once("data", (bytes) => {
      const found = bytes.toString().startsWith("GET /message-status?clientMessageId=id HTTP/1.1\r\n");
      socket.end(httpAnswer(200, JSON.stringify({ found, status: "sent", messageId: "m" })));
    }), async (url) => {
    assert.deepEqual(await lookUp(url), { outcome: "sent", messageId: "m" });
  });
});

Deno.test("vps leaves a question unanswered when the gateway is away, hangs or breaks", async () => {
  assert.deepEqual(await lookUp(await deadUrl()), { outcome: "unanswered", errorCode: "connection_refused" });
  await withServer(() => {}, async (url) => {
    assert.deepEqual(await lookUp(url, 50), { outcome: "unanswered", errorCode: "timeout" });
  });
  await withServer(answering(httpAnswer(502, "")), async (url) => {
    assert.deepEqual(await lookUp(url), { outcome: "unanswered", errorCode: "http_502" });
  });
});
