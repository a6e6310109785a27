import assert from "node:assert/strict";
import { SimulatorClient } from "./client.ts";
import { onStage, stageKeys } from "./stage.ts";
import { startSimulator } from "./simulator.ts";

const GROUP = "120363000000000001@g.us";

async function send(url: string): Promise<void> {
  const headers = { "x-api-key": stageKeys.WHATSAPP_VPS_API_KEY };
  const message = { type: "text", text: "hello" };
  const body = JSON.stringify({ sessionId: "wa_one", groupJid: GROUP, message, clientMessageId: "one" });
  await (await fetch(`${url}/send`, { method: "POST", headers, body })).body?.cancel();
}

Deno.test("faults, groups and record can be had over HTTP", () =>
  onStage({}, async ({ simulator, untilIdle }) => {
    const client = new SimulatorClient(simulator.url);
    await client.setFaults({ seed: 9, receiptSessions: 2 });
    await client.registerGroups({ [GROUP]: 12 });
    await send(simulator.url);
    await untilIdle();
    assert.equal(await client.idle(), true);
    assert.deepEqual(await client.record(true), simulator.record(true));
    const { seed, groups: [group], totals } = await client.record(true);
    assert.deepEqual([seed, group?.memberCount, group?.deliveredTo?.length], [9, 12, totals.delivered]);
    assert.equal((await client.record()).groups[0]?.deliveredTo, undefined);
    await client.reset();
    assert.equal(simulator.record().totals.groups, 0);
  }));

Deno.test("faults of one gateway are changed without those of the others", () =>
  onStage({}, async ({ simulator }) => {
    const client = new SimulatorClient(simulator.url);
    await client.setFaults({ cloudApi: { sendsRejected: 1 }, sms: { replies: 0.5 } });
    await client.setFaults({ cloudApi: { failed: 0.1 } });
    await assert.rejects(client.setFaults({ sms: { silent: 2 } }), /400.*silent/s);
    await assert.rejects(client.setFaults({ cloudApi: { batchMax: 1001 } }), /400.*batchMax/s);
    const answer = await fetch(`${simulator.url}/v23.0/1/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${stageKeys.WHATSAPP_ACCESS_TOKEN}` },
      body: JSON.stringify({
        messaging_product: "whatsapp",
        to: "919876500000",
        type: "text",
        text: { body: "Hello" },
      }),
    });
    assert.equal(answer.status, 400);
    await answer.body?.cancel();
    assert.equal((await client.summary()).cloudApi.faults["sends rejected"], 1);
  }));

Deno.test("the summary says what the record says, without its lists", () =>
  onStage({}, async ({ simulator, untilIdle }) => {
    const client = new SimulatorClient(simulator.url);
    await send(simulator.url);
    await client.write({ channel: "sms", to: "+15005550006", from: "919876500000", text: "Hello" });
    await untilIdle();
    const { groups, cloudApi, sms, ...sums } = await client.record();
    const { cloudApi: { totals: byWhatsapp }, sms: { totals: bySms }, ...others } = await client.summary();
    assert.deepEqual(others, sums);
    assert.deepEqual([byWhatsapp, bySms], [cloudApi.totals, sms.totals]);
    assert.deepEqual([groups.length, sms.inbound.length, bySms.inbound], [1, 1, 1]);
  }));

Deno.test("faults are refused with the field when one is unknown or out of range", () =>
  onStage({}, async ({ simulator }) => {
    const client = new SimulatorClient(simulator.url);
    await assert.rejects(client.setFaults({ sendsRejected: 2 }), /400.*sendsRejected/s);
    await assert.rejects(client.setFaults({ answerMs: [5, 1] }), /400.*answerMs/s);
    const answer = await fetch(`${simulator.url}/control/faults`, { method: "POST", body: `{"gremlins": 1}` });
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), /gremlins/);
    const broken = await fetch(`${simulator.url}/control/faults`, { method: "POST", body: `{` });
    assert.equal(broken.status, 400);
    assert.match(await broken.text(), /not JSON/);
  }));

Deno.test("the simulator does not start when a key is empty", async () => {
  for (const name of Object.keys(stageKeys)) {
    const options = { functionsUrl: "http://127.0.0.1:1", keys: { ...stageKeys, [name]: "" } };
    await assert.rejects(startSimulator(options), new RegExp(name));
  }
});
