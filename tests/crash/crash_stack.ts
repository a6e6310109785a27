import assert from "node:assert/strict";
import { removeDataFolder } from "../../local/data_folder.ts";
import { type Stack, type StackOptions, startStack } from "../../local/stack.ts";
import { within } from "../../local/within.ts";

/** A send without news is looked into after so many seconds. */
const LEASE_SECONDS = 3;
const LIMIT_MS = 90_000;
const LINES_TOLD = 15;

/**
 * Gives a test a stack of its own, which it may break. The stack and its data are gone afterwards.
 *
 * @throws Error with the stack's last words when the test fails, is not over after 90 s, or anything deadlocked
 */
export async function onStackOfItsOwn(
  options: Pick<StackOptions, "env" | "simulator">,
  test: (stack: Stack) => Promise<void>,
): Promise<void> {
  const dataDir = await Deno.makeTempDir({ prefix: "truetick-crash-" });
  const log: string[] = [];
  try {
    const stack = await startStack({
      apiPort: 0,
      dbPort: 0,
      dataDir,
      cronSeconds: 0,
      simulator: options.simulator ?? true,
      log: (line) => log.push(line),
      env: { PROCESS_LEASE_SECONDS: `${LEASE_SECONDS}`, PROCESS_TIME_BUDGET_MS: "10000", ...options.env },
    });
    try {
      const running = test(stack).then(() => true);
      if (!await within(running, LIMIT_MS, false)) {
        running.catch(() => {});
        throw new Error(`Not done after ${LIMIT_MS / 1000} s`);
      }
      // each is retried, and nothing lost by it; but it costs a second, and says that locks are taken in no order
      assert.deepEqual(log.filter((line) => line.includes("deadlock detected")), []);
    } finally {
      await stack.stop();
    }
  } catch (error) {
    const words = log.slice(-LINES_TOLD).map((line) => line.slice(0, 300)).join("\n");
    throw new Error(`${error instanceof Error ? error.message : error}\n\nThe stack's last words:\n${words}`);
  } finally {
    await removeDataFolder(dataDir);
  }
}
