import fc from "fast-check";
import assert from "node:assert/strict";
import { assertStorable } from "../../_shared/assert_storable.ts";
import { MAX_EVENTS } from "../../_shared/max_events.ts";
import { mutationsOf, withUnknownKeys } from "../../_shared/mutations.ts";
import { payloadCorpus } from "../../_shared/payload_corpus.ts";
import { storable } from "../../_shared/storable.ts";
import { type MetaPost, readMetaPost } from "./read_meta_post.ts";

const metadata = { display_phone_number: "15550001", phone_number_id: "106" };
const contacts = [{ wa_id: "919876543210", profile: { name: "Asha" } }];
const status = { id: "wamid.1", status: "delivered", timestamp: "1750030073", recipient_id: "919876543210" };
const message = { id: "wamid.2", from: "919876543210", timestamp: "1750091045", type: "text", text: { body: "Hi" } };
const echo = { id: "wamid.3", from: "15550001", to: "919876543210", type: "text", text: { body: "Hello" } };
const preference = { wa_id: "919876543210", category: "marketing_messages", value: "stop", timestamp: 1_731_705_721 };

const change = (field: string, value: object) => ({
  field,
  value: { messaging_product: "whatsapp", metadata, ...value },
});
const post = (...changes: unknown[]) => ({
  object: "whatsapp_business_account",
  entry: [{ id: "102", time: 1_750_000_000, changes }],
});

function read(body: unknown): MetaPost {
  const result = readMetaPost(body);
  assert.ok(result.ok, JSON.stringify(body));
  assertStorable(result.value);
  return result.value;
}

/** The names of events, in order. */
function namesOf(events: unknown): string[] {
  const named: { event: string }[] = JSON.parse(JSON.stringify(events));
  return named.map(({ event }) => event);
}

Deno.test("Meta's post is read in every entry, change and element", () => {
  const messages = change("messages", { contacts, messages: [message, { ...message, id: "wamid.4" }] });
  const both = change("messages", { statuses: [status, status], messages: [message] });
  const echoes = change("smb_message_echoes", { message_echoes: [echo] });
  const preferences = change("user_preferences", { contacts, user_preferences: [preference] });
  const { receipts, messages: written, malformed } = read({
    entry: [...post(messages, both).entry, ...post(echoes, preferences).entry],
  });
  assert.deepEqual(namesOf(receipts), ["message_delivered", "message_delivered"]);
  const received = "message_received";
  assert.deepEqual(namesOf(written), [received, received, received, received, "preference_changed"]);
  const directions: { direction?: string }[] = JSON.parse(JSON.stringify(written));
  const [inbound, outbound] = ["inbound", "outbound"];
  assert.deepEqual(directions.map((each) => each.direction), [inbound, inbound, inbound, outbound, undefined]);
  assert.equal(malformed, 0);
});

Deno.test("Meta's elements that cannot be read go along for the journal, and the rest is read", () => {
  const { receipts, messages, malformed } = read(
    post(
      null,
      { field: "messages" },
      { field: "messages", value: [] },
      change("messages", { statuses: [{ status: "read" }, null, status] }),
      change("messages", { messages: [{ from: "1" }, "x", message] }),
      change("user_preferences", { user_preferences: [{}] }),
    ),
  );
  assert.deepEqual(namesOf(receipts), [...Array(5).fill("malformed"), "message_delivered"]);
  assert.deepEqual(namesOf(messages), ["malformed", "malformed", "message_received", "malformed"]);
  assert.equal(malformed, 8);
  const payload = { metadata: { phone_number_id: "106" }, statuses: [{ status: "read" }] };
  assert.deepEqual(receipts[3], { event: "malformed", reason: "id: is missing", payload });
  assert.deepEqual(namesOf(read({ entry: [null, 7, {}, { changes: {} }] }).receipts), Array(4).fill("malformed"));
});

Deno.test("Meta's element that cannot be read is kept with whose it is, but not with a crowd of contacts", () => {
  const kept = (known: unknown) => {
    const { messages } = read(post(change("messages", { contacts: known, messages: [{ from: "919876543210" }] })));
    const [{ payload } = { payload: null }]: { payload: unknown }[] = JSON.parse(JSON.stringify(messages));
    return payload;
  };
  const alone = { metadata: { phone_number_id: "106" }, messages: [{ from: "919876543210" }] };
  assert.deepEqual(kept(contacts), { ...alone, contacts });
  assert.deepEqual(kept(Array(11).fill(contacts[0])), alone);
  assert.deepEqual(kept(undefined), alone);
});

Deno.test("Meta's changes that are about something else go whole to the journal, with their account and time", () => {
  const value = { event: "ACCOUNT_VIOLATION", violation_info: { violation_type: "ALCOHOL" } };
  const { receipts, messages, signals } = read(post({ field: "account_update", value }));
  assert.deepEqual(receipts, [{ event: "meta account_update", entry: "102", time: 1_750_000_000, value }]);
  assert.deepEqual([messages, signals], [[], []]);
  assert.deepEqual(namesOf(read(post({ value })).receipts), ["meta change"]);
  assert.deepEqual(namesOf(read(post({ field: "messages", value: {} })).receipts), ["meta messages"]);
});

Deno.test("Meta's signals about senders are read beside whatever else the post holds", () => {
  const restriction = { field: "account_update", value: { event: "ACCOUNT_RESTRICTION" } };
  const { receipts, messages, signals, malformed } = read(
    post(change("messages", { contacts, statuses: [status], messages: [message] }), restriction),
  );
  assert.deepEqual(namesOf(receipts), ["message_delivered"]);
  assert.deepEqual(namesOf(messages), ["message_received"]);
  assert.deepEqual(namesOf(signals), ["sender_restricted"]);
  assert.equal(malformed, 0);
});

Deno.test("Meta's signal that names no account is kept as malformed", () => {
  const { signals, malformed } = read({
    entry: [{ changes: [{ field: "account_update", value: { event: "ACCOUNT_DELETED" } }] }],
  });
  const payload = { field: "account_update", value: { event: "ACCOUNT_DELETED" } };
  assert.deepEqual(signals, [{
    event: "malformed",
    reason: "entry.id: is missing, and so is the number",
    payload,
  }]);
  assert.equal(malformed, 1);
});

Deno.test("Meta's errors of the account are journaled beside what else a value holds", () => {
  const errors = [{ code: 130_429, title: "Rate limit hit" }];
  assert.deepEqual(namesOf(read(post(change("messages", { errors }))).receipts), ["meta messages errors"]);
  const { receipts, messages } = read(post(change("messages", { contacts, messages: [message], errors })));
  const rest = { messaging_product: "whatsapp", metadata, contacts, errors };
  assert.deepEqual(receipts, [{ event: "meta messages errors", entry: "102", time: 1_750_000_000, value: rest }]);
  assert.deepEqual(namesOf(messages), ["message_received"]);
  // a gateway that speaks like Meta posts empty arrays beside what it says
  const quiet = read(post(change("messages", { statuses: [status], messages: [], errors: [] })));
  assert.deepEqual([namesOf(quiet.receipts), quiet.messages], [["message_delivered"], []]);
});

Deno.test("Meta's history is journaled and not taken for something just said", () => {
  const threads = [{ id: "919876543210", messages: [message] }];
  for (const value of [{ history: [{ threads }] }, { messages: [message] }, { statuses: [status] }]) {
    const { receipts, messages } = read(post(change("history", value)));
    assert.deepEqual([namesOf(receipts), messages], [["meta history"], []]);
  }
});

Deno.test("Meta's value with something else where an array should be is journaled", () => {
  for (const name of ["statuses", "messages", "message_echoes", "user_preferences"]) {
    for (const odd of [{ id: "x" }, "x", 7, true]) {
      const { receipts, messages } = read(
        post(change("messages", { [name]: odd, statuses: name === "statuses" ? odd : [status] })),
      );
      assert.ok(namesOf(receipts).includes("meta messages"), `${name}: ${JSON.stringify(odd)}`);
      assert.deepEqual(messages, []);
    }
  }
});

Deno.test("Meta's post is refused with the field when it is none of Meta's", () => {
  const receipt = { event: "message_read", messageId: "m" };
  for (const body of [null, 7, "x", [], [post()], {}, { entry: null }, { entry: {} }, receipt]) {
    const result = readMetaPost(body);
    assert.ok(!result.ok);
    assert.equal(result.failure.code, "malformed_event");
    assert.match(result.failure.detail ?? "", /^entry: /);
  }
  assert.deepEqual(read({ entry: [] }), { receipts: [], messages: [], signals: [], malformed: 0 });
});

Deno.test("Meta's post of more events than any should have is refused before all are read", () => {
  const full = post(change("messages", { statuses: Array(MAX_EVENTS).fill(status) }));
  assert.equal(read(full).receipts.length, MAX_EVENTS);
  let reads = 0;
  const counted = new Proxy(status, {
    get: (target, name) => {
      if (name === "status") reads++;
      return Reflect.get(target, name);
    },
  });
  const result = readMetaPost(post(change("messages", { statuses: Array(MAX_EVENTS * 2).fill(counted) })));
  assert.equal(result.ok ? "" : result.failure.code, "payload_too_large");
  assert.ok(reads < MAX_EVENTS * 4);
});

Deno.test("Meta's post is read whatever it holds: nothing is thrown, all is storable, and no known element is lost", () => {
  const odd = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>("\0", "\ud800", null, {}, [], "x".repeat(300)));
  const some = <Value>(each: fc.Arbitrary<Value>) => fc.array(each, { maxLength: 3 });
  const one = (known: object) => {
    const key = fc.constantFrom(...Object.keys(known), "errors", "pricing", "recipient_type", "context", "type");
    const changed = fc.dictionary(key, odd).map((changes) => ({ ...known, ...changes }));
    return fc.oneof(fc.constant<unknown>(known), changed, odd);
  };
  const value = fc.record({
    metadata: fc.oneof(fc.constant<unknown>(metadata), odd),
    contacts: fc.oneof(fc.constant<unknown>(contacts), some(one(contacts[0] ?? {}))),
    statuses: some(one(status)),
    messages: some(one(message)),
    message_echoes: some(one(echo)),
    user_preferences: some(one(preference)),
    errors: some(odd),
    other: odd,
  }, { requiredKeys: [] });
  const field = fc.constantFrom("messages", "account_update", "calls");
  const body = some(some(fc.record({ field, value }))).map((entries) =>
    // as the body would come out of the reader
    storable({ entry: entries.map((changes) => ({ id: "102", changes })) })
  );
  fc.assert(
    fc.property(body, (given) => {
      const { receipts, messages, malformed } = read(given);
      const { entry }: { entry: { changes: { value: Record<string, unknown[]> }[] }[] } = JSON.parse(
        JSON.stringify(given),
      );
      const values = entry.flatMap(({ changes }) => changes).map((each) => each.value);
      const count = (name: string) => values.reduce((sum, each) => sum + (each[name]?.length ?? 0), 0);
      assert.equal(messages.length, count("messages") + count("message_echoes") + count("user_preferences"));
      assert.ok(receipts.length >= count("statuses"));
      assert.equal(namesOf([...receipts, ...messages]).filter((name) => name === "malformed").length, malformed);
    }),
    { numRuns: 500 },
  );
});

const corpus = payloadCorpus("meta");

Deno.test({
  name: "Meta's payloads of the corpus are read without a loss, as they are and with every part changed",
  ignore: corpus.length === 0,
  fn() {
    let mutations = 0;
    for (const { name, text } of corpus) {
      const body: unknown = JSON.parse(text);
      assert.equal(read(body).malformed, 0, name);
      read(storable(withUnknownKeys(body)));
      for (const mutation of mutationsOf(body)) {
        mutations++;
        const result = readMetaPost(storable(mutation));
        if (result.ok) assertStorable(result.value);
        else assert.equal(result.failure.code, "malformed_event", name);
      }
    }
    assert.ok(mutations > 10_000);
  },
});
