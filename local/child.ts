import { READY_MARK } from "./child_side.ts";
import { signal } from "./processes.ts";
import { inRepository } from "./repository.ts";
import { within } from "./within.ts";

/** What a child process runs. */
export interface ChildOptions {
  /** Named in errors and before each line of its output. */
  readonly name: string;
  /** A module in local/. */
  readonly script: string;
  readonly args?: readonly string[];
  /** The whole environment it sees, but for what Deno itself needs. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: (line: string) => void;
}

/** A Deno process that serves on a port of its own. */
export interface Child {
  readonly port: number;
  readonly exited: Promise<void>;
  /** SIGKILL; returns when it is gone. */
  kill(): Promise<void>;
}

const READY_TIMEOUT_MS = 60_000;
/** What Deno needs to find its cache, its certificates and its proxy. */
const INHERITED = /^(HOME|PATH|TMPDIR|LANG|LC_.*|DENO_.*|XDG_.*|SSL_CERT_.*|NODE_EXTRA_CA_CERTS|NPM_CONFIG_REGISTRY)$/i;

/**
 * Starts a module in a process of its own and waits until it serves.
 *
 * @throws Error with the last lines it wrote when it ends before that, or does not get there within a minute
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", ...await lockFlags(), inRepository("local", options.script), ...options.args ?? []],
    cwd: inRepository(),
    clearEnv: true,
    env: { ...inheritedEnv(), ...options.env },
    // A Ctrl-C in the terminal must reach the supervisor alone, which stops things in order.
    detached: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();

  const ready = Promise.withResolvers<number>();
  const last: string[] = [];
  const onLine = (line: string) => {
    if (line.startsWith(READY_MARK)) return ready.resolve(Number(line.slice(READY_MARK.length)));
    last.push(line);
    last.splice(0, last.length - 20);
    options.log(`${options.name}: ${line}`);
  };
  const output = Promise.all([readLines(process.stdout, onLine), readLines(process.stderr, onLine)]);
  const exited = process.status.then(() => {});
  const kill = async () => {
    signal(process.pid, "SIGKILL");
    await Promise.all([exited, output]);
  };

  const port = await within(Promise.race([ready.promise, exited.then(() => null)]), READY_TIMEOUT_MS, null);
  if (port === null) {
    await kill();
    throw new Error(`${options.name} did not start. Its own words:\n${last.join("\n")}`);
  }
  return { port, exited, kill };
}

/** Without a lock file Deno would write one, and so would each of several processes at once. */
async function lockFlags(): Promise<string[]> {
  try {
    await Deno.stat(inRepository("deno.lock"));
    return [];
  } catch {
    return ["--no-lock"];
  }
}

function inheritedEnv(): Record<string, string> {
  return Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => INHERITED.test(name)));
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
}
