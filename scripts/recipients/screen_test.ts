import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import type { ImportReport } from "./import_recipients.ts";
import { renderJson, renderText } from "./screen.ts";

const report: ImportReport = {
  read: 12_345,
  added: 12_000,
  duplicates: 300,
  otherSpellings: 15,
  refused: 30,
  refusals: Array.from({ length: 30 }, (_, number) => ({ line: number + 2, recipient: "x", reason: "is wrong" })),
  end: null,
};
const text = (change: Partial<ImportReport>, dryRun = false) =>
  stripVTControlCharacters(renderText({ ...report, ...change }, dryRun));

Deno.test("the table names twenty refused rows and counts the rest, JSON lists all", () => {
  const shown = text({});
  for (const figure of ["12,345", "12,000", "300", "15", "30"]) assert.ok(shown.includes(figure), figure);
  assert.equal(shown.match(/^line \d+: x is wrong$/gm)?.length, 20);
  assert.match(shown, /10 more; --json lists them/);
  const { refusals, isComplete, read } = JSON.parse(renderJson(report, false));
  assert.deepEqual([refusals.length, isComplete, read], [30, true, 12_345]);
});

Deno.test("an import that ended early says how far it came, what is not known, and that it may be run again", () => {
  const end = { reason: "the connection was lost", takenThroughLine: 5_001, unsureThroughLine: null };
  assert.match(
    text({ end }),
    /Ended early: the connection was lost\. The file is in through line 5001, and not behind it\. Run it again/,
  );
  const unsure = text({ end: { ...end, unsureThroughLine: 10_001 } });
  assert.match(unsure, /in through line 5001\. Whether the rows up to line 10001 are in as well is not known/);
  assert.doesNotMatch(unsure, /and not behind it/);
  assert.match(text({ end: { ...end, takenThroughLine: 0 } }), /No row was added\. Run it again/);
  assert.equal(JSON.parse(renderJson({ ...report, end }, false)).isComplete, false);
});

Deno.test("a dry run says that nothing was changed", () => {
  assert.match(text({}, true), /would be added/);
  assert.match(text({}, true), /Nothing was changed/);
});
