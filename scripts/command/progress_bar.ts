// @ts-types="npm:@types/cli-progress@3.11.6"
import cliProgress from "cli-progress";
import color from "picocolors";

/** How far a bar reaches. */
export interface BarState {
  readonly value: number;
  readonly total: number;
  /** What the words beside the bar name, but for `{value}`, `{total}` and `{percentage}`. */
  readonly payload?: Readonly<Record<string, unknown>>;
}

/** Shows how a command comes along: a bar on a terminal, nothing elsewhere. */
export class ProgressBar<Progress> {
  readonly #bar: cliProgress.SingleBar | null;
  readonly #stateOf: (progress: Progress) => BarState;
  #isShown = false;

  /** @param words What stands beside the bar: a format of cli-progress. */
  constructor(words: string, stateOf: (progress: Progress) => BarState) {
    this.#stateOf = stateOf;
    this.#bar = Deno.stderr.isTerminal()
      ? new cliProgress.SingleBar({
        format: `  ${color.green("{bar}")} ${words}`,
        barCompleteChar: "█",
        barIncompleteChar: "░",
        barsize: 36,
        hideCursor: true,
        clearOnComplete: true,
        // an interrupt ends the work in order, and the bar with it
        gracefulExit: false,
      })
      : null;
  }

  show(progress: Progress): void {
    if (this.#bar === null) return;
    const { value, total, payload = {} } = this.#stateOf(progress);
    if (!this.#isShown) this.#bar.start(total, value, payload);
    this.#isShown = true;
    this.#bar.setTotal(total);
    this.#bar.update(value, payload);
  }

  end(): void {
    if (this.#isShown) this.#bar?.stop();
  }
}
