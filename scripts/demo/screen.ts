// @ts-types="npm:@types/cli-progress@3.11.6"
import cliProgress from "cli-progress";
import Table from "cli-table3";
import pc from "picocolors";
import type { SimulatorRecord } from "../../local/simulator/record.ts";
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

/** What is known of the campaign at one moment. */
export interface Moment {
  readonly stats: Stats;
  readonly record: SimulatorRecord;
  readonly kills: number;
}

/** Shows how the campaign comes along: bars on a terminal, now and then a line elsewhere. */
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

  #sayLine({ stats, record, kills }: Moment): void {
    const open = stats.pending_count + stats.processing_count + stats.unconfirmed_count;
    const after = seconds(performance.now() - this.#beganAt).padStart(7);
    say(
      `  ${after}  sent ${stats.sent_count} of ${stats.total_count}, failed ${stats.failed_count}, open ${open}, delivered ${
        thousands(stats.delivered_count)
      }, ` +
        `read ${thousands(stats.read_count)}; ${thousands(faultCount(record, kills))} faults injected`,
    );
  }
}

class Bars {
  readonly #all = new cliProgress.MultiBar({
    format: `  {name} ${pc.green("{bar}")} {figure}`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 36,
    hideCursor: true,
    clearOnComplete: false,
    linewrap: false,
    autopadding: false,
  });
  readonly #sent = this.#all.create(1, 0, { name: "sent     ", figure: "" });
  readonly #delivered = this.#all.create(1, 0, { name: "delivered", figure: "" });
  readonly #read = this.#all.create(1, 0, { name: "read     ", figure: "" });
  readonly #faults = this.#all.create(1, 0, { name: "", figure: "" }, { format: "  {figure}" });

  show({ stats, record, kills }: Moment): void {
    const failed = stats.failed_count === 0 ? "" : pc.dim(`, ${thousands(stats.failed_count)} failed`);
    set(this.#sent, stats.sent_count, stats.total_count, `groups${failed}`);
    set(this.#delivered, stats.delivered_count, stats.audience_count, "people");
    set(this.#read, stats.read_count, stats.audience_count, "people");
    const killed = kills === 0 ? "" : pc.yellow(`   processor killed ${kills === 1 ? "once" : `${kills} times`}`);
    this.#faults.update(0, { figure: `${thousands(faultCount(record, kills))} faults injected${killed}` });
    this.#all.update();
  }

  stop(): void {
    this.#all.stop();
  }
}

function set(bar: cliProgress.SingleBar, value: number, total: number, unit: string): void {
  bar.setTotal(Math.max(total, 1));
  bar.update(value, { figure: `${thousands(value)} of ${thousands(total)} ${unit}` });
}

/** Prints each fault and how often it was injected. */
export function sayFaults(record: SimulatorRecord, kills: number): void {
  const table = new Table({ head: head("fault injected", "times"), colAligns: ["left", "right"], style: plain });
  const names = Object.keys(record.faults);
  const malformed = names.filter((name) => name.startsWith("malformed "));
  for (const name of names.filter((name) => !malformed.includes(name))) {
    table.push([name, thousands(record.faults[name] ?? 0)]);
  }
  const sum = malformed.reduce((total, name) => total + (record.faults[name] ?? 0), 0);
  table.push([`malformed posts, ${malformed.length} kinds`, thousands(sum)]);
  table.push(["processor killed", thousands(kills)]);
  sayTable(table);
}

/** Prints every counter, from both sides. */
export function sayCounters({ counters }: Comparison): void {
  const table = new Table({
    head: head("counter", "of", "backend", "simulator", ""),
    colAligns: ["left", "left", "right", "right", "left"],
    style: plain,
  });
  for (const { name, unit, backend, truth } of counters) {
    table.push([
      name,
      unit,
      thousands(backend),
      thousands(truth),
      backend === truth ? pc.green("=") : pc.red("differs"),
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
function faultCount(record: SimulatorRecord, kills: number): number {
  return Object.values(record.faults).reduce((sum, times) => sum + times, kills);
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
