// What every gateway must do, whatever it speaks: run against a real server that behaves in every way there is.
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { assertStorable } from "../../_shared/assert_storable.ts";
import { Environment } from "../../_shared/environment.ts";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import type { Gateway, GatewayDefinition, OutgoingMessage, SendOutcome } from "./gateway.ts";
import { registry } from "./registry.ts";
import { withServer } from "./with_server.ts";

/** What the suite must know of a gateway. */
interface Subject {
  /** Its variables, where its other side listens at `url`. */
  readonly environment: (url: string) => Record<string, string>;
  readonly message: Pick<
    OutgoingMessage,
    "channel" | "sessionId" | "recipient"
  >;
  /** An answer that takes the message, and what that comes to. */
  readonly takes: {
    readonly status: number;
    readonly body: Record<string, unknown>;
    readonly outcome: SendOutcome;
  };
  /** An answer that refuses it, with a code. */
  readonly refuses: {
    readonly status: number;
    readonly body: unknown;
    readonly code: string;
  };
  /** Answers to the question what became of a sent message, and what each comes to; none where nobody can be asked. */
  readonly reports?: {
    readonly delivered: unknown;
    readonly read: unknown;
    readonly failed: { readonly body: unknown; readonly code: string };
    readonly undecided: readonly unknown[];
    readonly reader: string;
  };
}

const subjects: Readonly<Record<string, Subject>> = {
  vps: {
    environment: (url) => ({ WHATSAPP_VPS_URL: url, WHATSAPP_VPS_API_KEY: "key" }),
    message: { channel: "whatsapp_group", sessionId: "wa_1", recipient: "120363040000000001@g.us" },
    takes: { status: 200, body: { success: true, accepted: true }, outcome: { outcome: "accepted" } },
    refuses: { status: 400, body: { success: false, error: { code: "463", message: "restricted" } }, code: "463" },
    reports: {
      delivered: { found: true, status: "delivered", messageId: "id" },
      read: { found: true, status: "READ", messageId: "another" },
      failed: { body: { found: true, status: "failed", error: { code: "463", message: "restricted" } }, code: "463" },
      undecided: [{ found: true, status: "sent", messageId: "id" }, { found: true, status: "queued" }, {
        found: false,
      }],
      reader: "recipient",
    },
  },
  "cloud-api": {
    environment: (url) => ({ WHATSAPP_CLOUD_API_URL: url, WHATSAPP_ACCESS_TOKEN: "token" }),
    message: { channel: "whatsapp", sessionId: "106540352242922", recipient: "+919876543210" },
    takes: { status: 200, body: { messages: [{ id: "wamid.1" }] }, outcome: { outcome: "sent", messageId: "wamid.1" } },
    refuses: { status: 400, body: { error: { message: "(#131026) Undeliverable", code: 131026 } }, code: "131026" },
  },
  sms: {
    environment: (url) => ({ TWILIO_API_URL: url, TWILIO_ACCOUNT_SID: "AC1", TWILIO_AUTH_TOKEN: "token" }),
    message: { channel: "sms", sessionId: "+14155550123", recipient: "+919876543210" },
    takes: { status: 201, body: { sid: "SM1", status: "queued" }, outcome: { outcome: "sent", messageId: "SM1" } },
    refuses: { status: 400, body: { code: 21610, message: "unsubscribed", status: 400 }, code: "21610" },
    reports: {
      delivered: { sid: "id", status: "delivered" },
      read: { sid: "id", status: "read" },
      failed: { body: { sid: "id", status: "undelivered", error_code: 30003, error_message: "off" }, code: "30003" },
      undecided: [{ sid: "id", status: "queued" }, { sid: "id", status: "sending" }, { sid: "id" }],
      reader: "sms",
    },
  },
};

const attempt = {
  clientMessageId: "0b2f7c1e-5a53-4c7e-9d0c-6f6f2f8f3a10",
  sessionId: null,
  recipient: "+919876543210",
};
const sentMessage = { messageId: "id", clientMessageId: attempt.clientMessageId };
const UNANSWERED = ["connection_refused", "timeout", "http_502", "unreadable_answer"];

/** A server that answers every request with these bytes and then closes. */
const answering = (text: string) => (socket: Socket) => {
  socket.once("data", () => socket.end(text));
};

function httpAnswer(status: number, body: unknown, headers = ""): string {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const length = new TextEncoder().encode(text).length;
  return `HTTP/1.1 ${status} X\r\ncontent-length: ${length}\r\nconnection: close\r\n${headers}\r\n${text}`;
}

/** A port of this machine on which nobody listens. */
async function deadUrl(): Promise<string> {
  let url = "";
  await withServer(() => {}, (given) => {
    url = given;
    return Promise.resolve();
  });
  return url;
}

const environmentOf = (variables: Record<string, string>) => new Environment((name) => variables[name]);

Deno.test("gateways all go through the conformance suite, each under a name of its own", () => {
  assert.deepEqual(registry.map(({ name }) => name).sort(), Object.keys(subjects).sort());
});

for (const definition of registry) {
  const subject = subjects[definition.name];
  if (subject !== undefined) conform(definition, subject);
}

function conform(definition: GatewayDefinition, subject: Subject): void {
  const { name } = definition;
  const gatewayAt = (url: string): Gateway => definition.create(environmentOf(subject.environment(url)), fetch);
  const message: OutgoingMessage = {
    ...subject.message,
    clientMessageId: attempt.clientMessageId,
    message: { type: "text", text: "Hello" },
  };
  const sendTo = (url: string, timeoutMs = 5_000) => gatewayAt(url).send(message, timeoutMs);

  async function outcomeOf(onConnection: (socket: Socket) => void, timeoutMs?: number): Promise<SendOutcome> {
    let outcome: SendOutcome = { outcome: "unknown", errorCode: "test did not run" };
    await withServer(onConnection, async (url) => {
      outcome = await sendTo(url, timeoutMs);
    });
    return outcome;
  }

  Deno.test(`${name} reports a message that was taken`, async () => {
    const { status, body, outcome } = subject.takes;
    assert.deepEqual(await outcomeOf(answering(httpAnswer(status, body))), outcome);
  });

  Deno.test(`${name} reports a refusal as failed, with the provider's own code and words`, async () => {
    const { status, body, code } = subject.refuses;
    const outcome = await outcomeOf(answering(httpAnswer(status, body)));
    assert.equal(outcome.outcome, "failed");
    assert.equal(outcome.errorCode, code);
    assert.ok((outcome.errorMessage ?? "").length > 3);
  });

  Deno.test(`${name} reports a refusal without a word as failed, with its status`, async () => {
    for (const status of [400, 401, 403, 404, 422]) {
      const outcome = await outcomeOf(answering(httpAnswer(status, "<html>")));
      assert.equal(outcome.outcome, "failed");
      assert.equal(outcome.errorCode, `http_${status}`);
    }
  });

  Deno.test(`${name} defers a send that is answered 429 or 503, with Retry-After`, async () => {
    for (const status of [429, 503]) {
      const outcome = await outcomeOf(answering(httpAnswer(status, {}, "retry-after: 17\r\n")));
      assert.equal(outcome.outcome, "deferred");
      assert.equal(outcome.errorCode, `http_${status}`);
      assert.equal(outcome.retryAfterSeconds, 17);
      assert.ok(!("retryAfterSeconds" in await outcomeOf(answering(httpAnswer(status, "")))));
    }
  });

  Deno.test(`${name} defers a send when the connection is refused`, async () => {
    const outcome = await sendTo(await deadUrl());
    assert.equal(outcome.outcome, "deferred");
    assert.equal(outcome.errorCode, "connection_refused");
  });

  Deno.test(`${name} defers a send when the host is unknown`, async () => {
    const outcome = await sendTo("http://gateway.invalid");
    assert.equal(outcome.outcome, "deferred");
    assert.equal(outcome.errorCode, "unknown_host");
  });

  Deno.test(`${name} does not know of a send when the connection breaks after the request`, async () => {
    for (const end of [(socket: Socket) => socket.resetAndDestroy(), (socket: Socket) => socket.end()]) {
      const outcome = await outcomeOf((socket) => socket.once("data", () => end(socket)));
      assert.equal(outcome.outcome, "unknown");
      assert.equal(outcome.errorCode, "connection_lost");
    }
  });

  Deno.test(`${name} does not know of a send when no answer comes in time, and waits no longer`, async () => {
    const began = performance.now();
    const outcome = await outcomeOf(() => {}, 50);
    assert.equal(outcome.outcome, "unknown");
    assert.equal(outcome.errorCode, "timeout");
    assert.ok(performance.now() - began < 4_000);
  });

  Deno.test(`${name} does not know of a send when the answer stops half way`, async () => {
    const half = `HTTP/1.1 ${subject.takes.status} OK\r\ncontent-length: 100\r\n\r\n{`;
    const hanging = await outcomeOf((socket) => socket.once("data", () => socket.write(half)), 100);
    assert.equal(hanging.errorCode, "timeout");
    const broken = await outcomeOf(answering(half));
    assert.equal(broken.errorCode, "connection_lost");
    for (const { outcome } of [hanging, broken]) {
      assert.equal(outcome, "unknown");
    }
  });

  Deno.test(`${name} does not know of a send that is answered 408 or with a server error`, async () => {
    for (const status of [408, 500, 502, 504]) {
      for (const body of [{}, "<html>", { success: false, error: "x", code: 1 }]) {
        assert.equal((await outcomeOf(answering(httpAnswer(status, body)))).outcome, "unknown", `${status}`);
      }
    }
  });

  Deno.test(`${name} does not know of a send when the answer is garbage or too long`, async () => {
    const { status, body } = subject.takes;
    const tooLong = JSON.stringify({ ...body, filler: "x".repeat(100_000) });
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const bodies = ["", "<html>", "null", "7", "[]", "{}", `"sent"`, deep, tooLong];
    for (const text of ["garbage\r\n\r\n", ...bodies.map((text) => httpAnswer(status, text))]) {
      const outcome = await outcomeOf(answering(text));
      assert.equal(outcome.outcome, "unknown", text.slice(0, 120));
      assertStorable(outcome);
    }
  });

  Deno.test(`${name} keeps what the database can store of an answer that it cannot`, async () => {
    const hostile = { code: "\0", message: "a\0b\ud800", error: { code: "\0", message: "a\0b\ud800" } };
    const outcome = await outcomeOf(answering(httpAnswer(400, hostile)));
    assert.equal(outcome.outcome, "failed");
    assertStorable(outcome);
  });

  Deno.test(`${name} follows no redirect`, async () => {
    let connections = 0;
    const elsewhere = (socket: Socket) => {
      connections++;
      answering(httpAnswer(307, "", `location: http://127.0.0.1:${socket.localPort}/elsewhere\r\n`))(socket);
    };
    const outcome = await outcomeOf(elsewhere);
    assert.equal(outcome.outcome, "unknown");
    assert.equal(outcome.errorCode, "http_307");
    const [address = ""] = definition.variables;
    assert.ok(outcome.errorMessage?.includes(address), outcome.errorMessage);
    assert.equal(connections, 1);
  });

  Deno.test(`${name} hands a message over once when a kept-alive connection breaks under it`, async () => {
    let requests = 0;
    const { status, body, outcome } = subject.takes;
    const breakTheSecond = (socket: Socket) => {
      socket.on("data", (bytes) => {
        if (!bytes.toString().startsWith("POST")) return;
        if (++requests === 1) {
          socket.write(httpAnswer(status, body).replace("close", "keep-alive"));
        } else socket.resetAndDestroy();
      });
    };
    await withServer(breakTheSecond, async (url) => {
      const gateway = gatewayAt(url);
      assert.deepEqual(await gateway.send(message, 5_000), outcome);
      assert.equal((await gateway.send(message, 5_000)).outcome, "unknown");
      assert.equal(requests, 2);
    });
  });

  const { reports } = subject;
  Deno.test(`${name} ${reports === undefined ? "cannot tell" : "tells"} what became of a message when it is asked`, async () => {
    if (reports === undefined) return assert.equal(gatewayAt("http://gateway.test").report, undefined);
    const ask = async (body: unknown) => {
      let answer: unknown;
      await withServer(answering(httpAnswer(200, body)), async (url) => {
        answer = await gatewayAt(url).report?.(sentMessage, 5_000);
      });
      return answer;
    };
    const about = { messageId: "id", reader: reports.reader };
    assert.deepEqual(await ask(reports.delivered), { event: "message_delivered", ...about });
    assert.deepEqual(await ask(reports.read), { event: "message_read", ...about });
    const failed: Record<string, unknown> = JSON.parse(JSON.stringify(await ask(reports.failed.body)));
    const { errorMessage, ...rest } = failed;
    assert.deepEqual(rest, { event: "message_failed", ...about, errorCode: reports.failed.code });
    assert.equal(typeof errorMessage, "string");
    for (const body of [...reports.undecided, null, [], "sent"]) assert.equal(await ask(body), undefined);
  });

  Deno.test(`${name} leaves a question open when it is away, hangs or breaks, and never throws`, async () => {
    const ask = async (url: string, timeoutMs = 5_000) => {
      const gateway = gatewayAt(url);
      const found = await gateway.lookUp(attempt, timeoutMs);
      if (found.outcome === "not_found") assert.equal(found.asked, false);
      else assert.ok(found.outcome === "unanswered" && UNANSWERED.includes(found.errorCode), JSON.stringify(found));
      assert.equal(await gateway.report?.(sentMessage, timeoutMs), undefined);
    };
    await ask(await deadUrl());
    await withServer(() => {}, (url) => ask(url, 50));
    for (const answer of [httpAnswer(502, ""), httpAnswer(200, "<html>"), httpAnswer(200, "x".repeat(100_000))]) {
      await withServer(answering(answer), ask);
    }
  });

  Deno.test(`${name} is not made while one of its variables is missing, and names that variable`, () => {
    const variables = subject.environment("http://gateway.test");
    for (const missing of Object.keys(variables)) {
      assert.throws(
        () => definition.create(environmentOf({ ...variables, [missing]: "" }), fetch),
        (error) => error instanceof EnvironmentError && error.variable === missing,
      );
      assert.ok(definition.variables.includes(missing), `${missing} is not said to be one of its variables`);
    }
  });
}
