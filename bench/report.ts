import Table from "cli-table3";
import pc from "picocolors";
import type { Row } from "./measurement.ts";

/** The rows for programs; three decimals are more than any of them is worth. */
export function renderJson(rows: readonly Row[]): string {
  return JSON.stringify(rows, (_, value) => typeof value === "number" ? Math.round(value * 1000) / 1000 : value, 2);
}

/** The rows as a table for people: what is measured, how it came out, and from which figures. */
export function renderTable(rows: readonly Row[]): string {
  const table = new Table({
    head: ["ratio", "goal", "", "measured", "figures"].map((title) => pc.bold(title)),
    colAligns: ["right", "right", "left", "left", "left"],
    colWidths: [8, 7, 10, 40, 52],
    wordWrap: true,
    style: { head: [], border: pc.isColorSupported ? ["gray"] : [] },
  });
  for (const { name, ratio, goal, figures } of rows) {
    table.push([
      ratio === null ? "" : pc.bold(ratio.toFixed(2)),
      goal === null ? "" : goal.toFixed(1),
      verdict(ratio, goal),
      name,
      Object.entries(figures).map(([figure, value]) => `${figure}: ${render(value)}`).join("\n"),
    ]);
  }
  return table.toString();
}

function verdict(ratio: number | null, goal: number | null): string {
  if (ratio === null || goal === null) return pc.dim("reported");
  return ratio >= goal ? pc.green("reached") : pc.red("missed");
}

function render(value: number | string): string {
  if (typeof value === "string") return value;
  return value < 10 && !Number.isInteger(value) ? value.toFixed(2) : Math.round(value).toLocaleString("en-US");
}
