import { join } from "node:path";
import { removeClusterHome } from "./cluster_home.ts";
import { isAlive } from "./processes.ts";
import { stopLeftover } from "./postgres.ts";
import { pause } from "./within.ts";

/** A process that was killed while it started another one holds its files until that one has begun. */
const RELEASE_MS = 2_000;

/** A data folder held by one stack. */
export interface DataFolder {
  /** Absolute, without links. */
  readonly path: string;
  release(): void;
}

/**
 * Takes a data folder for one stack, making it if need be. The kernel lets go of it when the process ends, however that
 * happens.
 *
 * @throws Error naming the process that holds it
 */
export async function takeDataFolder(folder: string): Promise<DataFolder> {
  await Deno.mkdir(folder, { recursive: true });
  const path = await Deno.realPath(folder);
  const lockPath = join(path, "stack.lock");
  const lock = await Deno.open(lockPath, { read: true, write: true, create: true });
  const deadline = performance.now() + RELEASE_MS;
  while (!await lock.tryLock(true)) {
    const pid = Number(await Deno.readTextFile(lockPath));
    const isHeld = pid > 0 && isAlive(pid);
    if (isHeld || performance.now() > deadline) {
      lock.close();
      const holder = isHeld ? `process ${pid}` : "another process";
      throw new Error(
        `A stack already runs on ${path} (${holder}); stop it first, or set TRUETICK_DATA_DIR to another folder`,
      );
    }
    await pause(20);
  }
  await lock.truncate();
  await lock.write(new TextEncoder().encode(`${Deno.pid}\n`));
  return { path, release: () => lock.close() };
}

/**
 * Deletes everything in a data folder, its cluster outside included.
 *
 * @throws Error naming the process when a stack runs on it
 */
export async function removeDataFolder(folder: string): Promise<void> {
  const held = await takeDataFolder(folder);
  try {
    await stopLeftover(await clusterPath(held.path));
    await removeClusterHome(held.path);
    await Deno.remove(held.path, { recursive: true });
  } finally {
    held.release();
  }
}

async function clusterPath(path: string): Promise<string> {
  const inside = join(path, "postgres");
  return await Deno.realPath(inside).catch(() => inside);
}
