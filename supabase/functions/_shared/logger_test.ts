import assert from "node:assert/strict";
import { cutPhoneNumbers } from "./cut_phone_numbers.ts";
import { Logger } from "./logger.ts";

Deno.test("logger writes one JSON line per event with the fields of its request", () => {
  const lines: string[] = [];
  new Logger({ function: "f", request_id: "r" }, (line) => lines.push(line)).warn("event\nname", { count: 2 });
  assert.equal(lines.length, 1);
  const { at, ...rest } = JSON.parse(lines[0] ?? "");
  assert.ok(!Number.isNaN(Date.parse(at)));
  assert.deepEqual(rest, { level: "warn", function: "f", request_id: "r", event: "event\nname", count: 2 });
  assert.ok(!lines[0]?.includes("\n"));
});

Deno.test("logger cuts phone numbers and long texts, and leaves ids whole", () => {
  assert.equal(cutPhoneNumbers("919876543210@s.whatsapp.net"), "91…10@s.whatsapp.net");
  assert.equal(cutPhoneNumbers("to +919876543210, from 4915112345678"), "to +91…10, from 49…78");
  assert.equal(cutPhoneNumbers("919876543210-1690000000@g.us"), "91…10-16…00@g.us");
  assert.equal(cutPhoneNumbers("00000000-1111-4222-8333-123456789012"), "00000000-1111-4222-8333-123456789012");
  assert.equal(cutPhoneNumbers("HTTP 503 after 30000 ms"), "HTTP 503 after 30000 ms");
  const lines: string[] = [];
  new Logger({}, (line) => lines.push(line)).error("e", { text: "x".repeat(20_000) });
  assert.ok((lines[0]?.length ?? 0) < 1_000);
});
