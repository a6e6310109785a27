import assert from "node:assert/strict";
import { assertStorable } from "./assert_storable.ts";
import { eventFields } from "./event_fields.ts";

Deno.test("event fields cut long texts without leaving half a character", () => {
  for (let before = 990; before < 1_002; before++) {
    const text = "x".repeat(before) + "😀".repeat(10);
    assertStorable(eventFields.message.parse(text));
    assertStorable(eventFields.error.parse({ code: text, message: text }));
    assertStorable(eventFields.code.parse(text.slice(before - 255)));
  }
});

Deno.test("event fields take a cost as a number or a text, and nothing that is none", () => {
  for (const [given, cost] of [[0, 0], [0.0052, 0.0052], ["0.0052", 0.0052], [" 12 ", 12], [1_000_000, 1_000_000]]) {
    assert.equal(eventFields.cost.parse(given), cost);
  }
  const nonsense = [-1, "-0.0075", "1e5", "", "1,5", NaN, Infinity, 1_000_001, "9".repeat(40), true, {}, [1], null];
  for (const given of [...nonsense, undefined]) assert.equal(eventFields.cost.parse(given), null, String(given));
});

Deno.test("event fields take a currency in any case, and nothing that is none", () => {
  for (const given of ["usd", "USD", " Usd "]) assert.equal(eventFields.currency.parse(given), "USD");
  for (const given of ["", "US", "USDT", "U$D", 840, null, undefined]) {
    assert.equal(eventFields.currency.parse(given), null, String(given));
  }
});
