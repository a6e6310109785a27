import { join } from "node:path";
import { Command } from "commander";
import colors from "picocolors";
import { readVariables, stackSettings } from "./environment.ts";
import { type Stack, startStack } from "./stack.ts";

const DEMO_CAMPAIGN = "00000000-0000-4000-8000-0000000000c1";

/** `deno task start`: the stack stays up until Ctrl-C. */
async function main(): Promise<void> {
  const started = performance.now();
  write(colors.dim("Starting Truetick …"));
  const settings = stackSettings(readVariables());
  const logFile = join(settings.dataDir, "stack.log");
  const asked = untilAskedToStop();
  const stack = await startStack({ seed: true, log: openLog(logFile) });
  try {
    write(summary(stack, settings.cronSeconds, logFile, Math.round(performance.now() - started)));
    await asked;
    write(colors.dim("\nStopping …"));
  } finally {
    await stack.stop();
  }
}

/**
 * Everything goes to the file; what a function logs as information stays there, or the timer would fill the screen. The
 * file is opened with the first line, when the folder is ours: another stack may be writing there.
 */
function openLog(path: string): (line: string) => void {
  const encoder = new TextEncoder();
  let file: Deno.FsFile | undefined;
  return (line) => {
    file ??= Deno.openSync(path, { write: true, create: true, truncate: true });
    file.writeSync(encoder.encode(`${line}\n`));
    if (!/^\S+: \{.*"level":"(info|debug)"/.test(line)) write(colors.dim(line));
  };
}

function summary(stack: Stack, cronSeconds: number, logFile: string, milliseconds: number): string {
  const row = (label: string, value: string) => `  ${colors.dim(label.padEnd(16))}${value}`;
  const rest = `${stack.apiUrl}/rest/v1`;
  const functions = `${stack.apiUrl}/functions/v1`;
  return [
    "",
    `  ${colors.bold(colors.green("✓✓ Truetick is up"))} ${colors.dim(`in ${(milliseconds / 1000).toFixed(1)} s`)}`,
    "",
    row("API", colors.cyan(stack.apiUrl)),
    row("Database", colors.cyan(stack.databaseUrl)),
    ...([["VPS", "WHATSAPP_VPS_URL"], ["Cloud API", "WHATSAPP_CLOUD_API_URL"], ["SMS", "TWILIO_API_URL"]] as const).map(
      ([name, variable]) => {
        const url = stack.env[variable] ?? "not configured";
        return row(name, url === stack.simulatorUrl ? `${url} (simulator)` : url);
      },
    ),
    row("Timer", cronSeconds === 0 ? "off (TRUETICK_CRON_SECONDS=0)" : `every ${cronSeconds} s`),
    row("Log", logFile),
    "",
    row("Publishable key", stack.publishableKey),
    row("Secret key", stack.secretKey),
    row("Webhook key", `${stack.env.WEBHOOK_SECRET_KEY}`),
    row("Cron key", `${stack.env.CRON_SECRET_KEY}`),
    "",
    `  ${colors.bold("Start the demonstration campaign, and watch it go out")}`,
    `  curl -X POST ${rest}/rpc/start_campaign -H 'apikey: ${stack.secretKey}' \\`,
    `    -H 'content-type: application/json' -d '{"p_campaign_id":"${DEMO_CAMPAIGN}"}'`,
    `  curl -X POST ${functions}/process-notification-campaigns -H 'X-API-Key: ${stack.env.CRON_SECRET_KEY}'`,
    `  curl '${rest}/notification_campaign_stats?campaign_id=eq.${DEMO_CAMPAIGN}' -H 'apikey: ${stack.secretKey}'`,
    "",
    `  ${colors.bold("Look inside")}`,
    `  curl '${functions}/health' -H 'X-API-Key: ${stack.env.CRON_SECRET_KEY}'`,
    `  psql ${stack.databaseUrl}`,
    "",
    `  ${colors.dim("Ctrl-C stops everything; the data stays. deno task db:reset starts afresh.")}`,
    "",
  ].join("\n");
}

/**
 * Listens from the first moment, so that a start is finished before it is undone; asked again, it ends at once. One
 * Ctrl-C may arrive twice, from the terminal and from npx: those belong together.
 */
function untilAskedToStop(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let first: number | null = null;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      first ??= performance.now();
      if (performance.now() - first > 1000) Deno.exit(130);
      resolve();
    });
  }
  return promise;
}

/** A reader that went away, such as `head`, is no reason to fall over: the stack runs on, and logs to its file. */
function write(text: string): void {
  try {
    Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

const program = new Command("deno task start")
  .description("Start the local stack: Postgres, Data and Auth API, functions, gateway simulator and timer.")
  .addHelpText("after", "\nPorts, data folder and secrets are variables: see .env.example.")
  .action(main);

try {
  await program.parseAsync(Deno.args, { from: "user" });
  Deno.exit(0);
} catch (error) {
  Deno.stderr.writeSync(
    new TextEncoder().encode(`${colors.red(error instanceof Error ? error.message : `${error}`)}\n`),
  );
  Deno.exit(1);
}
