import { join, resolve } from "node:path";
import { bootstrapPlatform, seed } from "./bootstrap.ts";
import { type Child, startChild } from "./child.ts";
import { readConfig } from "./config.ts";
import { startCron } from "./cron.ts";
import type { DataApiSettings } from "./data_api.ts";
import { takeDataFolder } from "./data_folder.ts";
import { functionVariables, gatewayAddresses, localKeys, readVariables, stackSettings } from "./environment.ts";
import { type Backends, openFrontDoor } from "./front_door.ts";
import { openFunctions } from "./functions.ts";
import { applyMigrations } from "./migrations.ts";
import { startPostgres } from "./postgres.ts";
import { pause } from "./within.ts";

/** What may differ from the environment, `.env` and the defaults. */
export interface StackOptions {
  /** 0: any free port. */
  apiPort?: number;
  /** 0: any free port. */
  dbPort?: number;
  /** Default: TRUETICK_DATA_DIR or `.local`. */
  dataDir?: string;
  /** Between two runs of the processor; 0: none. */
  cronSeconds?: number;
  /**
   * Default: the simulator plays every gateway whose address (WHATSAPP_VPS_URL, WHATSAPP_CLOUD_API_URL, TWILIO_API_URL)
   * is not given. True: it plays all of them and posts to this stack alone, whatever the environment says; false: none.
   */
  simulator?: boolean;
  /** Load supabase/seed.sql, once per data folder; default false. */
  seed?: boolean;
  /** Overrides for the functions' environment. */
  env?: Record<string, string>;
  /** One line at a time; default: none. */
  log?: (line: string) => void;
}

/** A running stack. */
export interface Stack {
  /** `http://127.0.0.1:<apiPort>` */
  readonly apiUrl: string;
  /** `postgresql://postgres:postgres@127.0.0.1:<dbPort>/postgres` */
  readonly databaseUrl: string;
  readonly publishableKey: string;
  readonly secretKey: string;
  /** What the functions see. */
  readonly env: Readonly<Record<string, string>>;
  readonly simulatorUrl: string | null;
  /** `kill` is SIGKILL of the postmaster and its children. */
  readonly postgres: { kill(): Promise<void>; start(): Promise<void> };
  /** `kill` is SIGKILL of one function's process, or all; the next request starts it again. */
  readonly functions: { kill(name?: string): Promise<void> };
  /** Stops everything; the data stays. Called twice, it stops once. */
  stop(): Promise<void>;
}

const RESTART_PAUSE_MS = 250;

/**
 * Brings up Postgres, the Data and Auth API, the edge functions, the simulator, the timer and the address in front of
 * them.
 *
 * @throws Error that says what to do: port taken, folder in use, migration refused, Postgres not starting
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const variables = readVariables();
  const settings = stackSettings(variables);
  const config = await readConfig();
  const log = options.log ?? (() => {});
  const undo: (() => unknown)[] = [];
  let stopping: Promise<void> | null = null;
  const stop = () => stopping ??= unwind(undo);
  try {
    const folder = await takeDataFolder(options.dataDir === undefined ? settings.dataDir : resolve(options.dataDir));
    undo.push(() => folder.release());
    // Opened first: a taken port is known at once, and nobody takes it while the rest starts.
    let backends: Backends | null = null;
    const door = openFrontDoor({
      port: options.apiPort ?? settings.apiPort,
      backends: () => backends,
      config,
      keys: localKeys,
      log,
    });
    undo.push(() => door.stop());
    const apiUrl = `http://127.0.0.1:${door.port}`;

    const server = await startPostgres({
      dataFolder: folder.path,
      port: options.dbPort ?? settings.dbPort,
      onExit: (words) => {
        if (stopping !== null) return;
        log(`postgres: ended by itself, starting it again. Its own words:\n${words}`);
        pause(RESTART_PAUSE_MS).then(() => stopping ?? server.start()).catch((error) => log(`postgres: ${error}`));
      },
    });
    undo.push(() => server.stop());
    await bootstrapPlatform(server.url);

    const dataApi = await supervise(() => stopping !== null, log, (port) =>
      startChild({
        name: "data api",
        script: "data_api.ts",
        env: {
          TRUETICK_DATA_API: JSON.stringify(
            {
              databaseUrl: server.url,
              port,
              siteUrl: apiUrl,
              jwtSecret: localKeys.jwtSecret,
              publishableKey: localKeys.publishable,
              secretKey: localKeys.secret,
              maxRows: config.maxRows,
            } satisfies DataApiSettings,
          ),
        },
        log,
      }));
    undo.push(() => dataApi.kill());

    const functionsUrl = `${apiUrl}/functions/v1`;
    const given: Record<string, string> = {
      ...functionVariables(variables),
      ...options.simulator === true ? { PUBLIC_FUNCTIONS_URL: functionsUrl } : {},
      ...options.env,
    };
    const played = gatewayAddresses.filter((name) => options.simulator ?? given[name] === undefined);
    const [simulator] = await Promise.all([
      played.length > 0 ? startSimulatorProcess(given, functionsUrl, log) : null,
      applyMigrations(server.url, folder.path).then(() => fetch(`http://127.0.0.1:${dataApi.port}/-/reload`)),
    ]);
    if (simulator !== null) undo.push(() => simulator.kill());
    if (options.seed === true) await seedOnce(server.url, folder.path);
    const simulatorUrl = simulator === null ? null : `http://127.0.0.1:${simulator.port}`;

    const env: Record<string, string> = {
      // Straight to the Data API: a function's call through the front door would cross one more process for nothing.
      SUPABASE_URL: `http://127.0.0.1:${dataApi.port}`,
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: localKeys.publishable }),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: localKeys.secret }),
      SUPABASE_DB_URL: server.url,
      PUBLIC_FUNCTIONS_URL: functionsUrl,
      ...given,
      ...simulatorUrl === null ? {} : Object.fromEntries(played.map((name) => [name, simulatorUrl])),
      ...options.env,
    };
    const functions = await openFunctions(env, log);
    undo.push(() => functions.stop());
    // Started now, so that the first request finds them warm; one that fails to start says so again at its first request.
    for (const name of functions.names) functions.portOf(name).catch((error) => log(`${name}: ${error.message}`));

    backends = { dataApiPort: dataApi.port, functions };
    undo.push(startCron({
      url: `${functionsUrl}/process-notification-campaigns`,
      key: env.CRON_SECRET_KEY ?? "",
      seconds: options.cronSeconds ?? settings.cronSeconds,
      restUrl: `${apiUrl}/rest/v1`,
      secretKey: localKeys.secret,
      log,
    }));
    return {
      apiUrl,
      databaseUrl: server.url,
      publishableKey: localKeys.publishable,
      secretKey: localKeys.secret,
      env,
      simulatorUrl,
      postgres: { kill: () => server.kill(), start: () => server.start() },
      functions: { kill: (name) => functions.kill(name) },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Marked beside the data: what a user deleted of the seed does not come back with the next start. */
async function seedOnce(databaseUrl: string, folder: string): Promise<void> {
  const mark = join(folder, "seeded");
  if (await Deno.stat(mark).then(() => true, () => false)) return;
  await seed(databaseUrl);
  await Deno.writeTextFile(mark, "");
}

/** Last started, first stopped; one that fails to stop does not keep the others running. */
async function unwind(undo: (() => unknown)[]): Promise<void> {
  for (const step of undo.reverse()) {
    try {
      await step();
    } catch {
      // It was gone already.
    }
  }
}

async function startSimulatorProcess(
  env: Readonly<Record<string, string>>,
  functionsUrl: string,
  log: (line: string) => void,
): Promise<Child> {
  return await startChild({
    name: "simulator",
    script: "simulator_process.ts",
    env: { ...env, FUNCTIONS_URL: functionsUrl },
    log,
  });
}

/** Keeps a child running: one that ends by itself is started again, on the port that others know it by. */
async function supervise(
  isStopping: () => boolean,
  log: (line: string) => void,
  start: (port: number) => Promise<Child>,
): Promise<{ port: number; kill(): Promise<void> }> {
  let child = await start(0);
  const { port } = child;
  let killed = false;
  const watch = async () => {
    await child.exited;
    while (!killed && !isStopping()) {
      log("data api: ended by itself, starting it again");
      try {
        await pause(RESTART_PAUSE_MS);
        child = await start(port);
        return void watch();
      } catch (error) {
        log(`data api: ${error instanceof Error ? error.message : error}`);
      }
    }
  };
  void watch();
  return {
    port,
    async kill() {
      killed = true;
      await child.kill();
    },
  };
}
