import { runCommand } from "./command/run_command.ts";
import { exitCodeOf } from "./counters/exit_code.ts";
import { parseOptions } from "./counters/options.ts";
import { recountCampaigns } from "./counters/recount.ts";
import { progressBar, renderJson, renderText } from "./counters/screen.ts";

const { json, ...options } = parseOptions(Deno.args);
await runCommand({
  bar: progressBar(),
  work: (running) => recountCampaigns({ ...options, ...running }),
  render: json ? renderJson : renderText,
  exitCodeOf,
  // the host alone: an address may hold a password
  failure: { said: `Cannot recount on ${new URL(options.databaseUrl).host}`, exitCode: 2 },
});
