import { join } from "node:path";
import { type Child, startChild } from "./child.ts";
import { inRepository } from "./repository.ts";

/** The edge functions, each in a process of its own. */
export interface Functions {
  readonly names: readonly string[];
  /**
   * Where a function serves; starts it when it does not run.
   *
   * @throws Error with its own words when it does not start
   */
  portOf(name: string): Promise<number>;
  /** SIGKILL of one function's process, or of all. */
  kill(name?: string): Promise<void>;
  /** Kills all and starts none again. */
  stop(): Promise<void>;
}

const FOLDER = inRepository("supabase", "functions");

/** Finds the functions in supabase/functions; none runs yet. */
export async function openFunctions(
  env: Readonly<Record<string, string>>,
  log: (line: string) => void,
): Promise<Functions> {
  const names = await listFunctions();
  const running = new Map<string, Promise<Child>>();
  let stopped = false;

  const start = (name: string): Promise<Child> => {
    const starting = startChild({
      name,
      script: "function_host.ts",
      args: [join(FOLDER, name, "index.ts")],
      env: { ...env, SUPABASE_FUNCTION_SLUG: name },
      log,
    });
    const forget = () => {
      if (running.get(name) === starting) running.delete(name);
    };
    running.set(name, starting);
    starting.then((child) => child.exited.then(forget), forget);
    return starting;
  };

  const kill = async (name?: string): Promise<void> => {
    const chosen = [...running].filter(([each]) => name === undefined || each === name);
    await Promise.all(chosen.map(async ([each, starting]) => {
      running.delete(each);
      await starting.then((child) => child.kill(), () => {});
    }));
  };

  return {
    names,
    async portOf(name) {
      if (stopped) throw new Error("The stack is stopping");
      return (await (running.get(name) ?? start(name))).port;
    },
    kill,
    async stop() {
      stopped = true;
      await kill();
    },
  };
}

async function listFunctions(): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(FOLDER)) {
    if (!entry.isDirectory || entry.name.startsWith("_") || entry.name.startsWith(".")) continue;
    const index = await Deno.stat(join(FOLDER, entry.name, "index.ts")).catch(() => null);
    if (index?.isFile) names.push(entry.name);
  }
  return names.sort();
}
