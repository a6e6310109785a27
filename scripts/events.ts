// deno-lint-ignore-file no-console -- a command of the terminal
import { describeError } from "./command/describe_error.ts";
import { parseOptions } from "./events/options.ts";
import { replayEvents } from "./events/replay.ts";
import { progressBar, renderJson, renderText } from "./events/screen.ts";

const { json, ...options } = parseOptions(Deno.args);
const interruption = new AbortController();
const interrupt = () => interruption.abort();
for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, interrupt);
const bar = progressBar();
try {
  const report = await replayEvents({
    ...options,
    signal: interruption.signal,
    onProgress: (progress) => bar.show(progress),
  }).finally(() => bar.end());
  console.log(json ? renderJson(report, options.dryRun) : renderText(report, options.dryRun));
  if (!report.isComplete || report.rows.some(({ refused }) => refused > 0)) Deno.exitCode = 1;
} catch (error) {
  const host = URL.parse(options.databaseUrl)?.host ?? "the database";
  console.error(`Cannot replay events on ${host}: ${describeError(error)}`);
  Deno.exitCode = 1;
} finally {
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, interrupt);
}
