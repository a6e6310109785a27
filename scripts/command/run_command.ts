// deno-lint-ignore-file no-console -- what a command says on the terminal
import { describeError } from "./describe_error.ts";
import type { ProgressBar } from "./progress_bar.ts";

/** What the work of a command is given. */
export interface Running<Progress> {
  /** Aborted where somebody wants it to end: Ctrl-C, or SIGTERM. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** What a command does, and how it tells. */
export interface CommandOptions<Progress, Report> {
  readonly bar: ProgressBar<Progress>;
  readonly work: (running: Running<Progress>) => Promise<Report>;
  /** What is printed of the report. */
  readonly render: (report: Report) => string;
  readonly exitCodeOf: (report: Report) => number;
  /** Where there is no report: what could not be done, before the reason; and the exit code. */
  readonly failure: { readonly said: string; readonly exitCode: number };
}

/**
 * Runs a command of the terminal to its end, and sets the exit code. An interrupt is the work's to obey; what it reports
 * then is printed like any other report.
 */
export async function runCommand<Progress, Report>(
  { bar, work, render, exitCodeOf, failure }: CommandOptions<Progress, Report>,
): Promise<void> {
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, interrupt);
  try {
    const report = await work({
      signal: interruption.signal,
      onProgress: (progress) => bar.show(progress),
    }).finally(() => bar.end());
    console.log(render(report));
    Deno.exitCode = exitCodeOf(report);
  } catch (error) {
    console.error(`${failure.said}: ${describeError(error)}`);
    Deno.exitCode = failure.exitCode;
  } finally {
    for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, interrupt);
  }
}
