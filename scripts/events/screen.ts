import Table from "cli-table3";
import color from "picocolors";
import { ProgressBar } from "../command/progress_bar.ts";
import type { Progress, ReplayReport } from "./replay.ts";
import type { ReplayRow } from "./tally.ts";

/** Shows how a replay comes along. */
export function progressBar(): ProgressBar<Progress> {
  return new ProgressBar("{value} of {total} events", ({ tried, of }) => ({ value: tried, total: of }));
}

/** What a replay came to, for a person. */
export function renderText({ rows, refusals, isComplete }: ReplayReport, dryRun: boolean): string {
  if (rows.length === 0 && isComplete) {
    return color.green("Nothing to replay: every event of the journal found its place.");
  }
  const table = new Table({
    head: ["source", "reason", "tried", "applied", "refused", "left", "oldest"],
    colAligns: ["left", "left", "right", "right", "right", "right", "left"],
    style: { head: [], border: color.isColorSupported ? ["gray"] : [], compact: true },
  });
  for (const row of rows) {
    const { source, reason, tried, applied, refused, left, oldest } = row;
    const figures = [tried, applied, refused, left].map((figure) => figure.toLocaleString("en-US"));
    table.push([source, reason, ...figures, oldest === null ? "" : `${oldest.toISOString().slice(0, 16)}Z`]);
  }
  const { applied, left, refused } = totals(rows);
  const lines = [table.toString()];
  lines.push(
    `${dryRun ? "Would apply" : "Applied"} ${applied.toLocaleString("en-US")}, left ${left.toLocaleString("en-US")}.` +
      (dryRun ? " Nothing was changed." : ""),
  );
  if (refused > 0) {
    const named = refusals.map(({ id, sqlState }) => `${id} (${sqlState})`).join(", ");
    const more = refused > refusals.length ? ", …" : "";
    lines.push(color.red(`The database refused ${refused.toLocaleString("en-US")} with an error: ${named}${more}`));
    lines.push("Look at one: select * from private.webhook_events where id = …");
  }
  if (!isComplete) lines.push(color.yellow("Interrupted. Run it again to go on."));
  return lines.join("\n");
}

/** What a replay came to, for a program. */
export function renderJson({ rows, refusals, isComplete }: ReplayReport, dryRun: boolean): string {
  return JSON.stringify(
    {
      dryRun,
      isComplete,
      ...totals(rows),
      rows,
      refusals,
    },
    null,
    2,
  );
}

function totals(rows: readonly ReplayRow[]): Record<"tried" | "applied" | "refused" | "left", number> {
  const sum = (name: "tried" | "applied" | "refused" | "left") => rows.reduce((total, row) => total + row[name], 0);
  return { tried: sum("tried"), applied: sum("applied"), refused: sum("refused"), left: sum("left") };
}
