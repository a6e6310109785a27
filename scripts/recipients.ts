// deno-lint-ignore-file no-console -- a command of the terminal
import { describeError } from "./command/describe_error.ts";
import { importRecipients } from "./recipients/import_recipients.ts";
import { parseOptions } from "./recipients/options.ts";
import { progressBar, renderJson, renderText } from "./recipients/screen.ts";

const { json, ...options } = parseOptions(Deno.args);
const interruption = new AbortController();
const interrupt = () => interruption.abort();
for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, interrupt);
const bar = progressBar();
try {
  const report = await importRecipients({
    ...options,
    signal: interruption.signal,
    onProgress: (progress) => bar.show(progress),
  }).finally(() => bar.end());
  console.log(json ? renderJson(report, options.dryRun) : renderText(report, options.dryRun));
  if (report.end !== null || report.refused > 0) Deno.exitCode = 1;
} catch (error) {
  console.error(`Cannot import ${options.file}: ${describeError(error)}`);
  Deno.exitCode = 1;
} finally {
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, interrupt);
}
