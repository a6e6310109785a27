import assert from "node:assert/strict";
import { CsvError } from "./csv_error.ts";
import { csvText } from "./csv_text.ts";
import { type CsvRow, readCsv } from "./read_csv.ts";

/** The bytes in pieces of so many. */
async function* pieces(bytes: Uint8Array<ArrayBuffer>, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.slice(at, at + length);
}

async function rowsOf(file: string | Uint8Array<ArrayBuffer>, length = 7): Promise<CsvRow[]> {
  const bytes = typeof file === "string" ? new TextEncoder().encode(file) : file;
  return await Array.fromAsync(readCsv(csvText(pieces(bytes, length))));
}

const people = [
  { line: 1, cells: ["phone", "name"] },
  { line: 2, cells: ["+4915112345678", "Jürgen"] },
  { line: 3, cells: ["+4915112345679", "आशा"] },
];

Deno.test("a file reads the same with every end of line, delimiter and mark, in pieces of any length", async () => {
  const text = "phone,name\n+4915112345678,Jürgen\n+4915112345679,आशा\n";
  const spelled = [
    text,
    text.trimEnd(),
    text.replaceAll("\n", "\r\n"),
    text.replaceAll("\n", "\r"),
    text.replace("\n", "\r\n"),
    `\ufeff${text}`,
    text.replaceAll(",", ";"),
    text.replaceAll(",", "\t"),
    text.replace("phone,name", '"phone","name"'),
  ];
  for (const file of spelled) {
    for (const length of [1, 2, 3, 1000]) assert.deepEqual(await rowsOf(file, length), people, JSON.stringify(file));
  }
});

Deno.test("a file in UTF-16 is read as its mark says", async () => {
  const text = "\ufeffphone\tname\r\n+4915112345678\tJürgen\r\n+4915112345679\tआशा\r\n";
  for (const isLittleEndian of [true, false]) {
    const view = new DataView(new ArrayBuffer(text.length * 2));
    for (let at = 0; at < text.length; at++) view.setUint16(at * 2, text.charCodeAt(at), isLittleEndian);
    assert.deepEqual(await rowsOf(new Uint8Array(view.buffer), 64), people);
  }
});

Deno.test("a row begins at its own line, behind cells of several lines and blank rows", async () => {
  const file = 'phone;note\r\n+1;"two\r\nlines; and ""quotes"""\r\n\r\n;\r\n+2;x\r\n';
  assert.deepEqual(await rowsOf(file), [
    { line: 1, cells: ["phone", "note"] },
    { line: 2, cells: ["+1", 'two\nlines; and "quotes"'] },
    { line: 6, cells: ["+2", "x"] },
  ]);
});

Deno.test("a delimiter within quotes of the header does not decide", async () => {
  assert.deepEqual((await rowsOf('"a,b,c,d";phone\n1;2\n'))[1]?.cells, ["1", "2"]);
});

Deno.test("a quote that is wrong is reported with the line of its row, and the rows before it are read", async () => {
  const wrong = [
    ['phone,name\n+1,a\n+2,"b\n+3,c\n', 3, /a quote \("\) that is never closed/],
    ['phone,name\n+1,"a\n1"\n+2,"b"x\n', 4, /goes on behind a closing quote/],
    ['phone,name\n+1,a\n+2,5" screen\n', 3, /in the middle of a cell/],
    [`phone,name\n+1,a\n+2,"${"long\n".repeat(300_000)}`, 3, /never closed/],
  ] as const;
  for (const [file, line, message] of wrong) {
    const read: CsvRow[] = [];
    await assert.rejects(
      async () => {
        for await (const row of readCsv(csvText(pieces(new TextEncoder().encode(file), 65_536)))) read.push(row);
      },
      (error) => error instanceof CsvError && error.line === line && message.test(error.message),
    );
    assert.deepEqual(read[0]?.cells, ["phone", "name"]);
    assert.equal(read[1]?.cells[0], "+1");
  }
});

Deno.test("a file that is not in UTF-8 is refused with the line and what to do", async () => {
  const latin = Uint8Array.from("phone,name\n+1,J\u00fcrgen\n", (letter) => letter.charCodeAt(0));
  await assert.rejects(() => rowsOf(latin), (error) => error instanceof CsvError && /CSV UTF-8/.test(error.message));
});

Deno.test("an empty file has no rows", async () => {
  for (const file of ["", "\ufeff", "\n\n"]) assert.deepEqual(await rowsOf(file), []);
});
