import assert from "node:assert/strict";
import { assertStorable } from "../../_shared/assert_storable.ts";
import { mutationsOf } from "../../_shared/mutations.ts";
import { payloadCorpus } from "../../_shared/payload_corpus.ts";
import { storable } from "../../_shared/storable.ts";
import { parseMetaSignal } from "./parse_meta_signal.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What is read from a change of the account 102. */
function read(field: string, value: Fields, entry: Fields = { id: "102", time: 1_641_848_059 }) {
  const parsed = parseMetaSignal({ field, value }, entry);
  if (parsed === undefined) return undefined;
  assertStorable(parsed);
  const signal: Record<string, unknown> = JSON.parse(JSON.stringify(parsed.ok ? parsed.event : parsed));
  return signal;
}

const restriction = (...types: unknown[]) => ({
  event: "ACCOUNT_RESTRICTION",
  restriction_info: types.map((restriction_type) => ({ restriction_type, expiration: 1_641_934_459 })),
});

Deno.test("Meta's signal names its account, when it was said, why, and all that Meta said", () => {
  const value = {
    event: "ACCOUNT_RESTRICTION",
    restriction_info: [
      { restriction_type: "RESTRICTED_ADD_PHONE_NUMBER_ACTION", expiration: 1_641_934_459 },
      {
        restriction_type: "RESTRICTED_BIZ_INITIATED_MESSAGING",
        expiration: 1_641_934_459,
        remediation: "Review your messaging practices",
      },
    ],
  };
  assert.deepEqual(read("account_update", value), {
    event: "sender_restricted",
    cause: "restriction",
    reason:
      "Meta: ACCOUNT_RESTRICTION, RESTRICTED_BIZ_INITIATED_MESSAGING until 2022-01-11T20:54Z (Review your messaging practices)",
    accountId: "102",
    displayPhoneNumber: null,
    timestamp: 1_641_848_059,
    payload: { field: "account_update", entry: "102", value },
  });
});

Deno.test("Meta's restriction stops a sender unless all of it is about something else than messages", () => {
  const stops = [
    ["RESTRICTED_BIZ_INITIATED_MESSAGING"],
    ["RESTRICTED_CUSTOMER_INITIATED_MESSAGING"],
    ["RESTRICTED_ADD_PHONE_NUMBER_ACTION", "RESTRICTED_BIZ_INITIATED_MESSAGING"],
    ["A_RESTRICTION_OF_2030"],
    [7],
    [],
  ];
  for (const types of stops) {
    assert.equal(read("account_update", restriction(...types))?.event, "sender_restricted", types.join());
  }
  assert.equal(read("account_update", { event: "ACCOUNT_RESTRICTION" })?.event, "sender_restricted");
  const harmless = [
    "RESTRICTED_ADD_PHONE_NUMBER_ACTION",
    "RESTRICTION_ON_ADD_PHONE_NUMBER_ACTION",
    "RESTRICTED_USER_INITIATED_CALLING",
    "RESTRICTED_UTILITY_TEMPLATES",
  ];
  for (const type of harmless) assert.equal(read("account_update", restriction(type)), undefined, type);
  assert.equal(read("account_update", restriction(...harmless)), undefined);
});

Deno.test("Meta's restriction may end at a time, at a text, or say nothing of its end", () => {
  const reasonOf = (expiration: unknown) => {
    const info = { restriction_type: "X", expiration };
    return read("account_update", { event: "ACCOUNT_RESTRICTION", restriction_info: [info] })?.reason;
  };
  assert.equal(reasonOf("1641934459"), "Meta: ACCOUNT_RESTRICTION, X until 2022-01-11T20:54Z");
  assert.equal(reasonOf("2026-04-19T13:59:20+0000"), "Meta: ACCOUNT_RESTRICTION, X until 2026-04-19T13:59:20+0000");
  for (const none of [undefined, null, {}]) assert.equal(reasonOf(none), "Meta: ACCOUNT_RESTRICTION, X");
});

Deno.test("Meta's ban stops the account, also one that is only scheduled, and reinstatement lifts it", () => {
  const eventOf = (waba_ban_state: unknown) =>
    read("account_update", { event: "DISABLED_UPDATE", ban_info: { waba_ban_state, waba_ban_date: "May 1, 2026" } });
  for (const state of ["DISABLE", "SCHEDULE_FOR_DISABLE", "SOMETHING_NEW", ["DISABLE", "REINSTATE"], [], null]) {
    assert.equal(eventOf(state)?.event, "sender_restricted", String(state));
  }
  for (const state of ["REINSTATE", ["REINSTATE"]]) {
    const signal = eventOf(state);
    assert.deepEqual([signal?.event, signal?.cause], ["sender_restored", "ban"]);
  }
  assert.equal(read("account_update", { event: "DISABLED_UPDATE" })?.event, "sender_restricted");
});

Deno.test("Meta's account that is gone is stopped for good, one that is offboarded until it is reconnected", () => {
  const meaningOf = (event: string) => {
    const signal = read("account_update", { event });
    return [signal?.event, signal?.cause];
  };
  assert.deepEqual(meaningOf("ACCOUNT_DELETED"), ["sender_restricted", "deletion"]);
  assert.deepEqual(meaningOf("ACCOUNT_OFFBOARDED"), ["sender_restricted", "connection"]);
  assert.deepEqual(meaningOf("ACCOUNT_RECONNECTED"), ["sender_restored", "connection"]);
});

Deno.test("Meta's limit of a number is that number's alone, that of a business is its account's", () => {
  const value = {
    display_phone_number: "15550783881",
    event: "DOWNGRADE",
    old_limit: "TIER_10K",
    current_limit: "TIER_1K",
  };
  const { payload: _payload, ...signal } = read("phone_number_quality_update", value) ?? {};
  assert.deepEqual(signal, {
    event: "sender_limited",
    cause: "limit",
    reason: "Meta: DOWNGRADE, TIER_1K",
    dailyLimit: 1_000,
    accountId: null,
    displayPhoneNumber: "15550783881",
    timestamp: 1_641_848_059,
  });
  const newer = { ...value, current_limit: "TIER_UNLIMITED", max_daily_conversations_per_business: "TIER_2K" };
  assert.equal(read("phone_number_quality_update", newer)?.dailyLimit, 2_000);
  for (
    const [name, given, dailyLimit] of [
      ["max_daily_conversations_per_business", 2_000, 2_000],
      ["max_daily_conversations_per_business", -1, null],
      ["max_daily_conversation_per_phone", "250", 250],
    ]
  ) {
    const business = read("business_capability_update", { [String(name)]: given, max_phone_numbers_per_waba: 25 });
    assert.deepEqual([business?.dailyLimit, business?.accountId], [dailyLimit, "102"]);
  }
});

Deno.test("Meta's older posts name the number of a restricted account, and both count", () => {
  const signal = read("account_update", { ...restriction("X"), phone_number: "16505551111" });
  assert.deepEqual([signal?.accountId, signal?.displayPhoneNumber], ["102", "16505551111"]);
});

Deno.test("Meta's warnings, and what is about something else, are no signals", () => {
  const others: [string, Fields][] = [
    ["account_update", { event: "ACCOUNT_VIOLATION", violation_info: { violation_type: "SCAM" } }],
    ["account_update", { event: "PARTNER_ADDED", waba_info: { waba_id: "1" } }],
    ["account_update", {}],
    ["phone_number_quality_update", { display_phone_number: "1555", event: "FLAGGED" }],
    ["phone_number_quality_update", {
      display_phone_number: "1555",
      event: "ONBOARDING",
      current_limit: "TIER_NOT_SET",
    }],
    ["business_capability_update", { max_phone_numbers_per_waba: 25 }],
    ["account_alerts", { entity_type: "BUSINESS", alert_info: { alert_severity: "CRITICAL" } }],
    ["security", { display_phone_number: "1555", event: "PIN_CHANGED" }],
    ["messages", { event: "ACCOUNT_RESTRICTION" }],
  ];
  for (const [field, value] of others) assert.equal(read(field, value), undefined, field);
});

Deno.test("Meta's signal that names neither account nor number cannot be read", () => {
  assert.deepEqual(read("account_update", restriction("X"), {}), {
    ok: false,
    field: "entry.id",
    reason: "is missing, and so is the number",
  });
  assert.equal(read("account_update", restriction("X"), { id: 102 })?.accountId, "102");
  assert.equal(read("phone_number_quality_update", { event: "UPGRADE", current_limit: "TIER_1K" })?.ok, false);
});

Deno.test("Meta's signal is read whatever its parts are: nothing is thrown, all is storable", () => {
  const value = {
    ...restriction("RESTRICTED_BIZ_INITIATED_MESSAGING"),
    phone_number: "1",
    ban_info: { waba_ban_state: ["DISABLE"], waba_ban_date: "x" },
  };
  for (const event of ["ACCOUNT_RESTRICTION", "DISABLED_UPDATE"]) {
    for (const mutation of mutationsOf({ ...value, event })) {
      const odd: Fields = { value: storable(mutation), field: "account_update" };
      assertStorable(parseMetaSignal(odd, { id: "102", time: 1 }) ?? null);
    }
  }
});

const corpus = payloadCorpus("meta");

Deno.test({
  name: "Meta's signals of the corpus are read, and nothing else is taken for one",
  ignore: corpus.length === 0,
  fn() {
    const expected: Readonly<Record<string, string>> = {
      ACCOUNT_DELETED: "sender_restricted",
      ACCOUNT_RESTRICTION: "sender_restricted",
      DISABLED_UPDATE: "sender_restricted",
      ACCOUNT_OFFBOARDED: "sender_restricted",
      ACCOUNT_RECONNECTED: "sender_restored",
      FLAGGED: "sender_limited",
      THROUGHPUT_UPGRADE: "sender_limited",
    };
    let signals = 0;
    for (const { name, text } of corpus) {
      const body: { entry?: (Fields & { changes?: { field?: string; value?: Fields }[] })[] } = JSON.parse(text);
      for (const entry of body.entry ?? []) {
        for (const { field, value } of entry.changes ?? []) {
          const signal = field === undefined || value === undefined ? undefined : read(field, value, entry);
          const capability = field === "business_capability_update" ? "sender_limited" : undefined;
          assert.equal(
            signal?.event,
            field === "messages" ? undefined : expected[String(value?.event)] ?? capability,
            name,
          );
          if (signal !== undefined) signals++;
        }
      }
    }
    assert.ok(signals >= 10, `${signals} signals`);
  },
});
