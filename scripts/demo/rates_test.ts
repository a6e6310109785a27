import assert from "node:assert/strict";
import { rateOf } from "./rates.ts";

Deno.test("a message costs what the longest prefix of its number says", () => {
  assert.equal(rateOf("marketing", "919812345678"), 0.0118);
  assert.equal(rateOf("marketing", "551112345678"), 0.0604);
  assert.equal(rateOf("utility", "491512345678"), 0.0077);
});

Deno.test("a message of a category without a rate costs nothing", () => {
  assert.equal(rateOf("service", "919812345678"), 0);
});
