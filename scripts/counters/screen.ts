import Table from "cli-table3";
import color from "picocolors";
import { ProgressBar } from "../command/progress_bar.ts";
import type { Progress } from "./recount.ts";
import type { Discrepancy, Report } from "./report.ts";

const MAX_ROWS = 60;
/** Recipients that are named of each campaign, so that one does not hide the others. */
const MAX_RECIPIENT_ROWS = 5;
const MAX_NAME = 32;

/** Shows how a recount comes along. */
export function progressBar(): ProgressBar<Progress> {
  return new ProgressBar("{value} of {total} campaigns, {differing} counters differ", ({ done, of, differing }) => ({
    value: done,
    total: of,
    payload: { differing },
  }));
}

/** What a recount came to, for a person. */
export function renderText({ command, campaigns, discrepancies, isComplete }: Report): string {
  const lines = [];
  if (discrepancies.length > 0) lines.push(renderTable(discrepancies));
  const left = discrepancies.filter(({ isMended }) => !isMended);
  const mended = discrepancies.filter(({ isMended }) => isMended);
  if (mended.length > 0) lines.push(color.green(`Mended ${said(mended)}.`));
  if (left.length > 0 && command === "check") {
    lines.push(color.red(`${said(left)} ${left.length === 1 ? "differs" : "differ"}.`));
    lines.push("Mend what differs: npx -y deno task counters:repair");
  } else if (left.length > 0) {
    lines.push(
      color.red(`${said(left)} still ${left.length === 1 ? "differs" : "differ"}. Somebody writes counts by hand?`),
    );
  }
  if (discrepancies.length === 0) {
    lines.push(color.green(`Every counter of ${count(campaigns, "campaign")} equals its rows.`));
  }
  if (!isComplete) lines.push(color.yellow(`Interrupted after ${count(campaigns, "campaign")}. Run it again for all.`));
  return lines.join("\n");
}

/** What a recount came to, for a program. */
export function renderJson(report: Report): string {
  return JSON.stringify(report, null, 2);
}

function renderTable(discrepancies: readonly Discrepancy[]): string {
  const table = new Table({
    head: ["campaign", "whose", "counter", "kept", "recounted", "difference"],
    colAligns: ["left", "left", "left", "right", "right", "right"],
    style: { head: [], border: color.isColorSupported ? ["gray"] : [], compact: true },
  });
  const byCampaign = Map.groupBy(discrepancies, ({ campaignId }) => campaignId);
  let shown = 0;
  for (const [campaignId, rows] of byCampaign) {
    if (shown >= MAX_ROWS) break;
    const own = rows.filter(({ recipientId }) => recipientId === null);
    const named = [...own, ...rows.filter(({ recipientId }) => recipientId !== null).slice(0, MAX_RECIPIENT_ROWS)];
    for (const [place, { campaign, recipientId, counter, stored, actual, difference }] of named.entries()) {
      table.push([
        place === 0 ? `${shortened(campaign)}\n${color.dim(campaignId)}` : "",
        recipientId ?? "campaign",
        counter,
        number(stored),
        number(actual),
        `${difference > 0 ? "+" : ""}${number(difference)}`,
      ]);
    }
    if (named.length < rows.length) {
      table.push(["", `… and ${number(rows.length - named.length)} more`, "", "", "", ""]);
    }
    shown += named.length;
    byCampaign.delete(campaignId);
  }
  if (byCampaign.size === 0) return table.toString();
  const more = [...byCampaign.values()].reduce((sum, { length }) => sum + length, 0);
  return `${table.toString()}\n… and ${number(more)} more of ${
    count(byCampaign.size, "campaign")
  }; --json lists them all`;
}

function said(discrepancies: readonly Discrepancy[]): string {
  const campaigns = new Set(discrepancies.map(({ campaignId }) => campaignId)).size;
  return `${count(discrepancies.length, "counter")} of ${count(campaigns, "campaign")}`;
}

function count(things: number, name: string): string {
  return `${number(things)} ${name}${things === 1 ? "" : "s"}`;
}

function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 6 });
}

/** A name as a person may have written it, on one line, without what would steer the terminal. */
function shortened(name: string): string {
  const line = name.replaceAll(/\p{C}+/gu, " ").trim() || "(no name)";
  const letters = [...line];
  return letters.length > MAX_NAME ? `${letters.slice(0, MAX_NAME - 1).join("")}…` : line;
}
