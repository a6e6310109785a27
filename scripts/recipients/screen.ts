import Table from "cli-table3";
import color from "picocolors";
import { ProgressBar } from "../command/progress_bar.ts";
import type { ImportReport, Progress } from "./import_recipients.ts";

const MAX_NAMED = 20;

/** Shows how an import comes along. */
export function progressBar(): ProgressBar<Progress> {
  return new ProgressBar("{percentage}%  {stage} {rows} rows", ({ stage, rows, share }) => ({
    value: Math.floor(share * 100),
    total: 100,
    payload: { stage: stage === "checking" ? "checked" : "added", rows: rows.toLocaleString("en-US") },
  }));
}

/** What an import came to, for a person. */
export function renderText(report: ImportReport, dryRun: boolean): string {
  const { refusals, end } = report;
  const figure = (value: number) => value.toLocaleString("en-US");
  const table = new Table({
    colAligns: ["left", "right"],
    style: { head: [], border: color.isColorSupported ? ["gray"] : [], compact: true },
  });
  table.push(
    ["rows read", figure(report.read)],
    [dryRun ? "would be added" : "added", figure(report.added)],
    ["duplicates", figure(report.duplicates)],
    ["other spellings of one contact, skipped", figure(report.otherSpellings)],
    ["refused", figure(report.refused)],
  );
  const lines = [table.toString()];
  for (const { line, recipient, reason } of refusals.slice(0, MAX_NAMED)) {
    lines.push(`${color.red(`line ${line}`)}: ${recipient === "" ? "" : `${recipient.slice(0, 60)} `}${reason}`);
  }
  if (report.refused > MAX_NAMED) lines.push(`… ${figure(report.refused - MAX_NAMED)} more; --json lists them`);
  if (dryRun) lines.push("Nothing was changed.");
  if (end !== null) lines.push(color.yellow(renderEnd(report, dryRun)));
  return lines.join("\n");
}

/** What an import came to, for a program. */
export function renderJson(report: ImportReport, dryRun: boolean): string {
  return JSON.stringify({ dryRun, isComplete: report.end === null, ...report }, null, 2);
}

function renderEnd({ end }: ImportReport, dryRun: boolean): string {
  if (end === null) return "";
  const { reason, takenThroughLine, unsureThroughLine } = end;
  const sentences = [`Ended early: ${reason.replace(/\.$/, "")}.`];
  if (dryRun) return sentences.join(" ");
  sentences.push(
    takenThroughLine === 0
      ? "No row was added."
      : `The file is in through line ${takenThroughLine}, and not behind it.`,
  );
  if (unsureThroughLine !== null) {
    sentences[1] = takenThroughLine === 0 ? "" : `The file is in through line ${takenThroughLine}.`;
    sentences.push(`Whether the rows up to line ${unsureThroughLine} are in as well is not known; behind it none is.`);
  }
  sentences.push("Run it again: what is there already is not added twice.");
  return sentences.filter((sentence) => sentence !== "").join(" ");
}
