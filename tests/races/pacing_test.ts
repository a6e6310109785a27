import assert from "node:assert/strict";
import {
  atOnce,
  claim,
  createCampaign,
  createOrganization,
  createSession,
  databaseTest,
  recordSendResults,
} from "../harness/mod.ts";

databaseTest("four processors at once take a sender's turns one after the other", async ({ sql, pool }) => {
  const organizationId = await createOrganization(sql);
  const sessionId = await createSession(sql, organizationId, { messagesPerMinute: 1200 });
  for (let campaigns = 0; campaigns < 3; campaigns++) {
    await createCampaign(sql, { organizationId, sessionId, recipients: 100 });
  }
  const work = pool(4);
  const until = performance.now() + 2_000;
  const turns = new Map<string, number>();
  await atOnce(Array.from({ length: 4 }, () => async () => {
    while (performance.now() < until) {
      for (const one of await claim(work, { limit: 8, paceAhead: "100 milliseconds" })) {
        assert.ok(!turns.has(one.client_message_id));
        turns.set(one.client_message_id, one.send_after_ms ?? -1);
      }
    }
  }));
  const claimed = await sql<{ id: string; claimed_at: Date }[]>`select id, claimed_at from public.send_attempts`;
  const slots = claimed.map(({ id, claimed_at }) => claimed_at.getTime() + (turns.get(id) ?? NaN)).sort((a, b) =>
    a - b
  );
  assert.ok(slots.length >= 25, `only ${slots.length}`);
  // 50 ms at the limit, 52.5 at this pace; times of the database come in whole milliseconds here, a turn may be 2 ms off
  for (const [i, slot] of slots.slice(1).entries()) assert.ok(slot - (slots[i] ?? 0) >= 50.5, slots.join(", "));
});

databaseTest(
  "of two claims at once for the same person one is taken, and the other waits its turn",
  async ({ sql, session }) => {
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId, { id: "15551230009" });
    const recipients = [{ recipient: "+4915112345678" }];
    const one = await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients });
    const [a, b] = [await session("a"), await session("b")];
    await a.begin();
    assert.equal((await claim(a.sql, { paceAhead: "1 second" })).length, 1);
    const two = await createCampaign(sql, { organizationId, sessionId, channel: "whatsapp", recipients });
    const second = await b.blocked((held) => claim(held, { paceAhead: "1 second" }));
    await a.commit();
    assert.deepEqual(await second.done, []);
    const rows = await sql<{ campaign_id: string; status: string; waits: boolean }[]>`
    select campaign_id, status::text, next_attempt_at > now() + interval '5 seconds' as waits
    from public.notification_campaign_recipients
  `;
    const row = (id: string) => rows.find(({ campaign_id }) => campaign_id === id);
    assert.equal(row(one.id)?.status, "processing");
    assert.deepEqual([row(two.id)?.status, row(two.id)?.waits], ["pending", true]);
  },
);

databaseTest(
  "claims of the same people in any order at once do not deadlock, and send to each once",
  async ({ sql, pool }) => {
    const organizationId = await createOrganization(sql);
    const sessionId = await createSession(sql, organizationId, { id: "15551230010" });
    const recipients = Array.from({ length: 40 }, (_, number) => ({ recipient: `+491511234${1000 + number}` }));
    for (let campaigns = 0; campaigns < 4; campaigns++) {
      await createCampaign(sql, {
        organizationId,
        sessionId,
        channel: "whatsapp",
        recipients: campaigns % 2 === 0 ? recipients : recipients.toReversed(),
      });
    }
    const work = pool(6);
    const claims = await atOnce(Array.from({ length: 6 }, (_, worker) => async () => {
      const got: string[] = [];
      for (let tries = 0; tries < 12; tries++) {
        got.push(
          ...(await claim(work, { limit: 7 + worker, paceAhead: "1 second" })).map(({ recipient }) => recipient),
        );
      }
      return got;
    }));
    const people = claims.flat();
    assert.equal(people.length, new Set(people).size, "nobody twice within six seconds");
    assert.equal(people.length, 40);
  },
);

databaseTest(
  "refusals with Retry-After and claims at once do not deadlock, and the longest hold stays",
  async ({ sql, pool }) => {
    const organizationId = await createOrganization(sql);
    const sessions = ["wa_r1", "wa_r2", "wa_r3"];
    for (const id of sessions) {
      await createSession(sql, organizationId, { id, messagesPerMinute: 60_000 });
      await createCampaign(sql, { organizationId, sessionId: id, recipients: 40, onTransientError: "retry" });
    }
    const work = pool(6);
    const first = await claim(sql, { limit: 60 });
    await atOnce([
      ...Array.from({ length: 3 }, (_, worker) => async () => {
        const mine = first.filter((_, place) => place % 3 === worker);
        for (let from = 0; from < mine.length; from += 5) {
          await recordSendResults(
            work,
            mine.slice(from, from + 5).map(({ client_message_id }, place) => ({
              clientMessageId: client_message_id,
              outcome: "deferred",
              errorCode: "http_429",
              retryAfterSeconds: from + place === 7 ? 600 : 1 + place,
            })),
          );
        }
      }),
      ...Array.from({ length: 3 }, () => async () => {
        for (let tries = 0; tries < 10; tries++) await claim(work, { limit: 5 });
      }),
    ]);
    const states = await sql<{ session_id: string; held: boolean }[]>`
    select session_id, hold_expires_at > now() + interval '9 minutes' as held from private.session_states order by 1
  `;
    assert.deepEqual(states.map(({ session_id }) => session_id), sessions);
    assert.ok(states.some(({ held }) => held));
  },
);
