import { simulatorKeys } from "./keys.ts";
import { startSimulator } from "./simulator.ts";

/** Runs the simulator as a process of its own, on a good day, until SIGTERM or SIGINT. */
async function main(): Promise<void> {
  const simulator = await startSimulator({
    port: Number(Deno.env.get("SIMULATOR_PORT") ?? 0),
    functionsUrl: required("FUNCTIONS_URL"),
    publicFunctionsUrl: Deno.env.get("PUBLIC_FUNCTIONS_URL") || required("FUNCTIONS_URL"),
    keys: simulatorKeys(required),
  });
  print(Deno.stdout, `simulator ready at ${simulator.url}`);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => void simulator.stop().finally(() => Deno.exit(0)));
  }
}

function required(name: string): string {
  const value = Deno.env.get(name) ?? "";
  if (value === "") throw new Error(`the simulator needs ${name} in its environment`);
  return value;
}

function print(stream: { writeSync(bytes: Uint8Array): number }, line: string): void {
  stream.writeSync(new TextEncoder().encode(`${line}\n`));
}

main().catch((error) => {
  print(Deno.stderr, error instanceof Error ? error.message : `${error}`);
  Deno.exit(1);
});
