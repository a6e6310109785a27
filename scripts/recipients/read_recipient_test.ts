import assert from "node:assert/strict";
import { columnsOf } from "./columns.ts";
import { CsvError } from "./csv_error.ts";
import { readRecipient } from "./read_recipient.ts";

const header = (...cells: string[]) => ({ line: 1, cells });
const read = (names: readonly string[], cells: readonly string[], channel = "whatsapp") =>
  readRecipient({ line: 2, cells }, columnsOf({ line: 1, cells: names }, null), channel);

Deno.test("the recipient is found under each of its names, in any case, and the rest are variables", () => {
  for (const name of ["recipient", "Phone", " PHONE ", "group_jid", "Group_JID"]) {
    assert.deepEqual(columnsOf(header("City", name, "Member_Count", "name"), null), {
      count: 4,
      recipient: 1,
      memberCount: 2,
      variables: [{ name: "City", index: 0 }, { name: "name", index: 3 }],
      unnamed: [],
    });
  }
  assert.equal(columnsOf(header("phone", "Mobile"), "mobile").recipient, 1);
});

Deno.test("a header that leaves the recipient open, or names a variable twice, is refused with what it says", () => {
  const wrong: readonly (readonly [string[], string | null, RegExp])[] = [
    [
      ["name", "city"],
      null,
      /no column is called recipient, phone or group_jid: there are "name", "city"\. .*--column/,
    ],
    [["+4915112345678"], null, /there are "\+4915112345678"/],
    [["phone"], "mobile", /no column is called "mobile": there are "phone"/],
    [["phone", "recipient"], null, /more than one column may hold the recipients: phone and recipient/],
    [["phone", "name", "name"], null, /two columns are called "name"/],
    [["phone", "member_count", "MEMBER_COUNT"], null, /two columns are called "member_count"/],
  ];
  for (const [cells, column, message] of wrong) {
    assert.throws(
      () => columnsOf(header(...cells), column),
      (error) => error instanceof CsvError && error.line === 1 && message.test(error.message),
    );
  }
});

Deno.test("a row becomes a recipient as it is written, with its variables and members", () => {
  assert.deepEqual(read(["phone", "name", "member_count"], [" +49 151 12345678 ", " Asha ", "12"]), {
    ok: true,
    value: { recipient: "+49 151 12345678", variables: { name: " Asha " }, member_count: 12 },
  });
  assert.deepEqual(read(["group_jid", "member_count"], ["120363025246125486@g.us", ""], "whatsapp_group"), {
    ok: true,
    value: { recipient: "120363025246125486@g.us", variables: {} },
  });
  assert.deepEqual(read(["phone"], ["+4915112345678", "", " "]).ok, true, "blank cells behind the last column");
  assert.deepEqual(read(["phone", "__proto__"], ["+4915112345678", "x"]), {
    ok: true,
    value: { recipient: "+4915112345678", variables: Object.fromEntries([["__proto__", "x"]]) },
  });
});

Deno.test("the apostrophe of our export is taken off, and no other", () => {
  assert.deepEqual(read(["phone", "a", "b", "c", "d"], ["'+4915112345678", "'=1+1", "'@x", "'tis", "''-"]), {
    ok: true,
    value: { recipient: "+4915112345678", variables: { a: "=1+1", b: "@x", c: "'tis", d: "''-" } },
  });
});

Deno.test("a row that cannot be used is refused with the reason", () => {
  const wrong: readonly (readonly [string[], string, RegExp])[] = [
    [["", "Asha"], "whatsapp", /the recipient is blank/],
    [["hello", "Asha"], "whatsapp", /not a phone number; write it with its country code/],
    [["0151 12345678", "Asha"], "sms", /not a phone number/],
    [["120363025246125486@g.us", "Asha"], "whatsapp", /not a phone number/],
    [["4.91512E+12", "Asha"], "whatsapp", /a spreadsheet has shortened this number/],
    [["4,91512E+12", "Asha"], "whatsapp", /a spreadsheet has shortened this number/],
    [["+4915112345678", "Asha"], "whatsapp_group", /is not a group, such as/],
    [["+4915112345678"], "whatsapp", /has 1 columns where the header has 3/],
    [["+4915112345678", "Asha", "", "x"], "whatsapp", /has 4 columns where the header has 3/],
    [["+4915112345678", "Asha", "x"], "whatsapp", /has a value in column 3, which has no name/],
    [["+4915112345678", "A\0", ""], "whatsapp", /NUL/],
  ];
  for (const [cells, channel, reason] of wrong) {
    const found = read(["phone", "name", ""], cells.length === 2 ? [...cells, ""] : cells, channel);
    assert.ok(!found.ok, JSON.stringify(cells));
    assert.match(found.reason, reason);
    assert.equal(found.recipient, cells[0]);
  }
  for (const count of ["-1", "1.5", "many", "9999999999"]) {
    const found = read(["phone", "member_count"], ["+4915112345678", count]);
    assert.ok(!found.ok && /member_count must be a whole number/.test(found.reason), count);
  }
});
