// @ts-types="npm:@types/cli-progress@3.11.6"
import cliProgress from "cli-progress";
import Table from "cli-table3";
import pc from "picocolors";
import type { SimulatorSummary } from "../../local/simulator/record.ts";
import { FAULT_NAMES } from "../../local/simulator/fault_names.ts";
import type { Stats } from "./backend.ts";
import type { Comparison } from "./compare.ts";

const LINE_EVERY_MS = 3_000;
const DIFFERENCES_SHOWN = 20;
const encoder = new TextEncoder();

/** Writes one line to the terminal, or wherever the output goes. */
export function say(line = ""): void {
  Deno.stdout.writeSync(encoder.encode(`${line}\n`));
}

/** Writes that a step is done, and how long it took. */
export function sayDone(step: string, sinceMs: number): void {
  say(`  ${pc.green("✓")} ${step} ${pc.dim(`(${seconds(performance.now() - sinceMs)})`)}`);
}

/** What is known of the campaigns at one moment. */
export interface Moment {
  readonly stats: { readonly groups: Stats; readonly whatsapp: Stats; readonly sms: Stats };
  readonly summary: SimulatorSummary;
  readonly kills: number;
}

/** Shows how the campaigns come along: bars on a terminal, now and then a line elsewhere. */
export class Progress {
  readonly #beganAt = performance.now();
  readonly #bars: Bars | null;
  #nextLineAt = 0;

  constructor() {
    this.#bars = Deno.stderr.isTerminal() ? new Bars() : null; // where cli-progress draws
  }

  show(moment: Moment): void {
    if (this.#bars !== null) return this.#bars.show(moment);
    const now = performance.now();
    if (now < this.#nextLineAt) return;
    this.#nextLineAt = now + LINE_EVERY_MS;
    this.#sayLine(moment);
  }

  /** Shows the last moment, if there is one to show, and leaves the screen in order. */
  end(moment: Moment | null): void {
    if (this.#bars !== null) {
      if (moment !== null) this.#bars.show(moment);
      this.#bars.stop();
    } else if (moment !== null) {
      this.#sayLine(moment);
    }
  }

  #sayLine({ stats, summary, kills }: Moment): void {
    const after = seconds(performance.now() - this.#beganAt).padStart(7);
    const part = ({ sent_count, total_count }: Stats) => `${thousands(sent_count)} of ${thousands(total_count)}`;
    const delivered = sumOf(stats, "delivered_count");
    say(
      `  ${after}  sent: groups ${part(stats.groups)}, WhatsApp ${part(stats.whatsapp)}, SMS ${part(stats.sms)}; ` +
        `${thousands(delivered)} delivered; ${thousands(faultCount(summary, kills))} faults`,
    );
  }
}

class Bars {
  readonly #all = new cliProgress.MultiBar({
    format: `  {name} ${pc.green("{bar}")} {figure}`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 30,
    hideCursor: true,
    clearOnComplete: false,
    linewrap: false,
    autopadding: false,
  });
  readonly #groups = this.#all.create(1, 0, { name: "groups  ", figure: "" });
  readonly #whatsapp = this.#all.create(1, 0, { name: "WhatsApp", figure: "" });
  readonly #sms = this.#all.create(1, 0, { name: "SMS     ", figure: "" });
  readonly #rest = this.#all.create(1, 0, { name: "", figure: "" }, { format: "  {figure}" });

  show({ stats, summary, kills }: Moment): void {
    set(this.#groups, stats.groups);
    set(this.#whatsapp, stats.whatsapp);
    set(this.#sms, stats.sms);
    const inbound = summary.cloudApi.totals.inbound + summary.sms.totals.inbound;
    const killed = kills === 0 ? "" : pc.yellow(`   processor killed ${kills === 1 ? "once" : `${kills} times`}`);
    const figure = `${thousands(inbound)} messages came in   ${
      thousands(faultCount(summary, kills))
    } faults injected${killed}`;
    this.#rest.update(0, { figure });
    this.#all.update();
  }

  stop(): void {
    this.#all.stop();
  }
}

function set(bar: cliProgress.SingleBar, stats: Stats): void {
  const settled = stats.sent_count + stats.failed_count + stats.skipped_count;
  bar.setTotal(Math.max(stats.total_count, 1));
  bar.update(settled, {
    figure: `${thousands(settled)} of ${thousands(stats.total_count)}` +
      pc.dim(`, ${thousands(stats.delivered_count)} delivered`) +
      pc.dim(stats.read_count === 0 ? "" : `, ${thousands(stats.read_count)} read`),
  });
}

/** Prints each fault and how often it was injected, by gateway. */
export function sayFaults({ faults, cloudApi, sms }: SimulatorSummary, kills: number): void {
  const table = new Table({
    head: head("fault injected", "groups", "WhatsApp", "SMS"),
    colAligns: ["left", "right", "right", "right"],
    style: plain,
  });
  for (const name of FAULT_NAMES) {
    const times = [faults[name], cloudApi.faults[name], sms.faults[name]];
    if (times.some((each) => each !== undefined)) table.push([name, ...times.map(orBlank)]);
  }
  table.push(["processor killed", { colSpan: 3, content: thousands(kills), hAlign: "center" }]);
  sayTable(table);
}

/** Prints every counter of the three campaigns, each from both sides. */
export function sayCounters(comparisons: readonly (readonly [title: string, Comparison])[]): void {
  const table = new Table({
    colAligns: ["left", ...comparisons.flatMap(() => ["right", "right"] as const), "left"],
    style: plain,
  });
  table.push([
    "",
    ...comparisons.map(([title]) => ({ colSpan: 2, content: pc.bold(title), hAlign: "center" as const })),
    "",
  ]);
  table.push([...head("counter", ...comparisons.flatMap(() => ["backend", "simulator"])), ""]);
  const names = new Set(comparisons.flatMap(([, { counters }]) => counters.map(({ name }) => name)));
  for (const name of names) {
    const pairs = comparisons.map(([, { counters }]) => counters.find((counter) => counter.name === name));
    const equal = pairs.every((pair) => pair === undefined || pair.backend === pair.truth);
    table.push([
      name,
      ...pairs.flatMap((pair) => [orBlank(pair?.backend), orBlank(pair?.truth)]),
      equal ? pc.green("=") : pc.red("differs"),
    ]);
  }
  sayTable(table);
}

/** Prints the first of the differences. */
export function sayDifferences(differences: readonly string[]): void {
  for (const difference of differences.slice(0, DIFFERENCES_SHOWN)) say(`  ${pc.red("✗")} ${difference}`);
  const more = differences.length - DIFFERENCES_SHOWN;
  if (more > 0) say(pc.dim(`    and ${more} more`));
}

/** All faults so far, kills of the processor included. */
function faultCount({ faults, cloudApi, sms }: SimulatorSummary, kills: number): number {
  return [faults, cloudApi.faults, sms.faults].flatMap((each) => Object.values(each))
    .reduce((sum, times) => sum + times, kills);
}

function sumOf({ groups, whatsapp, sms }: Moment["stats"], figure: keyof Stats): number {
  return groups[figure] + whatsapp[figure] + sms[figure];
}

/** `12,345`, or nothing where there is nothing to count. */
function orBlank(value: number | undefined): string {
  return value === undefined ? "" : thousands(value);
}

/** `12,345` */
export function thousands(value: number): string {
  return value.toLocaleString("en-US");
}

/** `12.3 s` */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

const plain = { head: [], border: pc.isColorSupported ? ["gray"] : [], compact: true };

function sayTable(table: { toString(): string }): void {
  say(table.toString().replace(/^/gm, "  "));
}

function head(...titles: string[]): string[] {
  return titles.map((title) => pc.bold(title));
}
