import assert from "node:assert/strict";
import { parseDailyLimit } from "./parse_daily_limit.ts";

Deno.test("daily limit is read from a tier, a number and its text", () => {
  const limits: [unknown, number][] = [
    ["TIER_50", 50],
    ["TIER_250", 250],
    ["TIER_1K", 1_000],
    ["TIER_2K", 2_000],
    ["TIER_10K", 10_000],
    ["TIER_100K", 100_000],
    ["TIER_1M", 1_000_000],
    [2_000, 2_000],
    ["2000", 2_000],
  ];
  for (const [given, limit] of limits) assert.equal(parseDailyLimit(given), limit, String(given));
});

Deno.test("daily limit is none where a business may write to as many as it likes", () => {
  for (const given of [-1, "-1", "TIER_UNLIMITED"]) assert.equal(parseDailyLimit(given), null, String(given));
});

Deno.test("daily limit is not made up from what says nothing about it", () => {
  const odd = [
    "TIER_NOT_SET",
    "TIER_",
    "TIER_0",
    "TIER_-5",
    "tier_250",
    "",
    " ",
    0,
    -2,
    1.5,
    NaN,
    Infinity,
    1e12,
    "1e3",
  ];
  for (const given of [...odd, null, undefined, true, {}, ["TIER_250"]]) {
    assert.equal(parseDailyLimit(given), undefined, String(given));
  }
});
