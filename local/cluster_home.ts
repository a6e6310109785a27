import { createHash } from "node:crypto";
import { dirname, join } from "node:path";

/** The user a server runs as; null: the one who runs us. */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Where a cluster's files are, and who owns them. */
export interface ClusterHome {
  /** Postgres' data folder; may not exist yet. Its parent does, and the server's user can reach it. */
  readonly path: string;
  readonly user: ServerUser | null;
}

const SYSTEM_ROOT = "/var/lib/truetick";
const REACH_TIMEOUT_MS = 5_000;

/**
 * Decides where the cluster of a data folder lives. Postgres refuses to run as root, so root runs it as `postgres`, else
 * `nobody`; when that user cannot get to the data folder (a 0700 home), the cluster goes to /var/lib/truetick and the
 * data folder keeps a link to it. Everybody else has it in the data folder.
 *
 * @param dataFolder exists, absolute
 * @throws Error when root finds no user to run the server as
 */
export async function openClusterHome(dataFolder: string): Promise<ClusterHome> {
  const inside = join(dataFolder, "postgres");
  if (Deno.uid() !== 0) return { path: inside, user: null };
  const user = await findServerUser();
  if (await canReach(dataFolder, user)) return { path: inside, user };

  const outside = systemFolder(dataFolder);
  await Deno.mkdir(dirname(outside), { recursive: true });
  await Deno.chmod(dirname(outside), 0o755);
  // The link may still name the cluster of a folder that this one was copied from: two folders never share a cluster.
  if (await readLink(inside) !== outside) {
    await Deno.remove(inside, { recursive: true }).catch(ignoreNotFound);
    await Deno.symlink(outside, inside);
  }
  return { path: outside, user };
}

/** Deletes the cluster of a data folder, wherever it is. The caller makes sure that no server runs on it. */
export async function removeClusterHome(dataFolder: string): Promise<void> {
  const inside = join(dataFolder, "postgres");
  const outside = systemFolder(dataFolder);
  if (await readLink(inside) === outside) await Deno.remove(outside, { recursive: true }).catch(ignoreNotFound);
  await Deno.remove(inside, { recursive: true }).catch(ignoreNotFound);
}

function systemFolder(dataFolder: string): string {
  return join(SYSTEM_ROOT, createHash("sha256").update(dataFolder).digest("hex").slice(0, 16));
}

async function findServerUser(): Promise<ServerUser> {
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = await Promise.all([identity("-u", name), identity("-g", name)]);
    if (uid !== null && gid !== null) return { name, uid, gid };
  }
  throw new Error("Postgres does not run as root, and there is neither a user `postgres` nor `nobody` to run it as");
}

async function identity(flag: "-u" | "-g", name: string): Promise<number | null> {
  const { success, stdout } = await new Deno.Command("id", { args: [flag, name], stderr: "null" }).output();
  const id = Number(new TextDecoder().decode(stdout).trim());
  // macOS writes the id of `nobody` as -2.
  return success && Number.isInteger(id) ? id >>> 0 : null;
}

/** Asked of the system rather than read off the modes: access lists and mounts have their say. */
async function canReach(folder: string, user: ServerUser): Promise<boolean> {
  const { success } = await new Deno.Command("/bin/sh", {
    args: ["-c", 'cd "$1"', "sh", folder],
    uid: user.uid,
    gid: user.gid,
    cwd: "/",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(REACH_TIMEOUT_MS),
  }).output();
  return success;
}

async function readLink(path: string): Promise<string | null> {
  try {
    return await Deno.readLink(path);
  } catch {
    return null;
  }
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
