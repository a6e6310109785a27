import assert from "node:assert/strict";
import { z } from "zod";
import { type SomeFaults, storm } from "../faults.ts";
import type { ReceivedPost } from "../receive_webhooks.ts";
import { onStage as onBareStage, type Stage, stageKeys } from "../stage.ts";

const SENDER = "100000000000001";
const ATTEMPT = "0b0e7a52-0000-4000-8000-000000000001";
const SWIFT = { answerMs: [0, 2], callbackMs: [0, 5], receiptMs: [0, 20], hangMs: [20, 20] } satisfies SomeFaults;

interface CloudApiStage extends Stage {
  send(contact: string, more?: Readonly<Record<string, unknown>>): Promise<Response>;
}

function onStage(faults: SomeFaults, act: (stage: CloudApiStage) => Promise<void>): Promise<void> {
  return onBareStage(faults, (stage) =>
    act({
      ...stage,
      send: (contact, more = {}) =>
        fetch(`${stage.simulator.url}/v23.0/${SENDER}/messages`, {
          method: "POST",
          headers: { authorization: `Bearer ${stageKeys.WHATSAPP_ACCESS_TOKEN}` },
          body: JSON.stringify({
            messaging_product: "whatsapp",
            recipient_type: "individual",
            to: `+${contact}`,
            type: "text",
            text: { body: "Doors open at 18:00" },
            biz_opaque_callback_data: crypto.randomUUID(),
            ...more,
          }),
        }),
    }));
}

const listSchema = z.array(z.looseObject({ id: z.string().optional() })).default([]);
const bodySchema = z.object({
  entry: z.array(z.object({
    changes: z.array(z.object({
      value: z.object({ statuses: listSchema, messages: listSchema, user_preferences: listSchema }),
    })),
  })),
});

/** The elements of a list in all good posts, in the order in which they came. */
function elements(posts: readonly ReceivedPost[], list: "statuses" | "messages" | "user_preferences") {
  return posts.filter(({ status }) => status === 200).flatMap(({ body }) =>
    bodySchema.parse(JSON.parse(body)).entry.flatMap(({ changes }) => changes.flatMap(({ value }) => value[list]))
  );
}

/** Checks a signature with WebCrypto, which had no part in making it. */
async function isSigned({ headers, body }: Pick<ReceivedPost, "headers" | "body">): Promise<boolean> {
  const secret = new TextEncoder().encode(stageKeys.WHATSAPP_APP_SECRET);
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const signature = (headers.get("x-hub-signature-256") ?? "").replace("sha256=", "");
  const bytes = new Uint8Array((signature.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16)));
  return await crypto.subtle.verify("HMAC", key, bytes, new TextEncoder().encode(body));
}

/** What a right webhook answers. */
async function judge(post: Pick<ReceivedPost, "headers" | "body">): Promise<number> {
  if (!await isSigned(post)) return 401;
  try {
    JSON.parse(post.body);
    return 200;
  } catch {
    return 400;
  }
}

async function read(response: Response): Promise<unknown> {
  return await response.json();
}

const contactsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => `9198765${`${index}`.padStart(5, "0")}`);

Deno.test("a message is taken, sent, delivered and read when Meta is calm", () =>
  onStage(
    { deliveredShare: 1, readShare: 1, cloudApi: { replies: 0 } },
    async ({ simulator, webhooks, send, untilIdle }) => {
      const answer = await send("919876500000", { biz_opaque_callback_data: ATTEMPT });
      assert.equal(answer.status, 200);
      const { contacts: [contact], totals } = await untilIdle().then(() => simulator.record().cloudApi);
      const [message] = contact?.messages ?? [];
      assert.deepEqual(await read(answer), {
        messaging_product: "whatsapp",
        contacts: [{ input: "+919876500000", wa_id: "919876500000" }],
        messages: [{ id: message?.messageId, message_status: "accepted" }],
      });
      const statuses = elements(webhooks.posts, "statuses");
      assert.deepEqual(statuses.map(({ status }) => status), ["sent", "delivered", "read"]);
      for (const status of statuses) {
        assert.deepEqual([status.id, status.recipient_id, status.biz_opaque_callback_data], [
          message?.messageId,
          "919876500000",
          ATTEMPT,
        ]);
        assert.match(`${status.timestamp}`, /^\d{10}$/);
      }
      assert.deepEqual([message?.clientMessageId, message?.status, message?.delivered, message?.read], [
        ATTEMPT,
        "sent",
        true,
        true,
      ]);
      assert.deepEqual([totals.sent, totals.delivered, totals.read, totals.doubleSends], [1, 1, 1, 0]);
    },
  ));

Deno.test("a caller is refused in Meta's words when the token is missing or wrong", () =>
  onStage({}, async ({ simulator }) => {
    for (const authorization of ["", "Bearer wrong", stageKeys.WHATSAPP_ACCESS_TOKEN]) {
      const answer = await fetch(`${simulator.url}/v23.0/${SENDER}/messages`, {
        method: "POST",
        headers: { authorization },
      });
      assert.equal(answer.status, 401);
      assert.match(JSON.stringify(await read(answer)), /"type":"OAuthException","code":190/);
    }
    assert.equal(simulator.record().cloudApi.totals.requests, 0);
  }));

Deno.test("a send is refused with code 100 and the field when the body is wrong", () =>
  onStage({}, async ({ simulator, send }) => {
    for (
      const [wrong, field] of [
        [{ to: "98765 43210" }, "to"],
        [{ to: undefined }, "to"],
        [{ messaging_product: "sms" }, "messaging_product"],
        [{ type: "template" }, "type"],
        [{ text: { body: "" } }, "text"],
        [{ biz_opaque_callback_data: "x".repeat(513) }, "biz_opaque_callback_data"],
      ] as const
    ) {
      const answer = await send("919876500000", wrong);
      assert.equal(answer.status, 400);
      const words = JSON.stringify(await read(answer));
      assert.match(words, /"code":100/);
      assert.match(words, new RegExp(field));
    }
    assert.equal(simulator.record().cloudApi.totals.requests, 0);
  }));

Deno.test("nothing is taken when a send is rejected, put off or broken, and Meta says so in its shape", async () => {
  for (
    const [faults, statuses] of [
      [{ sendsRejected: 1 }, [400]],
      [{ sendsBusy: 1 }, [400, 429, 503]],
      [{ sendsBroken: 1 }, [500]],
    ] as const
  ) {
    await onStage({ cloudApi: faults }, async ({ simulator, webhooks, send, untilIdle }) => {
      for (const contact of contactsOf(8)) {
        const answer = await send(contact);
        assert.ok(statuses.some((status) => status === answer.status), `${answer.status}`);
        assert.ok([null, "sendsBusy" in faults ? "1" : null].includes(answer.headers.get("retry-after")));
        const { error } = z.object({ error: z.object({ code: z.number(), fbtrace_id: z.string() }) }).parse(
          await read(answer),
        );
        assert.ok(error.code > 0);
      }
      await untilIdle();
      assert.equal(simulator.record().cloudApi.totals.messages, 0);
      assert.equal(webhooks.posts.length, 0);
    });
  }
});

Deno.test("a message has gone out when its send is answered 500, hangs or is cut off", () =>
  onStage({ cloudApi: { sendsBrokenYetTaken: 0.5, sendTimeouts: 1 } }, async ({ simulator, send, untilIdle }) => {
    const answers = await Promise.allSettled(contactsOf(20).map((contact) => send(contact)));
    for (const answer of answers) {
      if (answer.status === "fulfilled") assert.equal(answer.value.status, 500);
      if (answer.status === "fulfilled") await answer.value.body?.cancel();
    }
    assert.equal(new Set(answers.map(({ status }) => status)).size, 2);
    await untilIdle();
    assert.equal(simulator.record().cloudApi.totals.sent, 20);
  }));

Deno.test("the first status is posted and answered before the send is when it is early", () =>
  onStage({ cloudApi: { reportsEarly: 1 } }, async ({ webhooks, send }) => {
    const answer = await send("919876500000");
    assert.equal(elements(webhooks.posts, "statuses").length, 1);
    await answer.body?.cancel();
  }));

Deno.test("posts are signed over their bytes, and not over the same JSON written otherwise", () =>
  onStage({ deliveredShare: 1, cloudApi: { replies: 1 } }, async ({ webhooks, send, untilIdle }) => {
    for (const contact of contactsOf(40)) await (await send(contact)).body?.cancel();
    await untilIdle();
    for (const post of webhooks.posts) {
      assert.ok(await isSigned(post));
      assert.match(post.body, /^[\x20-\x7e]*$/);
      assert.doesNotMatch(post.body, /[^\\]\//);
    }
    const escaped = webhooks.posts.find(({ body }) => /\\u[0-9a-f]{4}/.test(body) && body.includes("\\/"));
    assert.ok(escaped !== undefined);
    assert.ok(!await isSigned({ ...escaped, body: JSON.stringify(JSON.parse(escaped.body)) }));
  }));

Deno.test("each inbound message is posted twice at once, and written down once", () =>
  onStage(
    { deliveredShare: 1, cloudApi: { replies: 1, inboundDoubled: 1 } },
    async ({ simulator, webhooks, send, untilIdle }) => {
      for (const contact of contactsOf(150)) await (await send(contact)).body?.cancel();
      await untilIdle();
      const { inbound, optedOut } = simulator.record().cloudApi;
      const posted = Map.groupBy(elements(webhooks.posts, "messages"), ({ id }) => id);
      assert.deepEqual([...posted.keys()].sort(), inbound.map(({ messageId }) => messageId).sort());
      for (const copies of posted.values()) assert.ok(copies.length >= 2);
      const types = new Set(inbound.map(({ type }) => type));
      for (const type of ["text", "reaction", "edit", "button", "interactive"]) {
        assert.ok(types.has(type), type);
      }
      assert.ok(elements(webhooks.posts, "user_preferences").length > 0);
      assert.ok(optedOut.length > 0 && optedOut.length < 75);
    },
  ));

Deno.test("somebody known by a username is never named by a number", () =>
  onStage(
    { deliveredShare: 1, cloudApi: { usernames: 1, replies: 1 } },
    async ({ simulator, webhooks, send, untilIdle }) => {
      for (const contact of contactsOf(30)) await (await send(contact)).body?.cancel();
      await untilIdle();
      for (const element of [...elements(webhooks.posts, "statuses"), ...elements(webhooks.posts, "messages")]) {
        assert.ok(!("recipient_id" in element) && !("from" in element));
      }
      const { inbound, optedOut } = simulator.record().cloudApi;
      assert.ok(inbound.length > 20 && inbound.every(({ contact, userId }) => contact === null && userId !== null));
      assert.equal(optedOut.length, 0);
    },
  ));

Deno.test("somebody writes to a number when told to", () =>
  onStage({}, async ({ simulator, webhooks }) => {
    await simulator.write({ channel: "whatsapp", to: SENDER, from: "919876500000", text: "Hello" });
    const [message, ...others] = elements(webhooks.posts, "messages");
    assert.deepEqual([message?.from, message?.text, others.length], ["919876500000", { body: "Hello" }, 0]);
    assert.equal(simulator.record().cloudApi.inbound[0]?.text, "Hello");
    await assert.rejects(simulator.write({ channel: "sms", to: SENDER, from: "nobody", text: "" }), /digits/);
  }));

Deno.test("the record equals what a right backend makes of the posts when every fault is on", () =>
  onStage({ ...storm, ...SWIFT, seed: 42 }, async ({ simulator, webhooks, send, untilIdle }) => {
    webhooks.judge = judge;
    const contacts = contactsOf(400);
    await Promise.allSettled(contacts.map(async (contact) => await (await send(contact)).body?.cancel()));
    await untilIdle();
    const { unexpected, cloudApi } = simulator.record();
    assert.deepEqual(unexpected, []);

    const told = new Map<string, Set<unknown>>();
    for (const { id, status } of elements(webhooks.posts, "statuses")) {
      if (id !== undefined) told.set(id, (told.get(id) ?? new Set()).add(status));
    }
    told.delete("wamid.none");
    const count = (holds: (statuses: Set<unknown>) => boolean) => [...told.values()].filter(holds).length;
    const delivered = (statuses: Set<unknown>) => statuses.has("delivered") || statuses.has("read");
    const { totals, faults } = cloudApi;
    assert.equal(told.size, totals.messages);
    assert.equal(count(delivered), totals.delivered);
    assert.equal(count((statuses) => statuses.has("read")), totals.read);
    assert.equal(count((statuses) => delivered(statuses) || !statuses.has("failed")), totals.sent);
    assert.equal(totals.doubleSends, 0);
    const inbound = new Set(elements(webhooks.posts, "messages").flatMap(({ id }) => id ?? []));
    assert.deepEqual([...inbound].sort(), cloudApi.inbound.map(({ messageId }) => messageId).sort());
    for (const name of ["sends rejected", "reports doubled", "failures that were none", "malformed or forged posts"]) {
      assert.ok((faults[name] ?? 0) > 0, name);
    }
  }));
