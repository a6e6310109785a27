import { runCommand } from "./command/run_command.ts";
import { parseOptions } from "./events/options.ts";
import { replayEvents } from "./events/replay.ts";
import { progressBar, renderJson, renderText } from "./events/screen.ts";

const { json, ...options } = parseOptions(Deno.args);
const render = json ? renderJson : renderText;
await runCommand({
  bar: progressBar(),
  work: (running) => replayEvents({ ...options, ...running }),
  render: (report) => render(report, options.dryRun),
  exitCodeOf: ({ rows, isComplete }) => isComplete && rows.every(({ refused }) => refused === 0) ? 0 : 1,
  // the host alone: an address may hold a password
  failure: { said: `Cannot replay events on ${new URL(options.databaseUrl).host}`, exitCode: 1 },
});
