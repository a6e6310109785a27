import assert from "node:assert/strict";
import { storm } from "../faults.ts";
import type { SomeFaults } from "../faults.ts";
import { onStage as onBareStage, type Stage, stageKeys } from "../stage.ts";
import { z } from "zod";

/** A storm without waits. */
const quick: SomeFaults = { answerMs: [0, 2], callbackMs: [0, 5], receiptMs: [0, 20], hangMs: [20, 20] };
const GROUP = "120363000000000001@g.us";

interface VpsStage extends Stage {
  send(groupJid?: string, clientMessageId?: string): Promise<Response>;
  status(clientMessageId: string): Promise<unknown>;
}

function onStage(faults: SomeFaults, act: (stage: VpsStage) => Promise<void>): Promise<void> {
  const headers = { "x-api-key": stageKeys.WHATSAPP_VPS_API_KEY, "content-type": "application/json" };
  return onBareStage(faults, (stage) => {
    const { url } = stage.simulator;
    return act({
      ...stage,
      send: (groupJid = GROUP, clientMessageId: string = crypto.randomUUID()) => {
        const message = { type: "text", text: "hello" };
        const body = JSON.stringify({ sessionId: "wa_one", groupJid, message, clientMessageId });
        return fetch(`${url}/send`, { method: "POST", headers, body });
      },
      status: async (id) => await (await fetch(`${url}/message-status?clientMessageId=${id}`, { headers })).json(),
    });
  });
}

const goodSchema = z.object({
  event: z.string(),
  sessionId: z.string(),
  groupJid: z.string(),
  messageId: z.string().nullable().optional(),
  reader: z.string().nullable().optional(),
});

/** 400 to bad JSON, and to single objects without the fields that a webhook needs. */
function judge({ body }: { readonly body: string }): number {
  try {
    const parsed: unknown = JSON.parse(body);
    if (Array.isArray(parsed)) return 200;
    const known = ["message_sent", "message_failed", "message_delivered", "message_read"];
    const good = goodSchema.parse(parsed);
    return known.includes(good.event) && good.messageId === undefined ? 400 : 200;
  } catch {
    return 400;
  }
}

Deno.test("a send is accepted, called back and reported when the gateway is calm", () =>
  onStage({}, async ({ simulator, webhooks, send, untilIdle }) => {
    simulator.registerGroups({ [GROUP]: 40 });
    const answer = await send(GROUP, "0b0e7a52-0000-4000-8000-000000000001");
    assert.deepEqual([answer.status, await answer.json()], [200, { success: true, accepted: true }]);
    await untilIdle();
    const { totals, groups } = simulator.record();
    const [group] = groups;
    const [callback, ...others] = webhooks.events("whatsapp-send-callback");
    assert.equal(others.length, 0);
    assert.equal(callback?.event, "message_sent");
    assert.equal(callback?.clientMessageId, "0b0e7a52-0000-4000-8000-000000000001");
    assert.equal(callback?.messageId, group?.sends[0]?.messageId);
    const receipts = webhooks.events("whatsapp-read-receipt-webhook");
    assert.equal(receipts.filter(({ event }) => event === "message_delivered").length, totals.delivered);
    assert.equal(receipts.filter(({ event }) => event === "message_read").length, totals.read);
    assert.ok(totals.delivered > 30 && totals.delivered <= 40);
    for (const { headers } of webhooks.posts) assert.equal(headers.get("x-api-key"), stageKeys.WEBHOOK_SECRET_KEY);
  }));

Deno.test("a caller is refused when the key is missing or wrong", () =>
  onStage({}, async ({ simulator }) => {
    for (const key of ["", "wrong"]) {
      const headers = { "x-api-key": key };
      const sent = await fetch(`${simulator.url}/send`, { method: "POST", headers, body: "{}" });
      const asked = await fetch(`${simulator.url}/message-status?clientMessageId=1`, { headers });
      assert.deepEqual([sent.status, asked.status], [401, 401]);
      await Promise.all([sent.body?.cancel(), asked.body?.cancel()]);
    }
    assert.equal(simulator.record().totals.requests, 0);
  }));

Deno.test("a send is refused with the field when the body is wrong", () =>
  onStage({}, async ({ simulator, send }) => {
    const answer = await send("not-a-group");
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), /groupJid/);
    assert.equal(simulator.record().totals.requests, 0);
  }));

Deno.test("a second send is taken and recorded when the group already got one", () =>
  onStage({}, async ({ simulator, send, untilIdle }) => {
    for (const id of ["same", "same", "other"]) await (await send(GROUP, id)).body?.cancel();
    await untilIdle();
    const { totals, groups } = simulator.record();
    assert.deepEqual([totals.sends, totals.doubleSends, totals.sent], [3, 2, 1]);
    assert.equal(new Set(groups[0]?.sends.map((send) => send.messageId)).size, 3);
  }));

Deno.test("message-status tells what became of a send when its callback never comes", () =>
  onStage({ callbacksLost: 1 }, async ({ simulator, webhooks, send, status, untilIdle }) => {
    assert.deepEqual(await status("first"), { found: false });
    await (await send(GROUP, "first")).body?.cancel();
    await untilIdle();
    const messageId = simulator.record().groups[0]?.sends[0]?.messageId;
    assert.deepEqual(await status("first"), { found: true, status: "sent", messageId });
    assert.equal(webhooks.events("whatsapp-send-callback").length, 0);
    assert.equal(simulator.record().faults["reports lost"], 1);
  }));

Deno.test("message-status says queued until the message has gone out", () =>
  onStage({ callbackMs: [60_000, 60_000] }, async ({ send, status }) => {
    await (await send(GROUP, "slow")).body?.cancel();
    assert.deepEqual(await status("slow"), { found: true, status: "queued" });
  }));

Deno.test("a rejected send goes nowhere, and message-status says failed", () =>
  onStage({ sendsRejected: 1 }, async ({ simulator, webhooks, send, status, untilIdle }) => {
    const answer = await (await send(GROUP, "no")).json();
    assert.equal(answer.success, false);
    assert.match(answer.error, /participant/);
    await untilIdle();
    assert.deepEqual(await status("no"), { found: true, status: "failed", error: answer.error });
    assert.equal(webhooks.posts.length, 0);
    assert.equal(simulator.record().totals.failed, 1);
  }));

Deno.test("a failed send is called back and reaches nobody", () =>
  onStage({ sendsFailed: 1 }, async ({ simulator, webhooks, send, untilIdle }) => {
    await (await send()).body?.cancel();
    await untilIdle();
    assert.deepEqual(webhooks.events("whatsapp-send-callback").map(({ event }) => event), ["message_failed"]);
    assert.equal(webhooks.events("whatsapp-read-receipt-webhook").length, 0);
    assert.deepEqual([simulator.record().totals.failed, simulator.record().totals.delivered], [1, 0]);
  }));

Deno.test("a message has gone out when its send hangs or is cut off", () =>
  onStage({ sendTimeouts: 1 }, async ({ simulator, send, untilIdle }) => {
    for (let group = 0; group < 6; group++) await assert.rejects(send(`12036300000000010${group}@g.us`));
    await untilIdle();
    assert.equal(simulator.record().totals.sent, 6);
    assert.equal(simulator.record().unexpected.length, 0);
  }));

Deno.test("nothing is taken when the gateway is busy", () =>
  onStage({ sendsBusy: 1 }, async ({ simulator, send }) => {
    const answer = await send();
    await answer.body?.cancel();
    assert.ok(answer.status === 429 || answer.status === 503);
    assert.equal(answer.headers.get("retry-after"), "1");
    assert.equal(simulator.record().totals.sends, 0);
  }));

Deno.test("a callback is posted and answered before the send is answered when it is early", () =>
  onStage({ callbacksEarly: 1 }, async ({ webhooks, send, untilIdle }) => {
    const answer = await send();
    assert.equal(webhooks.events("whatsapp-send-callback").length, 1);
    await answer.body?.cancel();
    await untilIdle();
    assert.equal(webhooks.events("whatsapp-send-callback").length, 1);
  }));

Deno.test("receipts are posted before the callback when they are early", () =>
  onStage({ receiptsEarly: 1 }, async ({ webhooks, send, untilIdle }) => {
    await (await send()).body?.cancel();
    await untilIdle();
    const names = webhooks.posts.map(({ webhook }) => webhook);
    assert.equal(names[0], "whatsapp-read-receipt-webhook");
    assert.ok(names.indexOf("whatsapp-send-callback") > 0);
  }));

Deno.test("a post is tried again when the webhook answers 503, and not when it answers 400", () =>
  onStage({}, async ({ simulator, webhooks, send, untilIdle }) => {
    webhooks.answers.push(503, 503);
    await (await send()).body?.cancel();
    await untilIdle();
    const { callbacks, receipts } = simulator.record().posts;
    assert.equal(callbacks.retries + receipts.retries, 2);
    assert.equal(callbacks.lost + receipts.lost + callbacks.refused + receipts.refused, 0);
    assert.equal(webhooks.events("whatsapp-send-callback").filter(({ event }) => event === "message_sent").length, 1);

    simulator.reset();
    const before = webhooks.posts.length;
    webhooks.answers.push(...Array.from({ length: 100 }, () => 400));
    await (await send()).body?.cancel();
    await untilIdle();
    const after = simulator.record();
    assert.equal(after.posts.callbacks.retries + after.posts.receipts.retries, 0);
    assert.equal(webhooks.posts.length - before, after.posts.callbacks.posts + after.posts.receipts.posts);
    assert.equal(after.posts.callbacks.refused, 1);
    assert.match(after.unexpected[0] ?? "", /answered 400/);
  }));

Deno.test("the record equals what a right backend counts when every fault is on", () =>
  onStage({ ...storm, ...quick, seed: 42 }, async ({ simulator, webhooks, send, untilIdle }) => {
    webhooks.judge = judge;
    const groups = Array.from({ length: 60 }, (_, index) => `12036300000000${100 + index}@g.us`);
    simulator.registerGroups(Object.fromEntries(groups.map((group, index) => [group, 5 + index])));
    await Promise.allSettled(groups.map(async (group) => await (await send(group)).body?.cancel()));
    await untilIdle();
    const record = simulator.record(true);
    assert.deepEqual(record.unexpected, []);
    const receipts = webhooks.events("whatsapp-read-receipt-webhook").filter((event) =>
      typeof event.reader === "string"
    );
    const delivered = new Set(
      receipts.map(({ messageId, reader }) => `${messageId} ${`${reader}`.replace(/:\d+@/, "@")}`),
    );
    const anonymous = record.groups.filter((group) => group.anonymous);
    assert.equal(
      delivered.size + anonymous.reduce((sum, group) => sum + group.memberCount, 0),
      record.totals.delivered,
    );
    assert.ok((record.faults["reports doubled"] ?? 0) > 3);
    assert.equal(record.totals.sent + record.totals.failed, 60);
    assert.equal(record.totals.doubleSends, 0);
  }));

Deno.test("a message to a contact is reported by the person, and its status says how far it came", () =>
  onStage({ deliveredShare: 1, readShare: 1 }, async ({ simulator, webhooks, send, status, untilIdle }) => {
    const contact = "919876543210@s.whatsapp.net";
    await (await send(contact, "0b0e7a52-0000-4000-8000-000000000009")).body?.cancel();
    await untilIdle();
    const [record] = simulator.record(true).groups;
    assert.deepEqual([record?.memberCount, record?.deliveredTo, record?.readBy], [1, [contact], [contact]]);
    const answer = await status("0b0e7a52-0000-4000-8000-000000000009");
    assert.deepEqual(answer, { found: true, status: "read", messageId: record?.sends[0]?.messageId });
    assert.ok(webhooks.posts.some(({ body }) => body.includes("message_read") && body.includes(contact)));
  }));

Deno.test("a silent contact is not reported by anybody, and the status tells all the same", () =>
  onStage(
    { contactsSilent: 1, deliveredShare: 1, readShare: 0 },
    async ({ simulator, webhooks, send, status, untilIdle }) => {
      await (await send("919876543211@s.whatsapp.net", "0b0e7a52-0000-4000-8000-000000000010")).body?.cancel();
      await (await send(GROUP, "0b0e7a52-0000-4000-8000-000000000011")).body?.cancel();
      await untilIdle();
      const answer = JSON.stringify(await status("0b0e7a52-0000-4000-8000-000000000010"));
      assert.match(answer, /"status":"delivered"/);
      assert.match(JSON.stringify(await status("0b0e7a52-0000-4000-8000-000000000011")), /"status":"sent"/);
      const delivered = webhooks.posts.filter(({ body }) => body.includes("message_delivered"));
      assert.ok(delivered.length > 0 && delivered.every(({ body }) => !body.includes("919876543211@")));
      assert.equal(simulator.summary().faults["reports lost"], 1);
    },
  ));
