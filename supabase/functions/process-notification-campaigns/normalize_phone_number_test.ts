import fc from "fast-check";
import assert from "node:assert/strict";
import { normalizePhoneNumber } from "./normalize_phone_number.ts";

Deno.test("phone number comes out in E.164 however it is written", () => {
  for (
    const written of [
      "+919876543210",
      "919876543210",
      "00919876543210",
      "00 91 98765 43210",
      " +91 98765-43210 ",
      "+91 (98765) 43210",
      "+91.98765.43210",
      "＋919876543210",
      "+٩١٩٨٧٦٥٤٣٢١٠",
      "\u202A+91\u00A098765\u00A043210\u202C",
      "+91 (0) 98765 43210",
      "919876543210@s.whatsapp.net",
      "919876543210:12@s.whatsapp.net",
      "919876543210@c.us",
    ]
  ) {
    assert.equal(normalizePhoneNumber(written), "+919876543210", JSON.stringify(written));
  }
});

Deno.test("phone number loses a trunk prefix only where that makes it valid", () => {
  assert.equal(normalizePhoneNumber("+44 (0)20 7946 0958"), "+442079460958");
  assert.equal(normalizePhoneNumber("+39 06 1234 5678"), "+390612345678");
  assert.equal(normalizePhoneNumber("+910000000001"), "+910000000001");
});

Deno.test("phone number that no plan assigns yet is taken when its length is possible", () => {
  for (const number of ["+15550001234", "+10000000001", "+5312345678"]) {
    assert.equal(normalizePhoneNumber(number), number);
  }
});

Deno.test("phone number of a former plan is taken, for WhatsApp still uses it", () => {
  assert.equal(normalizePhoneNumber("+52 1 55 1234 5678"), "+5215512345678");
  assert.equal(normalizePhoneNumber("5215512345678@s.whatsapp.net"), "+5215512345678");
  assert.equal(normalizePhoneNumber("22997123456"), "+22997123456");
  assert.equal(normalizePhoneNumber("+225 01 02 03 04"), "+22501020304");
});

Deno.test("phone number is refused when it cannot be one", () => {
  for (
    const written of [
      "",
      " ",
      "+",
      "00",
      "Ana",
      "09876543210",
      "+91",
      "+91987",
      "+9198765432101234",
      "+999123456789",
      "+1-800-FLOWERS",
      "call +91 98765 43210",
      "+919876543210, +919876543211",
      "120363040000000001@g.us",
      "123456789012@lid",
      "91@s.whatsapp.net",
      "919876543210@example.com",
      "a".repeat(10_000),
      "9".repeat(10_000),
    ]
  ) {
    assert.equal(normalizePhoneNumber(written), undefined, JSON.stringify(written.slice(0, 40)));
  }
});

Deno.test("phone number that was normalized stays as it is, and is plus and digits", () => {
  const anyText = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(..."+0123456789 -()") }),
    fc.bigInt({ min: 1n, max: 10n ** 16n }).map(String),
  );
  fc.assert(
    fc.property(anyText, (text) => {
      const number = normalizePhoneNumber(text);
      if (number === undefined) return;
      assert.match(number, /^\+[1-9]\d{4,14}$/);
      assert.equal(normalizePhoneNumber(number), number);
    }),
    { numRuns: 2_000 },
  );
});
