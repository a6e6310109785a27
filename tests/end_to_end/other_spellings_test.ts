import assert from "node:assert/strict";
import { SimulatorClient } from "../../local/simulator/client.ts";
import { calm } from "../../local/simulator/faults.ts";
import { runProcessor } from "../harness/http.ts";
import { connect, createContactCampaign, optedOut, stats, testStack, until } from "../harness/mod.ts";

Deno.test("a person whose number WhatsApp spells otherwise says STOP, and gets no further message", async () => {
  const simulator = new SimulatorClient(testStack().simulatorUrl);
  await simulator.reset();
  await simulator.setFaults({
    ...calm,
    answerMs: [1, 10],
    callbackMs: [0, 20],
    receiptMs: [0, 20],
    cloudApi: { ...calm.cloudApi, replies: 0 },
  });
  const sql = connect(testStack().databaseUrl, 2);
  const number = `+5255${crypto.getRandomValues(new Uint32Array(1))[0]}`.padEnd(13, "0").slice(0, 13);
  const campaign = await createContactCampaign(sql, { recipients: [number] });
  const { organizationId, sessionId } = campaign;
  try {
    await until("the message to be sent and reported", async () => {
      await runProcessor();
      return (await stats(sql, campaign.id)).sent_count === 1 && await simulator.idle();
    }, 20_000);
    await simulator.write({ channel: "whatsapp", to: sessionId, from: number.slice(1), text: "STOP" });
    assert.deepEqual(await optedOut(sql, organizationId), [`+521${number.slice(3)}`, number]);

    const next = await createContactCampaign(sql, { organizationId, sessionId, recipients: [number] });
    await until("the next message to be skipped", async () => {
      await runProcessor();
      return (await stats(sql, next.id)).skipped_count === 1;
    }, 20_000);
    const { cloudApi } = await simulator.record();
    assert.equal(cloudApi.contacts.flatMap(({ messages }) => messages).length, 1, "one message went out");
  } finally {
    await until("the provider to fall silent", () => simulator.idle());
    await simulator.setFaults({ ...calm });
    await sql`delete from public.organizations where id = ${organizationId}`;
    await sql.end({ timeout: 5 });
  }
});
