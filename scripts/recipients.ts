import { runCommand } from "./command/run_command.ts";
import { importRecipients } from "./recipients/import_recipients.ts";
import { parseOptions } from "./recipients/options.ts";
import { progressBar, renderJson, renderText } from "./recipients/screen.ts";

const { json, ...options } = parseOptions(Deno.args);
const render = json ? renderJson : renderText;
await runCommand({
  bar: progressBar(),
  work: (running) => importRecipients({ ...options, ...running }),
  render: (report) => render(report, options.dryRun),
  exitCodeOf: ({ end, refused }) => end === null && refused === 0 ? 0 : 1,
  failure: { said: `Cannot import ${options.file}`, exitCode: 1 },
});
