import { join } from "node:path";
import postgres from "postgres";
import { type ClusterHome, openClusterHome, type ServerUser } from "./cluster_home.ts";
import { freePort, isPortFree } from "./ports.ts";
import { installPostgresBinaries, type PostgresBinaries } from "./postgres_binaries.ts";
import { childrenOf, commandLine, isAlive, signal, waitUntilGone } from "./processes.ts";
import { pause, within } from "./within.ts";

/** What a cluster is started with. */
export interface PostgresOptions {
  /** Absolute, exists, and held by the caller's lock: one stack at a time. */
  readonly dataFolder: string;
  /** Loopback port; 0 takes any free one. */
  readonly port: number;
  /** Told when the server ends without having been asked to. */
  readonly onExit?: (log: string) => void;
}

/** A running server; `kill` and `start` are for tests of crashes. */
export interface PostgresServer {
  readonly url: string;
  readonly port: number;
  /** SIGKILL of the postmaster and all its children: what a power cut leaves behind. */
  kill(): Promise<void>;
  /** Starts the server again on the same port; returns once it answers. */
  start(): Promise<void>;
  /** Fast shutdown; falls back to SIGKILL after 10 s. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const LOG_LINES_KEPT = 40;

/**
 * Durability is on: tests kill this server and count what is left. Errors are logged without their statement, which may
 * be a batch of a thousand receipts.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "200",
  shared_buffers: "256MB",
  max_wal_size: "2GB",
  checkpoint_timeout: "15min",
  fsync: "on",
  synchronous_commit: "on",
  timezone: "UTC",
  log_timezone: "UTC",
  log_min_messages: "error",
  log_min_error_statement: "panic",
  logging_collector: "off",
};

/**
 * Starts Postgres 17 on a data folder, creating the cluster the first time. A server that a killed stack left running on
 * it is stopped first.
 *
 * @throws Error naming the port and TRUETICK_DB_PORT when the port is taken; with the server's own log when it fails
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const [binaries, home] = await Promise.all([installPostgresBinaries(), openClusterHome(options.dataFolder)]);
  await stopLeftover(home.path);
  if (!isPortFree(options.port)) {
    throw new Error(
      `Port ${options.port} for Postgres is taken by another program; stop it or set TRUETICK_DB_PORT to a free port`,
    );
  }
  await createCluster(binaries, home);

  const logFile = join(options.dataFolder, "postgres.log");
  await Deno.writeTextFile(logFile, "");
  let running: Postmaster | null = null;
  const startOn = async (port: number) => {
    const postmaster = spawnPostmaster(binaries, home, port, logFile);
    await waitUntilReady(postmaster, urlOf(port));
    running = postmaster;
    postmaster.exited.then(() => {
      if (running === postmaster) options.onExit?.(postmaster.log());
    });
  };
  const port = await startOnFreePort(options.port, startOn);
  return {
    url: urlOf(port),
    port,
    start: () => startOn(port),
    async kill() {
      const postmaster = running;
      running = null;
      if (postmaster !== null) await killAll(postmaster);
    },
    async stop() {
      const postmaster = running;
      running = null;
      if (postmaster === null) return;
      signal(postmaster.pid, "SIGINT");
      const ended = await within(postmaster.exited.then(() => true), STOP_TIMEOUT_MS, false);
      if (!ended) await killAll(postmaster);
    },
  };
}

function urlOf(port: number): string {
  return `postgresql://postgres:postgres@127.0.0.1:${port}/postgres`;
}

/** A port that was free a moment ago may be taken by the time the server gets there. */
async function startOnFreePort(wanted: number, start: (port: number) => Promise<void>): Promise<number> {
  for (let attempt = 1;; attempt++) {
    const port = wanted === 0 ? freePort() : wanted;
    try {
      await start(port);
      return port;
    } catch (error) {
      const wasTaken = error instanceof Error && error.message.includes("could not bind");
      if (wanted !== 0 || !wasTaken || attempt === 3) throw error;
    }
  }
}

interface Postmaster {
  readonly pid: number;
  readonly exited: Promise<void>;
  readonly hasExited: () => boolean;
  /** The last lines the server wrote. */
  readonly log: () => string;
}

function spawnPostmaster(binaries: PostgresBinaries, home: ClusterHome, port: number, logFile: string): Postmaster {
  const settings = Object.entries({ ...SETTINGS, port: String(port) }).flatMap(([key, value]) => [
    "-c",
    `${key}=${value}`,
  ]);
  const child = new Deno.Command(binaries.postgres, {
    args: ["-D", home.path, ...settings],
    ...identityOf(home.user),
    cwd: "/",
    clearEnv: true,
    env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
    // A Ctrl-C in the terminal must reach the supervisor alone, which stops things in order.
    detached: true,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  let ended = false;
  const log = collectLog(child.stderr, logFile, lines);
  const exited = Promise.all([child.status, log]).then(() => {
    ended = true;
  });
  return { pid: child.pid, exited, hasExited: () => ended, log: () => lines.join("\n") };
}

async function collectLog(stream: ReadableStream<Uint8Array>, file: string, lines: string[]): Promise<void> {
  using output = await Deno.open(file, { append: true });
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    await output.write(chunk);
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    lines.splice(0, lines.length - LOG_LINES_KEPT);
  }
}

async function waitUntilReady(postmaster: Postmaster, url: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (postmaster.hasExited()) throw new Error(`Postgres ended while starting. Its own words:\n${postmaster.log()}`);
    if (await answers(url)) return;
    await pause(20);
  }
  await killAll(postmaster);
  throw new Error(`Postgres did not answer within ${START_TIMEOUT_MS / 1000} s. Its own words:\n${postmaster.log()}`);
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, fetch_types: false, onnotice: () => {} });
  try {
    await sql`select 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Stopped first, so that it forks no child between our looking and our killing. */
async function killAll(postmaster: Postmaster): Promise<void> {
  signal(postmaster.pid, "SIGSTOP");
  const children = await childrenOf(postmaster.pid);
  for (const pid of [...children, postmaster.pid]) signal(pid, "SIGKILL");
  await postmaster.exited;
  await Promise.all(children.map((pid) => waitUntilGone(pid, STOP_TIMEOUT_MS)));
}

/**
 * The caller holds the folder's lock, so a server that still runs here was left by a stack that was killed. Its port and
 * settings may be other ones: it is stopped, not taken over.
 */
export async function stopLeftover(cluster: string): Promise<void> {
  const pidFile = join(cluster, "postmaster.pid");
  let pid: number;
  try {
    pid = Number((await Deno.readTextFile(pidFile)).split("\n", 1)[0]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return;
  if (!(await commandLine(pid)).includes(cluster)) {
    // The number was given to another program since: Postgres would take that one for a server and refuse to start.
    await Deno.remove(pidFile);
    return;
  }
  signal(pid, "SIGINT");
  if (await waitUntilGone(pid, STOP_TIMEOUT_MS)) return;
  const children = await childrenOf(pid);
  for (const each of [...children, pid]) signal(each, "SIGKILL");
  await Promise.all([...children, pid].map((each) => waitUntilGone(each, STOP_TIMEOUT_MS)));
}

async function createCluster(binaries: PostgresBinaries, home: ClusterHome): Promise<void> {
  const version = await readVersion(home.path);
  if (version === "17") return;
  if (version !== null) {
    throw new Error(`${home.path} was made by Postgres ${version}; run \`deno task db:reset\` to make it anew`);
  }
  // Made under another name first: an interrupted initdb must not look like a cluster.
  const draft = `${home.path}.new`;
  await Deno.remove(draft, { recursive: true }).catch(() => {});
  await Deno.mkdir(draft, { mode: 0o700 });
  if (home.user !== null) await Deno.chown(draft, home.user.uid, home.user.gid);
  // The builtin locale sorts alike on every system, and needs none installed. The password is fixed and documented, so
  // many rounds of hashing would protect nothing and cost each new connection milliseconds.
  const initdb = 'printf "postgres\\n" | "$0" --pwfile=/dev/stdin "$@"';
  const { success, stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: [
      "-c",
      initdb,
      binaries.initdb,
      `--pgdata=${draft}`,
      "--username=postgres",
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--no-sync",
      "--set=scram_iterations=16",
    ],
    ...identityOf(home.user),
    cwd: "/",
    clearEnv: true,
    env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
    signal: AbortSignal.timeout(START_TIMEOUT_MS),
  }).output();
  if (!success) {
    await Deno.remove(draft, { recursive: true }).catch(() => {});
    const decoder = new TextDecoder();
    throw new Error(
      `initdb failed in ${home.path}. Its own words:\n${decoder.decode(stdout)}${decoder.decode(stderr)}`,
    );
  }
  await Deno.remove(home.path, { recursive: true }).catch(() => {});
  await Deno.rename(draft, home.path);
}

async function readVersion(cluster: string): Promise<string | null> {
  try {
    return (await Deno.readTextFile(join(cluster, "PG_VERSION"))).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function identityOf(user: ServerUser | null): { uid?: number; gid?: number } {
  return user === null ? {} : { uid: user.uid, gid: user.gid };
}
