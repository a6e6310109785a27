import process from "node:process";
import { pause } from "./within.ts";

/** True while a process runs, ours or not. One that ended and was not yet collected by its parent does not count. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    // EPERM: it exists and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** The command line of a process, or an empty string when it is gone. */
export async function commandLine(pid: number): Promise<string> {
  try {
    return (await Deno.readTextFile(`/proc/${pid}/cmdline`)).replaceAll("\0", " ");
  } catch {
    return await ps(["-o", "command=", "-p", String(pid)]);
  }
}

/** The direct children of a process. */
export async function childrenOf(pid: number): Promise<number[]> {
  const parents = Deno.build.os === "linux" ? await readProc() : await readPs();
  return parents.filter(([, parent]) => parent === pid).map(([child]) => child);
}

/** Sends a signal; a process that is gone already is no error. */
export function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Waits until a process is gone; false when it still lives after `timeoutMs`. */
export async function waitUntilGone(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(pid)) {
    if (performance.now() > deadline) return false;
    await pause(10);
  }
  return true;
}

function isZombie(pid: number): boolean {
  try {
    return fieldsOf(Deno.readTextFileSync(`/proc/${pid}/stat`))[0] === "Z";
  } catch {
    return false;
  }
}

/** The fields of a stat line from the state on: the name before them stands in brackets and may hold anything. */
function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

async function readProc(): Promise<[number, number][]> {
  const found: [number, number][] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = fieldsOf(await Deno.readTextFile(`/proc/${name}/stat`))[1];
      found.push([Number(name), Number(parent)]);
    } catch {
      // Ended while we were reading.
    }
  }
  return found;
}

async function readPs(): Promise<[number, number][]> {
  const lines = (await ps(["-A", "-o", "pid=,ppid="])).split("\n");
  return lines.map((line) => line.trim().split(/\s+/).map(Number)).map(([pid, parent]) => [pid ?? 0, parent ?? 0]);
}

async function ps(args: string[]): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("ps", { args, stderr: "null" }).output();
    return new TextDecoder().decode(stdout);
  } catch {
    return "";
  }
}
