import assert from "node:assert/strict";
import {
  ageAlarms,
  alarmRows,
  atOnce,
  checkAlarms,
  createOrganization,
  createSession,
  databaseTest,
  recordAlarmsPosted,
  type Sql,
} from "../harness/mod.ts";

/** A new sender that was stopped automatically. */
async function stoppedSender(sql: Sql): Promise<string> {
  const id = await createSession(sql, await createOrganization(sql));
  await sql`
    update public.gateway_sessions
    set status = 'paused', status_reason = 'auth', is_stopped_automatically = true
    where id = ${id}
  `;
  return id;
}

databaseTest("of two checkers at once one gets the alarm, and the other does not wait", async ({ sql, session }) => {
  await stoppedSender(sql);
  const [a, b] = [await session("a"), await session("b")];
  await a.begin();
  assert.equal((await checkAlarms(a.sql)).length, 1);
  await b.sql`set lock_timeout = '1ms'`;
  assert.deepEqual(await checkAlarms(b.sql), []);
  await a.commit();
  assert.deepEqual(await checkAlarms(b.sql), []);
  assert.equal((await alarmRows(sql)).length, 1);
});

databaseTest("a checker that dies leaves the alarm to the next", async ({ sql, session }) => {
  await stoppedSender(sql);
  const a = await session("a");
  await a.begin();
  assert.equal((await checkAlarms(a.sql)).length, 1);
  await a.rollback();
  assert.equal((await checkAlarms(sql)).length, 1);
});

databaseTest("a poster that dies after it was handed an alarm leaves it to another one", async ({ sql }) => {
  await stoppedSender(sql);
  assert.equal((await checkAlarms(sql)).length, 1);
  await ageAlarms(sql, "31 seconds");
  assert.equal((await checkAlarms(sql)).length, 1);
});

databaseTest("a poster that records waits for the checker, and then for nobody", async ({ sql, session }) => {
  await stoppedSender(sql);
  const opened = await checkAlarms(sql);
  const [checker, poster] = [await session("checker"), await session("poster")];
  await checker.begin();
  await checkAlarms(checker.sql);
  const recording = await poster.blocked((own) => recordAlarmsPosted(own, opened));
  await checker.commit();
  assert.equal(await recording.done, 1);
});

databaseTest(
  "eight checkers that post what they get post each opening and each recovery once",
  async ({ sql, pool }) => {
    const work = pool(8);
    const posts: string[] = [];
    const senders: string[] = [];
    const checkers = Array.from({ length: 8 }, (_, number) => async () => {
      for (let round = 0; round < 12; round++) {
        // half of them cause the trouble that all of them look for
        if (number < 4 && round < 3) senders.push(await stoppedSender(work));
        if (
          number < 4 && round === 6
        ) await work`update public.gateway_sessions set status = 'active' where status <> 'active'`;
        const handed = await checkAlarms(work, { settle: "0" });
        for (const { kind, subject } of handed) posts.push(`${kind} ${subject}`);
        if (handed.length > 0) await recordAlarmsPosted(work, handed);
      }
    });
    await atOnce(checkers);
    await sql`update public.gateway_sessions set status = 'active' where status <> 'active'`;
    for (let round = 0; round < 2; round++) {
      const handed = await checkAlarms(sql, { settle: "0" });
      for (const { kind, subject } of handed) posts.push(`${kind} ${subject}`);
      await recordAlarmsPosted(sql, handed);
    }
    assert.equal(senders.length, 12);
    assert.deepEqual(posts.filter((post, place) => posts.indexOf(post) !== place), [], "posted twice");
    for (const subject of senders) {
      // one that was mended before anybody looked was never an alarm
      assert.equal(posts.includes(`opened ${subject}`), posts.includes(`resolved ${subject}`), subject);
    }
  },
);
