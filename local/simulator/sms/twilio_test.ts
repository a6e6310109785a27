import assert from "node:assert/strict";
import twilio from "twilio/webhooks";
import { z } from "zod";
import { type SomeFaults, storm } from "../faults.ts";
import type { ReceivedPost } from "../receive_webhooks.ts";
import { onStage as onBareStage, type Stage, stageKeys } from "../stage.ts";

const SENDER = "+15005550006";
const { TWILIO_ACCOUNT_SID: ACCOUNT, TWILIO_AUTH_TOKEN: TOKEN } = stageKeys;
const headers = { authorization: `Basic ${btoa(`${ACCOUNT}:${TOKEN}`)}` };
const SWIFT = { answerMs: [0, 2], callbackMs: [0, 5], receiptMs: [0, 20], hangMs: [20, 20] } satisfies SomeFaults;

const resourceSchema = z.object({
  sid: z.string(),
  status: z.string(),
  price: z.string().nullable(),
  error_code: z.number().nullable(),
});
const errorSchema = z.object({ code: z.number(), message: z.string(), more_info: z.url(), status: z.number() });

interface SmsStage extends Stage {
  send(contact: string, more?: Readonly<Record<string, string>>): Promise<Response>;
  look(messageId: string): Promise<Response>;
}

function onStage(faults: SomeFaults, act: (stage: SmsStage) => Promise<void>): Promise<void> {
  return onBareStage(faults, (stage) => {
    const messages = `${stage.simulator.url}/2010-04-01/Accounts/${ACCOUNT}/Messages`;
    return act({
      ...stage,
      send: (contact, more = {}) => {
        const StatusCallback = `${stage.webhooks.url}/sms-delivery-webhook?attempt=${contact}`;
        const form = { To: `+${contact}`, From: SENDER, Body: "Doors open at 18:00", StatusCallback, ...more };
        return fetch(`${messages}.json`, { method: "POST", headers, body: new URLSearchParams(form) });
      },
      look: (messageId) => fetch(`${messages}/${messageId}.json`, { headers }),
    });
  });
}

const formOf = ({ body }: { readonly body: string }) => Object.fromEntries(new URLSearchParams(body));

/** Checks a signature with Twilio's own library. */
function isSigned(post: Omit<ReceivedPost, "status">): boolean {
  return twilio.validateRequest(TOKEN, post.headers.get("x-twilio-signature") ?? "", post.url, formOf(post));
}

/** The fields of all good posts, in the order in which they came. */
function forms(posts: readonly ReceivedPost[]) {
  return posts.filter(({ status }) => status === 200).map(formOf);
}

const contactsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => `9197654${`${index}`.padStart(5, "0")}`);

Deno.test("a message is taken, sent and delivered when Twilio is calm", () =>
  onStage(
    { deliveredShare: 1, sms: { replies: 0 }, callbackMs: [50, 50] },
    async ({ simulator, webhooks, send, look, untilIdle }) => {
      const answer = await send("919765400000");
      assert.equal(answer.status, 201);
      const { sid, status, price } = resourceSchema.parse(await answer.json());
      assert.deepEqual([sid.slice(0, 2), sid.length, status, price], ["SM", 34, "queued", null]);
      assert.equal(resourceSchema.parse(await (await look(sid)).json()).status, "queued");
      await untilIdle();
      assert.deepEqual(forms(webhooks.posts).map(({ MessageSid, MessageStatus }) => [MessageSid, MessageStatus]), [
        [sid, "sent"],
        [sid, "delivered"],
      ]);
      assert.match(webhooks.posts[0]?.url ?? "", /\?attempt=919765400000$/);
      const settled = resourceSchema.parse(await (await look(sid)).json());
      assert.deepEqual([settled.status, settled.price, settled.error_code], ["delivered", null, null]);
      const [message] = simulator.record().sms.contacts[0]?.messages ?? [];
      assert.deepEqual([message?.clientMessageId, message?.status, message?.cost], ["919765400000", "sent", null]);
    },
  ));

Deno.test("a caller is refused in Twilio's words when account or token are missing or wrong", () =>
  onStage({}, async ({ simulator }) => {
    for (const [account, token] of [["", ""], [ACCOUNT, "wrong"], ["AC0", TOKEN]] as const) {
      const authorization = `Basic ${btoa(`${account}:${token}`)}`;
      const messages = `${simulator.url}/2010-04-01/Accounts/${account}/Messages`;
      const sent = await fetch(`${messages}.json`, {
        method: "POST",
        headers: { authorization },
        body: new URLSearchParams(),
      });
      const asked = await fetch(`${messages}/SM1.json`, { headers: { authorization } });
      for (const answer of [sent, asked]) {
        assert.equal(answer.status, 401);
        assert.equal(errorSchema.parse(await answer.json()).code, 20003);
      }
    }
    assert.equal(simulator.record().sms.totals.requests, 0);
  }));

Deno.test("a send is refused with Twilio's code when a field is wrong, and an unknown message is not found", () =>
  onStage({}, async ({ simulator, send, look }) => {
    for (
      const [wrong, code] of [
        [{ To: "98765 43210" }, 21211],
        [{ Body: "" }, 21602],
        [{ StatusCallback: "nowhere" }, 21609],
      ] as const
    ) {
      const answer = await send("919765400000", wrong);
      assert.equal(answer.status, 400);
      assert.equal(errorSchema.parse(await answer.json()).code, code);
    }
    assert.equal(simulator.record().sms.totals.requests, 0);
    const answer = await look("SM00000000000000000000000000000000");
    assert.deepEqual([answer.status, errorSchema.parse(await answer.json()).code], [404, 20404]);
  }));

Deno.test("nothing is taken when a send is rejected, put off or broken, and who told Twilio STOP is opted out", async () => {
  for (
    const [faults, statuses] of [
      [{ sendsRejected: 1 }, [400]],
      [{ sendsBusy: 1 }, [429, 503]],
      [{ sendsBroken: 1 }, [500]],
    ] as const
  ) {
    await onStage({ sms: faults }, async ({ simulator, webhooks, send, untilIdle }) => {
      const optedOut: string[] = [];
      for (const contact of contactsOf(12)) {
        const answer = await send(contact);
        assert.ok(statuses.some((status) => status === answer.status), `${answer.status}`);
        assert.ok([null, "sendsBusy" in faults ? "1" : null].includes(answer.headers.get("retry-after")));
        if (errorSchema.parse(await answer.json()).code === 21610) optedOut.push(contact);
      }
      await untilIdle();
      const { totals, optedOut: recorded } = simulator.record().sms;
      assert.equal(totals.messages + webhooks.posts.length, 0);
      assert.deepEqual(recorded, optedOut);
      assert.equal(optedOut.length > 0, "sendsRejected" in faults);
    });
  }
});

Deno.test("a message has gone out when its send is answered 500, hangs or is cut off, and can be looked up", () =>
  onStage({ sms: { sendsBrokenYetTaken: 0.5, sendTimeouts: 1 } }, async ({ simulator, send, look, untilIdle }) => {
    const answers = await Promise.allSettled(contactsOf(20).map((contact) => send(contact)));
    for (const answer of answers) if (answer.status === "fulfilled") await answer.value.body?.cancel();
    assert.equal(new Set(answers.map(({ status }) => status)).size, 2);
    await untilIdle();
    const { contacts, totals } = simulator.record().sms;
    assert.equal(totals.sent, 20);
    const answer = await look(contacts[0]?.messages[0]?.messageId ?? "");
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
  }));

Deno.test("only asking tells how a message ended, and what it cost, when its callbacks are lost", () =>
  onStage(
    { sms: { settledLost: 1, undelivered: 0.5, replies: 0 } },
    async ({ simulator, webhooks, send, look, untilIdle }) => {
      for (const contact of contactsOf(20)) await (await send(contact)).body?.cancel();
      await untilIdle();
      assert.deepEqual([...new Set(forms(webhooks.posts).map(({ MessageStatus }) => MessageStatus))], ["sent"]);
      for (const { messages: [message] } of simulator.record().sms.contacts) {
        assert.ok(message !== undefined);
        const { status, error_code, price } = resourceSchema.parse(await (await look(message.messageId)).json());
        assert.equal(price, status === "sent" ? null : "-0.00750");
        assert.equal(status === "delivered", message.delivered);
        assert.equal(status === "undelivered" || status === "failed", message.status === "failed");
        assert.equal(error_code === null ? null : `${error_code}`, message.errorCode);
      }
    },
  ));

Deno.test("nobody is called back who did not ask for it", () =>
  onStage({ sms: { replies: 0 } }, async ({ simulator, webhooks, untilIdle }) => {
    const body = new URLSearchParams({ To: "+919765400000", From: SENDER, Body: "Hello" });
    const url = `${simulator.url}/2010-04-01/Accounts/${ACCOUNT}/Messages.json`;
    await (await fetch(url, { method: "POST", headers, body })).body?.cancel();
    await untilIdle();
    assert.equal(webhooks.posts.length, 0);
    assert.equal(simulator.record().sms.contacts[0]?.messages[0]?.clientMessageId, null);
  }));

Deno.test("posts are signed over their address and their fields", () =>
  onStage({ deliveredShare: 1, sms: { replies: 1 } }, async ({ webhooks, send, untilIdle }) => {
    for (const contact of contactsOf(20)) await (await send(contact)).body?.cancel();
    await untilIdle();
    assert.ok(webhooks.posts.length > 50);
    for (const post of webhooks.posts) {
      assert.ok(isSigned(post));
      assert.ok(!isSigned({ ...post, url: `${post.url}&more=1` }));
      assert.ok(!isSigned({ ...post, body: `${post.body}&More=1` }));
    }
  }));

Deno.test("somebody writes to a number when told to", () =>
  onStage({}, async ({ simulator, webhooks }) => {
    await simulator.write({ channel: "sms", to: SENDER, from: "919765400000", text: "¿Cuándo?" });
    const [form, ...others] = forms(webhooks.posts);
    assert.deepEqual([form?.From, form?.To, form?.Body, form?.SmsStatus], [
      "+919765400000",
      SENDER,
      "¿Cuándo?",
      "received",
    ]);
    assert.equal(others.length, 0);
    assert.equal(simulator.record().sms.inbound[0]?.messageId, form?.MessageSid);
  }));

Deno.test("the record equals what a right backend makes of callbacks and look-ups when every fault is on", () =>
  onStage({ ...storm, ...SWIFT, seed: 42 }, async ({ simulator, webhooks, send, look, untilIdle }) => {
    webhooks.judge = (post) => isSigned(post) ? 200 : 401;
    await Promise.allSettled(contactsOf(400).map(async (contact) => await (await send(contact)).body?.cancel()));
    await untilIdle();
    const told = new Map<string, Set<string>>();
    const tell = (sid: string, status: string) => told.set(sid, (told.get(sid) ?? new Set()).add(status));
    const received = new Set<string>();
    for (const { MessageSid = "", MessageStatus, SmsStatus } of forms(webhooks.posts)) {
      if (SmsStatus === "received") received.add(MessageSid);
      else tell(MessageSid, MessageStatus ?? "");
    }
    for (const [sid, statuses] of told) {
      if (statuses.size === 1) tell(sid, resourceSchema.parse(await (await look(sid)).json()).status);
    }
    const { unexpected, sms: { totals, inbound, faults } } = simulator.record();
    assert.deepEqual(unexpected, []);
    const failed = (statuses: Set<string>) => statuses.has("undelivered") || statuses.has("failed");
    const count = (holds: (statuses: Set<string>) => boolean) => [...told.values()].filter(holds).length;
    assert.equal(told.size, totals.messages);
    assert.equal(count((statuses) => !failed(statuses)), totals.sent);
    assert.equal(count((statuses) => !failed(statuses) && statuses.has("delivered")), totals.delivered);
    assert.equal(totals.doubleSends, 0);
    assert.deepEqual([...received].sort(), inbound.map(({ messageId }) => messageId).sort());
    for (const name of ["sends rejected", "reports doubled", "segments that disagree", "malformed or forged posts"]) {
      assert.ok((faults[name] ?? 0) > 0, name);
    }
  }));
