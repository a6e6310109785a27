import { childrenOf, signal } from "../../local/processes.ts";

/** Ends a process and all that descend from it, the youngest last: none can start another while we look. */
export async function killTree(pid: number): Promise<void> {
  signal(pid, "SIGSTOP");
  const children = await childrenOf(pid);
  for (const child of children) await killTree(child);
  signal(pid, "SIGKILL");
}
