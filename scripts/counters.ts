// deno-lint-ignore-file no-console -- a command of the terminal
import { describeError } from "./command/describe_error.ts";
import { exitCodeOf } from "./counters/exit_code.ts";
import { parseOptions } from "./counters/options.ts";
import { recountCampaigns } from "./counters/recount.ts";
import { progressBar, renderJson, renderText } from "./counters/screen.ts";

const { json, ...options } = parseOptions(Deno.args);
const interruption = new AbortController();
const interrupt = () => interruption.abort();
for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, interrupt);
const bar = progressBar();
try {
  const report = await recountCampaigns({
    ...options,
    signal: interruption.signal,
    onProgress: (progress) => bar.show(progress),
  }).finally(() => bar.end());
  console.log(json ? renderJson(report) : renderText(report));
  Deno.exitCode = exitCodeOf(report);
} catch (error) {
  // the host alone: an address may hold a password
  const host = URL.parse(options.databaseUrl)?.host ?? "the database";
  console.error(`Cannot recount on ${host}: ${describeError(error)}`);
  Deno.exitCode = 2;
} finally {
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, interrupt);
}
