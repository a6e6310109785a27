import fc from "fast-check";
import assert from "node:assert/strict";
import { databaseTest, recordReceipts, recordSendCallback, type Sql } from "../harness/mod.ts";
import { propertyRuns, propertySeed } from "./settings.ts";

const VALUES = 3_000;
const YEAR_2286 = 9_999_999_999;

/** What jsonb can hold: the functions clean the rest away. */
const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => !value.includes("\0"));
const user = fc.stringMatching(/^[0-9a-zA-Z.+-]{1,20}$/);
const domain = fc.constantFrom("s.whatsapp.net", "lid", "g.us", "hosted");

async function canonical(sql: Sql, readers: readonly (string | null)[]): Promise<string[]> {
  const rows = await sql<{ reader: string }[]>`
    select private.canonical_reader(u.reader) as reader
    from jsonb_array_elements_text(${JSON.stringify(readers)}::text::jsonb) with ordinality as u (reader, place)
    order by u.place
  `;
  return rows.map(({ reader }) => reader);
}

/** Milliseconds since 1970, as read from what providers write. */
async function times(sql: Sql, written: readonly string[]): Promise<number[]> {
  const rows = await sql<{ ms: number }[]>`
    select round(extract(epoch from private.event_time(u.time)) * 1000) as ms
    from jsonb_array_elements_text(${JSON.stringify(written)}::text::jsonb) with ordinality as u (time, place)
    order by u.place
  `;
  return rows.map(({ ms }) => ms);
}

function sample<T>(arbitrary: fc.Arbitrary<T>, seed: number): T[] {
  return fc.sample(arbitrary, { seed, numRuns: propertyRuns(VALUES) });
}

databaseTest("a reader is one reader, whatever device and agent reported it", async ({ sql }) => {
  const seed = propertySeed();
  const number = fc.nat({ max: 999 });
  const readers = sample(fc.record({ user, domain, device: number, agent: number }), seed);
  const plain = readers.map((each) => `${each.user}@${each.domain}`);
  for (
    const spelled of [
      plain,
      readers.map((each) => `${each.user}:${each.device}@${each.domain}`),
      readers.map((each) => `${each.user}_${each.agent}:${each.device}@${each.domain}`),
      plain.map((each) => ` ${each} `),
    ]
  ) {
    assert.deepEqual(await canonical(sql, spelled), plain, `FAST_CHECK_SEED=${seed}`);
  }
  const old = readers.map((each) => `${each.user}@c.us`);
  assert.deepEqual(await canonical(sql, old), readers.map((each) => `${each.user}@s.whatsapp.net`));
  assert.deepEqual(await canonical(sql, [null]), [""]);
});

databaseTest("any text is a reader, and its canonical form is final", async ({ sql }) => {
  const seed = propertySeed();
  const once = await canonical(sql, sample(fc.oneof(text, fc.stringMatching(/^[\d:_@. a-c]{0,20}$/)), seed));
  assert.deepEqual(await canonical(sql, once), once, `FAST_CHECK_SEED=${seed}`);
});

databaseTest("seconds, milliseconds and ISO 8601 are read as the moment they mean", async ({ sql }) => {
  const seed = propertySeed();
  const seconds = sample(fc.integer({ min: 0, max: YEAR_2286 }), seed);
  assert.deepEqual(
    await times(sql, seconds.map(String)),
    seconds.map((each) => each * 1000),
    `FAST_CHECK_SEED=${seed}`,
  );
  const moments = sample(fc.integer({ min: 10_000_000_000, max: YEAR_2286 * 1000 }), seed);
  assert.deepEqual(await times(sql, moments.map(String)), moments, `FAST_CHECK_SEED=${seed}`);
  const written = moments.map((each) => new Date(each).toISOString());
  assert.deepEqual(await times(sql, written), moments, `FAST_CHECK_SEED=${seed}`);
});

databaseTest("any text is a time: what cannot be read is now", async ({ sql }) => {
  const seed = propertySeed();
  const garbage = sample(
    fc.oneof(
      text,
      fc.stringMatching(/^[\d.+:TZ-]{0,30}$/),
      fc.stringMatching(/^\d{4}-\d\d-\d\d[ T]?[\d:.+Z-]{0,20}$/),
      fc.stringMatching(/^\d{11,30}$/),
      fc.constantFrom(
        "",
        "NaN",
        "infinity",
        "-infinity",
        "epoch",
        "tomorrow",
        "bananas",
        "-1",
        "1e999",
        "0x10",
        "2026-02-30",
      ),
    ),
    seed,
  );
  const read = await times(sql, garbage);
  assert.ok(read.every(Number.isFinite), `FAST_CHECK_SEED=${seed}`);
  const unreadable = ["bananas", "", "infinity", "2026-02-30", "99999999999999999999"];
  const now = Date.now();
  for (const [index, ms] of (await times(sql, unreadable)).entries()) {
    assert.ok(Math.abs(ms - now) < 60_000, `"${unreadable[index]}" was read as ${new Date(ms).toISOString()}`);
  }
});

/** Elements as the functions hand them over: objects whose fields may hold anything. */
const oddField = fc.oneof(
  text,
  fc.constant(null),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.dictionary(text, text, { maxKeys: 2 }),
);
const oddEvent = fc.record({
  event: fc.oneof(
    fc.constantFrom("message_delivered", "message_read", "message_sent", "message_failed", "malformed", "surprise"),
    oddField,
  ),
  messageId: oddField,
  reader: oddField,
  sessionId: oddField,
  groupJid: oddField,
  timestamp: oddField,
  clientMessageId: oddField,
  error: oddField,
}, { requiredKeys: [] });

databaseTest("no batch of odd events raises, and each is accounted for", async ({ sql }) => {
  const seed = propertySeed();
  const batches = fc.sample(fc.array(oddEvent, { minLength: 1, maxLength: 20 }), { seed, numRuns: 150 });
  for (const [index, batch] of batches.entries()) {
    const good = { event: "message_read", messageId: `good ${index}`, reader: "somebody", timestamp: 1_790_000_000 };
    const repeat = `FAST_CHECK_SEED=${seed}, batch ${index}: ${JSON.stringify(batch)}`;
    const receipts = await recordReceipts(sql, [...batch, good]).catch((error: unknown) =>
      assert.fail(`${error}; ${repeat}`)
    );
    const { recorded, duplicates, parked, journaled } = receipts;
    assert.equal(recorded + duplicates + parked + journaled, batch.length + 1, repeat);
    const callbacks = await recordSendCallback(sql, batch).catch((error: unknown) =>
      assert.fail(`${error}; ${repeat}`)
    );
    assert.equal(callbacks.unmatched + callbacks.journaled, batch.length, repeat);
  }
  const [row] = await sql<{ count: number }[]>`
    select count(*) as count from public.message_receipts where message_id like 'good %' and read_at is not null
  `;
  assert.equal(row?.count, batches.length);
});
