import { removeDataFolder } from "../local/data_folder.ts";
import { type Stack, startStack } from "../local/stack.ts";

/** Runs something on a stack of its own, with the migrations applied and nothing else going on, and removes it again. */
export async function withTemporaryStack<T>(use: (stack: Stack) => Promise<T>): Promise<T> {
  const dataDir = await Deno.makeTempDir({ prefix: "truetick-" });
  try {
    const stack = await startStack({ apiPort: 0, dbPort: 0, dataDir, cronSeconds: 0, simulator: false });
    try {
      return await use(stack);
    } finally {
      await stack.stop();
    }
  } finally {
    await removeDataFolder(dataDir);
    await Deno.remove(dataDir, { recursive: true }).catch(() => {});
  }
}
