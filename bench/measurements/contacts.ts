import type { Sql } from "postgres";
import { connect, empty, tidy } from "../database.ts";
import type { Measurement } from "../measurement.ts";
import { startEngine } from "../queues/start_engine.ts";
import { addDueContacts, addDueGroups, addOptOuts, seedPhoneNumber, seedSender } from "../seed.ts";
import { inTurns } from "../turns.ts";

const BATCH = 500;

/** Contacts / groups: claimed, and claimed and settled. */
export const contacts: Measurement = {
  name: "contacts",
  async run({ sql, stack, quick, say }) {
    const messages = quick ? 2_000 : 20_000;
    const settledMessages = messages / 4;
    const optOuts = quick ? 1_000 : 100_000;
    const rounds = quick ? 3 : 5;
    await empty(sql);
    await seedSender(sql);
    await seedPhoneNumber(sql);
    await addOptOuts(sql, optOuts);

    say(`contacts / groups: ${rounds} rounds of ${messages}, ${BATCH} at a time, with ${optOuts} opt-outs`);
    const client = connect(stack.databaseUrl, 1);
    const claimAll = (addDue: (sql: Sql, count: number) => Promise<void>) => async () => {
      await addDue(sql, messages);
      const began = performance.now();
      let claimed = 0;
      while (claimed < messages) {
        const rows = await client`select client_message_id from public.claim_recipients(${BATCH}::integer)`;
        if (rows.length === 0) throw new Error(`${claimed} messages were claimed, not ${messages}`);
        claimed += rows.length;
      }
      return messages / ((performance.now() - began) / 1000);
    };
    const claims = await inTurns(rounds, {
      contacts: claimAll(addDueContacts),
      groups: claimAll(addDueGroups),
    }, () => tidy(sql));
    await client.end({ timeout: 5 });

    const options = { url: stack.databaseUrl, clients: 1, batch: BATCH };
    const engines = {
      contacts: await startEngine("truetick-contacts", options),
      groups: await startEngine("truetick", options),
    };
    const drain = (engine: typeof engines.contacts) => async () => {
      await engine.enqueue(settledMessages);
      return settledMessages / (await engine.drain(settledMessages) / 1000);
    };
    const settled = await inTurns(rounds, {
      contacts: drain(engines.contacts),
      groups: drain(engines.groups),
    }, () => tidy(sql));
    await Promise.all(Object.values(engines).map((engine) => engine.close()));

    const row = (what: string, rates: typeof claims) => ({
      name: `${what} contacts / groups`,
      ratio: rates.ratio("contacts", "groups"),
      goal: 0.9,
      figures: {
        "contacts/s": rates.median("contacts"),
        "groups/s": rates.median("groups"),
        "opt-outs in the table": optOuts,
        rounds,
        "ratio between": rates.spread("contacts", "groups"),
      },
    });
    return [row("claim", claims), row("claim and settle", settled)];
  },
};
